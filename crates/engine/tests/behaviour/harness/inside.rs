//! The few figures of the state that tests look at in addition to lists.

use engine::domain::ListOrigin;

use super::Answer;
use super::Ask;
use super::Kind;
use super::Strategy;
use super::World;

impl World {
    /// Whether items that a user had are recommended again by what was learnt.
    pub fn recommends_again(&self) -> bool {
        self.view().request_settings().recommend_seen == Some(true)
    }

    /// Tests that were made of interactions before they were learnt, and how often the item
    /// was among the first ten.
    pub fn prequential(&self) -> (u64, f64) {
        let figures = self.view().prequential().figures();
        (figures.tests, figures.hit_rate_at_10)
    }

    /// What changes whenever that which is derived of a user has to be derived again.
    pub fn derived_key(&self, user: &str) -> Option<u64> {
        let view = self.view();
        Some(view.user(view.user_index(user)?).changed_at)
    }

    /// The decayed weight of each topic for a user, as of the user's last event.
    pub fn topic_weights(&self, user: &str) -> Vec<(String, f64)> {
        let view = self.view();
        let user = view.user(view.user_index(user).expect("a known user"));
        let scale = user.topics.scale(view.profile_time(user));
        let weight = |&(topic, stored): &(u32, f32)| {
            (view.topic_name(topic).expect("a known topic").to_owned(), f64::from(stored * scale))
        };
        user.topics.entries().iter().map(weight).collect()
    }

    /// Users that the state knows.
    pub fn users_known(&self) -> usize {
        self.view().users_len()
    }

    /// How often a user did something of a kind.
    pub fn times(&self, user: &str, kind: Kind) -> u32 {
        let view = self.view();
        view.user_index(user).map_or(0, |user| view.user(user).counts[kind.index()])
    }

    /// The ids that were merged into a user, the latest first.
    pub fn merged_ids(&self, user: &str) -> Vec<&str> {
        self.view().aliases().of(user).collect()
    }

    /// Names the whole state.
    pub fn digest(&self) -> [u8; 32] {
        self.view().digest()
    }

    /// Rewards that the ranker was taught.
    pub fn rewards_learnt(&self) -> u64 {
        self.view().ranker().shared().rewards
    }

    /// How likely each position of a list is taken to be looked at.
    pub fn examination(&self, positions: usize, decay: f64) -> Vec<f64> {
        self.view().ranker().examination.curve(positions, decay)
    }

    /// Decisions with the callers' own order whose rewards were waited for, and their mean
    /// reward.
    pub fn baseline_outcome(&self) -> (u64, f64) {
        let outcome = self.view().takeover().outcomes[ListOrigin::Baseline.index()];
        (outcome.settled, outcome.reward / (outcome.settled as f64).max(1.0))
    }

    /// What the shared ranker has learnt: its posterior mean.
    pub fn ranker_weights(&self) -> Vec<f64> {
        self.view().ranker().solve().mean
    }

    /// How features weigh against each other.
    pub fn weights(&self) -> Vec<f64> {
        self.view().hybrid().weights().to_vec()
    }

    /// NDCG@20 on what was held out of the training of the model that serves.
    pub fn validation_ndcg(&self) -> f64 {
        self.model_figure("validation_ndcg_at_20")
    }

    /// Whether the model that serves came out of a search.
    pub fn was_searched(&self) -> bool {
        self.model_figure("searched") == 1.0
    }

    /// Items for which the model that serves has item-item weights.
    pub fn items_with_weights(&self) -> f64 {
        self.model_figure("item_item_items")
    }

    fn model_figure(&self, name: &str) -> f64 {
        let model = self.view().model().expect("a model was published");
        model.figures.get(name).copied().unwrap_or_else(|| panic!("{name} is no figure"))
    }

    pub fn knows(&self, user: &str) -> bool {
        self.view().user_index(user).is_some()
    }

    /// Users that are known.
    pub fn users(&self) -> usize {
        self.view().users_len()
    }

    /// Items that the history of a user has, the latest last.
    pub fn had(&self, user: &str) -> Vec<String> {
        let view = self.view();
        let user = view.user(view.user_index(user).expect("a known user"));
        let ids = user.history.entries().iter().filter_map(|entry| view.item_id(entry.item));
        ids.map(str::to_owned).collect()
    }

    /// Items that the state holds, of the catalogue or not.
    pub fn items_held(&self) -> usize {
        self.view().items_len()
    }

    /// Bytes of a snapshot of the state.
    pub fn state_bytes(&self) -> usize {
        self.view().sections().map(|(_, section)| section.len()).sum()
    }
}

/// What is not a finite number, or no probability, in an answer.
fn faults_of(answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |is_sound: bool, what: String| {
        if !is_sound {
            faults.push(what);
        }
    };
    for one in &answer.candidates {
        let is_sound = one.score.is_finite() && one.deviation.is_finite() && one.deviation >= 0.0;
        check(is_sound, format!("{one:?}"));
    }
    for one in &answer.list {
        let is_share = (0.0..=1.0 + 1e-9).contains(&one.propensity);
        check(one.score.is_finite() && is_share, format!("{one:?}"));
        check(one.components.values().all(|part| part.is_finite()), format!("{one:?}"));
    }
    for features in answer.features() {
        check(features.iter().all(|value| value.is_finite()), format!("features {features:?}"));
    }
    faults
}

/// Checks all numbers of the answers for some users, under every strategy.
///
/// # Errors
/// The numbers at fault.
pub fn everything_is_finite(world: &World, users: &[&str]) -> Result<(), String> {
    for (strategy, hours) in Strategy::ALL.into_iter().flat_map(|one| [(one, 0.0), (one, 24.0)]) {
        for user in users {
            let ask = Ask::of(user, 10).strategy(strategy).at(world.in_hours(hours));
            let faults = faults_of(&world.answer(&ask));
            if !faults.is_empty() {
                let (count, first) = (faults.len(), &faults[0]);
                let strategy = strategy.name();
                return Err(format!("{strategy} for {user}: {count} faults, first {first}"));
            }
        }
    }
    let weights = world.weights();
    if weights.iter().any(|weight| !weight.is_finite()) {
        return Err(format!("weights {weights:?}"));
    }
    Ok(())
}
