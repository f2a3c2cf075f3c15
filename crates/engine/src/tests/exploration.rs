//! Items that earn more than their features say, in worlds where all features are alike.

use rand_chacha::ChaCha8Rng;

use crate::bandit::strategy::Beliefs;
use crate::domain::DiversityMethod;
use crate::domain::RankerSettings;
use crate::models::contexts::RequestValues;
use crate::tests::*;

/// Items without anything that sets them apart; one pays better than all others.
struct Shop {
    engine: Engine,
    rng: ChaCha8Rng,
    items: usize,
    decisions: usize,
}

impl Shop {
    fn new(items: usize) -> Self {
        let ranker = RankerSettings { examination_decay: Some(0.0), ..RankerSettings::default() };
        let settings =
            Settings { ranker, new_item_share: 0.0, exploration_bonus: 0.0, ..Settings::default() };
        let mut shop = Self {
            engine: Engine::new(settings),
            rng: seed::stream(5, seed::Purpose::Choose, b"shop"),
            items: 0,
            decisions: 0,
        };
        (0..items).for_each(|_| shop.open_item());
        shop
    }

    fn learn(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(1_700_000_000 + self.decisions as i64);
        self.engine.apply(&[LogRecord { sequence, recorded_at, record }]).unwrap();
    }

    fn open_item(&mut self) {
        let item = Item { title: "A thing".into(), ..Item::new(item_id(self.items)) };
        self.items += 1;
        self.learn(Record::ItemUpserted(item));
    }

    fn choose(&self, number: usize, strategy: Strategy) -> Ranked {
        self.ask(number, strategy, |view, candidates, request| {
            rank(view, candidates, request).unwrap()
        })
    }

