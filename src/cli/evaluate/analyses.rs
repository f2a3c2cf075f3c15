//! What a report shows in addition to the figures of the protocol.

use super::Cost;
use super::Question;
use super::observe::bar;
use engine::evaluation::CurvePoint;
use engine::evaluation::EngineRecommender;
use engine::evaluation::Recommender as _;
use engine::evaluation::Summary;
use engine::evaluation::ablation;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::report::Inside;
use engine::evaluation::report::LearningCurve;
use engine::evaluation::report::Page;
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
        let (first_k, seed) = (question.ks[0], question.seed);
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

fn with_bar<T>(name: &str, run: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let bar = bar(name);
    let done = run(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done
}

/// Everything as one page.
pub fn page<'a>(
    question: &'a Question,
    protocol: Protocol,
    summary: &'a Summary,
    costs: &[Cost],
    analyses: &'a Analyses,
) -> Page<'a> {
    let (dataset, task) = (&question.dataset, &question.task);
    let count = |n: usize| n.to_string();
    let curve = analyses.curve.as_deref().zip(analyses.plan.as_deref());
    let inside = analyses.ablations.as_ref().zip(analyses.tradeoff.as_ref());
    let inside = inside.zip(analyses.inside.as_ref());
    Page {
        protocol,
        k: question.ks[0],
        data: vec![
            ("users", count(dataset.users.len())),
            ("items", count(dataset.items.len())),
            ("rows", count(dataset.rows.len())),
            ("positives", count(dataset.positives(task.positive))),
            ("users tested", summary.users.to_string()),
            ("cases", summary.cases.to_string()),
        ],
        notes: &question.notes,
        summary,
        curve: curve.map(|(points, plan)| LearningCurve { points, plan }),
        inside: inside.map(|((ablations, tradeoff), (protocol, distance))| Inside {
            ablations,
            tradeoff,
            protocol: *protocol,
            distance,
        }),
        seconds: costs.iter().map(|cost| (cost.seconds, cost.rows_learnt)).collect(),
    }
}
