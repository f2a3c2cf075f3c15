//! The site that the people visit: an engine that learns and lists as the service does by default.

use std::ops::ControlFlow;

use engine::domain::{
    Decision, DecisionId, EventId, Interaction, InteractionContext, InteractionType, Item, ItemId,
    LogRecord, Record, Settings, ShownItem, Timestamp, UserId,
};
use engine::evaluation::simulation::{self, Kind, Response, Visit, World};
use engine::{
    Candidate, Choice, Earlier, Effort, Eligibility, Engine, Filter, GiveUp, ItemIndex,
    RankRequest, Ranked, RankedBy, RequestContext, RequestValues, Retrieval, Supply, UserContext,
    View, draw_key, rank, train,
};

const START: Timestamp = Timestamp::from_seconds(1_772_438_400);
const LONG_AGO_MS: i64 = 365 * Timestamp::DAY_MS;

/// A list with the decision that it is.
pub struct List {
    /// Numbers of items.
    pub items: Vec<usize>,
    decision: Decision,
}

pub struct Site<'w> {
    world: &'w World,
    engine: Engine,
    round_ms: i64,
    now: Timestamp,
    events: u64,
}

impl<'w> Site<'w> {
    pub fn new(world: &'w World) -> Self {
        let round_ms = match world.settings.kind {
            Kind::News => Timestamp::DAY_MS / 4,
            Kind::Shop => Timestamp::DAY_MS,
        };
        let settings = Settings { seed: world.settings.seed, ..Settings::default() };
        Self { world, engine: Engine::new(settings), round_ms, now: START, events: 0 }
    }

    fn at(&self, round: i64, moment: f64) -> Timestamp {
        START.plus_millis(self.round_ms * round + (moment * self.round_ms as f64) as i64)
    }

    fn record(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let record = LogRecord { sequence, recorded_at: self.now, record };
        self.engine.apply(&[record]).expect("records are in order");
    }

    /// Puts the items of a round into the catalogue.
    pub fn publish(&mut self, round: u32) {
        self.now = self.at(round.into(), 0.0);
        for number in self.world.appearing(round) {
            let item = self.item(&self.world.items()[number]);
            self.record(Record::ItemUpserted(item));
        }
    }

    fn item(&self, item: &simulation::Item) -> Item {
        let kind = self.world.settings.kind;
        let published = match kind {
            Kind::Shop if item.published == 0 => START.plus_millis(-LONG_AGO_MS),
            _ => self.at(item.published, 0.0),
        };
        Item {
            title: item.title.clone(),
            content: item.content.clone(),
            topics: vec![item.topic().as_str().into()],
            source: Some(item.source.as_str().into()),
            published_at: Some(published),
            expires_at: kind.life().map(|life| self.at(item.published + i64::from(life), 0.0)),
            ..Item::new(ItemId::parse(item.id.as_str()).expect("an id"))
        }
    }

    /// The list for a visit by the defaults of the service.
    pub fn list(&self, visit: &Visit) -> List {
        let (view, give_up) = (self.engine.state(), GiveUp::never());
        let user_id = self.world.person_id(visit.person);
        let now = self.at(visit.round.into(), visit.moment);
        let user = view.profiled(&user_id);
        let context = UserContext::new(view, user);
        let choice = Choice::served(view.request_settings(), self.world.settings.positions);
        let include_seen = view.request_settings().recommend_seen == Some(true);
        let filter = Filter { include_seen, ..Filter::default() };
        let eligible = Eligibility::new(view, &filter, &user_id, &context, now, &[]);
        let retrieval = Retrieval {
            view,
            user,
            context: &context,
            eligible: &eligible,
            values: RequestValues::NONE,
            now,
            seed_key: &draw_key(view.user_key(&user_id), now),
            give_up: &give_up,
        };
        let found = retrieval.run(&Supply::of(&choice, &[], &[])).expect("nobody gives up");
        let candidates: Vec<Candidate<'_>> =
            found.iter().map(|&index| Candidate::known(view, index)).collect();
        let decision_id = format!("decision-{}", visit.number);
        let request = RankRequest {
            user,
            context: &context,
            request_context: RequestContext::at(now),
            choice,
            boosts: &[],
            own_boosts: 0,
            pins: &[],
            earlier: Earlier::default(),
            baseline: None,
            ranked_by: RankedBy::default(),
            rival: None,
            unlearnt_cost: 0.0,
            explain: false,
            deviations: false,
            decision_id: &decision_id,
            give_up: &give_up,
        };
        let ranked = rank(view, &candidates, &request).expect("nobody gives up");
        list(view, &request, &user_id, &found, ranked)
    }

    pub fn decide(&mut self, list: &List) {
        self.now = self.now.max(list.decision.decided_at);
        self.record(Record::Decision(list.decision.clone()));
    }

    /// Learns what a person did: impressions of what was looked at, clicks and purchases.
    pub fn learn(&mut self, visit: &Visit, list: &List, responses: &[Response]) {
        for (position, response) in responses.iter().enumerate() {
            let kinds = [
                (response.is_seen, InteractionType::Impression),
                (response.is_clicked, InteractionType::Click),
                (response.is_bought, InteractionType::Purchase),
            ];
            for (_, kind) in kinds.into_iter().filter(|(is_it, _)| *is_it) {
                self.events += 1;
                let item = self.world.items()[list.items[position]].id.as_str();
                let event = Interaction {
                    event_id: EventId::parse(self.events.to_string()).expect("an id"),
                    user_id: list.decision.user_id.clone(),
                    item_id: ItemId::parse(item).expect("an id"),
                    kind,
                    value: None,
                    occurred_at: self.at(visit.round.into(), visit.moment),
                    session_id: None,
                    decision_id: Some(list.decision.decision_id.clone()),
                    position: Some(position as u32),
                    context: InteractionContext::default(),
                };
                self.record(Record::Interaction(event));
            }
        }
    }

    /// The round from which on a person's taste was taken to be another one.
    pub fn turned_at(&self, person: usize) -> Option<i64> {
        let view = self.engine.state();
        let user = view.profiled(&self.world.person_id(person))?;
        let at = user.history.turned_at()?;
        Some((at.as_millis() - START.as_millis()).div_euclid(self.round_ms))
    }

    /// Trains where there is enough to learn from.
    pub fn train(&mut self) {
        let go = &mut |_| ControlFlow::Continue(());
        if let Ok(model) = train(self.engine.state(), Effort::WhenDue, go) {
            self.record(Record::ModelPublished(model));
        }
    }
}

fn list(
    view: &View,
    request: &RankRequest<'_>,
    user_id: &str,
    found: &[ItemIndex],
    ranked: Ranked,
) -> List {
    let id = |candidate: usize| view.item_id(found[candidate]).expect("a known item");
    let shown = ranked.items.iter().map(|item| ShownItem {
        item_id: ItemId::parse(id(item.candidate)).expect("an id"),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        features: item.features.clone(),
    });
    let numbers = ranked.items.iter().map(|item| simulation::Item::number(id(item.candidate)));
    let items = numbers.collect::<Option<Vec<usize>>>().expect("items of the world");
    let decision = Decision {
        decision_id: DecisionId::parse(request.decision_id).expect("an id"),
        user_id: UserId::parse(user_id).expect("an id"),
        decided_at: request.request_context.now,
        strategy: request.choice.strategy,
        epsilon: request.choice.epsilon as f32,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: found.len() as u32,
        segment: ranked.segment,
        layout: view.ranker().layout().clone(),
        shown: shown.collect(),
        exploration_cost: ranked.exploration_cost as f32,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    };
    List { items, decision }
}
