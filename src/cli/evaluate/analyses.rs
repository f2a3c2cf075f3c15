//! What a report shows in addition to the figures of the protocol.

use super::observe::with_bar;
use super::question::Question;
use engine::evaluation::CurvePoint;
use engine::evaluation::EngineRecommender;
use engine::evaluation::Recommender as _;
use engine::evaluation::Summary;
use engine::evaluation::ablation;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::summarize;
use engine::evaluation::tradeoff;
use engine::evaluation::tradeoff::Tradeoff;

/// Tests that are repeated for each component and each strength.
const TESTS_MAX: usize = 5_000;

/// What was measured in addition to the protocol, if it was.
#[derive(Debug, Default)]
pub struct Analyses {
    pub curve: Option<Vec<CurvePoint>>,
    /// Who the learning curve is of.
    pub plan: Option<String>,
    /// The engine, then the engine without each component.
    pub ablations: Option<Summary>,
    pub tradeoff: Option<Tradeoff>,
    /// Of the ablations and the trade-off.
    pub inside: Option<(Protocol, String)>,
}

impl Analyses {
    /// Ranks again without each component, and at each strength of diversification,
    /// with an engine that has learnt the split.
    pub fn look_inside(
        &mut self,
        question: &Question,
        engine: &EngineRecommender,
        split: &mut Split,
        protocol: Protocol,
    ) {
        let (items, k) = (question.dataset.items.len(), question.task.k);
        let (first_k, seed) = (question.ks[0], question.seeds[0]);
        split.draw(TESTS_MAX);
        let whole = split.test(engine, items, k, &mut |_, _| {});
        let ablated =
            with_bar("ablations", |progress| ablation::ablate(engine, split, items, k, progress));
        let models: Vec<_> =
            std::iter::once((engine.name().to_owned(), whole)).chain(ablated).collect();
        self.ablations = Some(summarize(&models, &question.ks, &split.facts, seed));
        let variations = with_bar("diversity", |progress| {
            tradeoff::vary(engine, split, items, first_k, progress)
        });
        self.tradeoff = Some(tradeoff::tradeoff(&variations, first_k, &split.facts, seed));
        self.inside = Some((protocol, split.facts.distance_name().to_owned()));
    }
}
