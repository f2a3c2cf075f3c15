//! Items that earn more than their features say, in worlds where all features are alike.

use rand_chacha::ChaCha8Rng;

use crate::domain::RankerSettings;
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
        // One of one scale: what is tested is what is drawn, not how much of it.
        let ranker = RankerSettings { exploration_scale: 1.0, ..RankerSettings::default() };
        let settings = Settings {
            ranker,
            new_item_share: 0.0,
            exploration_bonus: 0.0,
            ..Settings::default()
        };
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
        let item = Item {
            item_id: item_id(self.items),
            title: "A thing".into(),
            content: String::new(),
            topics: Vec::new(),
            source: None,
            published_at: None,
            embedding: Vec::new(),
            language: None,
            attributes: Attributes::default(),
        };
        self.items += 1;
        self.learn(Record::ItemUpserted(item));
    }

    fn choose(&self, number: usize, strategy: Strategy) -> Ranked {
        let view = self.engine.state();
        let candidates: Vec<_> =
            (0..self.items as u32).map(|index| Candidate::known(view, index)).collect();
        let exploring = Exploring { scale: 1.0, gamma: 10.0, floor: 0.01 };
        let choice = Choice { strategy, exploring, ..plain_choice(3) };
        let context = UserContext::default();
        let id = format!("decision-{number}");
        let request = RankRequest {
            user: None,
            context: &context,
            occasion: Occasion {
                now: view.clock(),
                utc_offset_minutes: 0,
                device: None,
                location: None,
            },
            choice,
            boosts: &[],
            pins: &[],
            baseline: None,
            unlearnt_cost: 0.0,
            explain: false,
            deviations: true,
            decision_id: &id,
            give_up: &GiveUp::NEVER,
        };
        rank(view, &candidates, &request).unwrap()
    }

    /// A list of three to a new visitor, who looks at all of it.
    fn visit(&mut self, strategy: Strategy, rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let number = self.decisions;
        self.decisions += 1;
        let ranked = self.choose(number, strategy);
        let shown = ranked.items.iter().map(|item| ShownItem {
            item_id: item_id(item.candidate),
            score: item.estimate as f32,
            propensity: item.propensity as f32,
            features: item.features.clone(),
        });
        let items: Vec<usize> = ranked.items.iter().map(|item| item.candidate).collect();
        self.learn(Record::Decision(Decision {
            decision_id: decision_id(number),
            user_id: user_id(number % 20),
            decided_at: Timestamp::from_seconds(1_700_000_000),
            strategy,
            epsilon: 0.0,
            segment: 0,
            model_version: 0,
            watermark: 0,
            candidates: self.items as u32,
            exploration_cost: 0.0,
            trial: None,
            detail: None,
            shown: shown.collect(),
        }));
        for &item in &items {
            // A dislike of nothing: confidences of impressions are 0, and popularity stays.
            self.act(number, item, InteractionType::Impression);
            if seed::unit(&mut self.rng) < rate(item) {
                self.act(number, item, InteractionType::Click);
            }
        }
        items
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