    /// A request for three of all items.
    fn ask<T>(
        &self,
        number: usize,
        strategy: Strategy,
        look: impl FnOnce(&View, &[Candidate<'_>], &RankRequest<'_>) -> T,
    ) -> T {
        let view = self.engine.state();
        let candidates: Vec<_> =
            view.item_indices().take(self.items).map(|item| Candidate::known(view, item)).collect();
        let exploring = Exploring { scale: 1.0, gamma: 10.0, floor: 0.01 };
        let choice = Choice {
            strategy,
            epsilon: 0.0,
            exploring,
            method: DiversityMethod::None,
            diversity_weight: 0.0,
            serendipity_weight: 0.0,
            novelty_weight: 0.0,
            topic_threshold: 0.0,
            source_threshold: 0.0,
            max_per_topic: 0,
            max_per_source: 0,
            positions: 3,
        };
        let context = UserContext::default();
        let id = format!("decision-{number}");
        let request = RankRequest {
            user: None,
            context: &context,
            request_context: RequestContext {
                now: view.clock(),
                utc_offset_minutes: 0,
                device: None,
                values: RequestValues::NONE,
            },
            choice,
            boosts: &[],
            own_boosts: 0,
            pins: &[],
            earlier: Earlier::default(),
            baseline: None,
            ranked_by: crate::RankedBy::default(),
            rival: None,
            unlearnt_cost: 0.0,
            explain: false,
            deviations: true,
            decision_id: &id,
            give_up: &GiveUp::never(),
        };
        look(view, &candidates, &request)
    }

    /// Shows a list to a visitor, who looks at all of it.
    fn show(&mut self, items: &[usize], list: &[(f64, Vec<f32>)], rate: impl Fn(usize) -> f64) {
        let number = self.decisions;
        self.decisions += 1;
        let shown = items.iter().zip(list).map(|(&item, (score, features))| ShownItem {
            item_id: item_id(item),
            score: *score as f32,
            propensity: 0.9,
            features: features.clone(),
        });
        self.learn(Record::Decision(Decision {
            decision_id: decision_id(number),
            user_id: user_id(number % 20),
            decided_at: Timestamp::from_seconds(1_700_000_000),
            strategy: Strategy::Thompson,
            epsilon: 0.0,
            segment: 0,
            model_version: 0,
            watermark: 0,
            candidates: self.items as u32,
            exploration_cost: 0.0,
            layout: ranker_prior().layout,
            trial: None,
            assignments: Vec::new(),
            division: None,
            continues: None,
            detail: None,
            shown: shown.collect(),
        }));
        for &item in items {
            if seed::unit(&mut self.rng) < rate(item) {
                self.act(number, item, InteractionType::Click);
            }
        }
    }

    /// A list as the ranker makes it.
    fn visit(&mut self, rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let ranked = self.choose(self.decisions, Strategy::Thompson);
        let items: Vec<usize> = ranked.items.iter().map(|item| item.candidate).collect();
        let list = ranked.items.into_iter().map(|item| (item.estimate, item.features));
        self.show(&items, &list.collect::<Vec<_>>(), rate);
        items
    }

    fn effect(&self, item: usize) -> ItemEffect {
        self.engine.state().item_effect(Some(ItemIndex::new(item as u32)))
    }

    fn act(&mut self, decision: usize, item: usize, kind: InteractionType) {
        let sequence = self.engine.state().watermark() + 1;
        self.learn(Record::Interaction(Interaction {
            event_id: EventId::parse(format!("e{sequence}")).unwrap(),
            user_id: user_id(decision % 20),
            item_id: item_id(item),
            kind,
            value: None,
            occurred_at: Timestamp::from_seconds(1_700_000_000),
            session_id: None,
            decision_id: Some(decision_id(decision)),
            position: None,
            context: InteractionContext::default(),
        }));
    }
}

#[test]
fn an_item_that_pays_more_than_its_features_say_is_found() {
    const BEST: usize = 13;
    let mut shop = Shop::new(20);
    let mut shown = Vec::new();
    for _ in 0..500 {
        let list = shop.visit(|item| if item == BEST { 0.4 } else { 0.05 });
        shown.push(list.contains(&BEST));
    }
    let early = shown[..100].iter().filter(|has| **has).count();
    let late = shown[400..].iter().filter(|has| **has).count();
    let means: Vec<f64> = (0..20).map(|item| shop.effect(item).mean).collect();
    let next = means.iter().enumerate().filter(|(item, _)| *item != BEST);
    let next = next.map(|(_, mean)| *mean).fold(f64::NEG_INFINITY, f64::max);
    assert!(late >= 80, "in {early} of the first and {late} of the last 100 lists: {means:?}");
    assert!(means[BEST] > next + 0.05, "{means:?}");
}

#[test]
fn parts_of_a_score_add_up_with_that_of_the_item() {
    let mut shop = Shop::new(5);
    for _ in 0..30 {
        shop.visit(|item| if item == 2 { 0.9 } else { 0.1 });
    }
    for item in shop.choose(99, Strategy::Greedy).items {
        let sum: f64 = item.components.values().sum();
        assert!((sum - item.score).abs() < 1e-6, "{item:?}");
        let own = item.components.get("item").copied().unwrap_or(0.0);
        assert_eq!(own, shop.effect(item.candidate).mean);
    }
}

#[test]
fn a_ranked_list_has_the_propensities_that_the_ranking_gave_it() {
    let mut shop = Shop::new(20);
    for _ in 0..50 {
        shop.visit(|item| if item == 2 { 0.9 } else { 0.1 });
    }
    for (number, strategy) in (0..40).flat_map(|number| Strategy::ALL.map(|it| (number, it))) {
        shop.ask(number, strategy, |view, candidates, request| {
            for popular in [false, true] {
                let ranked_by = crate::RankedBy { popular, ..crate::RankedBy::default() };
                let request = RankRequest { ranked_by, ..request.clone() };
                let ranked = rank(view, candidates, &request).unwrap();
                // What the record of its decision says.
                let width = if strategy == Strategy::LinUcb { 1.0 } else { 0.0 };
                let pairs = ranked.scores.iter().zip(&ranked.deviations);
                let means: Vec<f64> =
                    pairs.map(|(score, deviation)| score - width * deviation).collect();
                let of = |shown: &[Placed], excluded: &[usize]| {
                    let beliefs = Beliefs { means: &means, deviations: &ranked.deviations };
                    propensities_of(view, candidates, &request, beliefs, shown, excluded).unwrap()
                };
                let placed =
                    |item: &RankedItem| Placed { candidate: item.candidate, pinned: false };
                let shown: Vec<Placed> = ranked.items.iter().map(placed).collect();
                for (found, item) in of(&shown, &[]).iter().zip(&ranked.items) {
                    let expected = item.propensity;
                    assert!((found - expected).abs() < 1e-9, "{strategy:?}: {found} {expected}");
                }
                // What is excluded was not to be expected, and takes its position all the same.
                let found = of(&shown, &[shown[0].candidate]);
                assert_eq!(found[0], 0.0);
                assert!(found[1..].iter().all(|&p| (0.0..=1.0).contains(&p)), "{found:?}");
            }
        });
    }
}

#[test]
fn expected_rewards_with_boosts_are_scores_without_what_exploring_adds() {
    let shop = Shop::new(5);
    shop.ask(1, Strategy::Greedy, |view, candidates, request| {
        let target = crate::Target::Item("item-3".into());
        let change = crate::domain::ScoreChange::Add(0.25);
        let boosts = [crate::Boost { target, change }];
        let request = RankRequest { boosts: &boosts, ..request.clone() };
        let ranked = rank(view, candidates, &request).unwrap();
        assert_eq!(boosted_rewards(view, candidates, &request).unwrap(), ranked.scores);
    });
}
