//! An even sample of the decisions of a time, with what they earned.
//!
//! - Of all decisions whose records hold the request, those with the smallest hashes of their ids: each is as
//!   likely as any other, at whatever time and for whichever user it was made.
//! - Bounded in number and bytes; beyond either the greatest hash goes. Rewards are kept of decisions in the sample
//!   only, and of items that they showed to their user.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::LeftOut;
use super::Omissions;
use super::RehearsalCall;
use crate::service::decision_log::Rewards;
use crate::service::decision_log::each_record;
use crate::service::decision_log::first_recorded_since;
use crate::service::error::Error;
use crate::service::namespace::Namespace;
use crate::storage::InteractionLog;
use engine::View;
use engine::domain::Decision;
use engine::domain::Interaction;
use engine::domain::Record;

/// Bytes of the decisions: a thousand of a usual length, 256 of the longest.
const BYTES_MAX: usize = 64 << 20;

/// Decisions by the hash of their ids.
pub struct Sample {
    most: usize,
    bytes_max: usize,
    pub kept: BTreeMap<u64, Box<Decision>>,
    bytes: usize,
    /// Hashes from here on are left out.
    bound: Option<u64>,
    pub rewards: Rewards,
    /// All decisions of the time.
    pub decisions: u64,
    pub left_out: Omissions,
}

impl Sample {
    /// Reads the log up to its end.
    ///
    /// # Errors
    /// Those of the log; `DeadlinePassed` when it is to stop.
    pub fn read(
        namespace: &Namespace,
        view: &View,
        log: &dyn InteractionLog,
        call: &RehearsalCall,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let rewards = Rewards::by(view.settings().clone(), view.aliases().clone());
        let mut sample = Self::new(call.requests, BYTES_MAX, rewards);
        let partition = &namespace.tail.partition;
        let end = log.log_end(partition)?.sequence;
        let first = first_recorded_since(log, partition, end, call.since)?;
        each_record(log, partition, first - 1, end, |record| {
            match &record.record {
                _ if stop.is_cancelled() => return Err(Error::DeadlinePassed),
                Record::Decision(decision) => sample.take(decision),
                Record::Interaction(interaction) => sample.reward(interaction),
                Record::UsersMerged { from, into } => {
                    sample.rewards.merge(from, into, record.sequence);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(sample)
    }

    fn new(most: usize, bytes_max: usize, rewards: Rewards) -> Self {
        Self {
            most,
            bytes_max,
            kept: BTreeMap::new(),
            bytes: 0,
            bound: None,
            rewards,
            decisions: 0,
            left_out: Omissions::new(),
        }
    }

    fn take(&mut self, decision: &Decision) {
        self.decisions += 1;
        let lacks = match &decision.detail {
            None => Some(LeftOut::NoRequest),
            Some(detail) if detail.undescribed > 0 => Some(LeftOut::NotDescribed),
            Some(_) => None,
        };
        if let Some(reason) = lacks {
            *self.left_out.entry(reason).or_default() += 1;
            return;
        }
        let hash = hash_of(decision.decision_id.as_str());
        if self.bound.is_some_and(|bound| hash >= bound) || self.kept.contains_key(&hash) {
            return;
        }
        self.bytes += decision.record_bytes();
        self.kept.insert(hash, Box::new(decision.clone()));
        while self.kept.len() > self.most || (self.bytes > self.bytes_max && self.kept.len() > 1) {
            let Some((hash, decision)) = self.kept.pop_last() else { break };
            self.bytes -= decision.record_bytes();
            self.rewards.forget(decision.decision_id.as_str());
            self.bound = Some(hash);
        }
    }

    fn reward(&mut self, interaction: &Interaction) {
        let Some(decision_id) = &interaction.decision_id else { return };
        let Some(decision) = self.kept.get(&hash_of(decision_id.as_str())) else { return };
        let user = |id| self.rewards.user(id);
        let is_theirs = user(interaction.user_id.as_str()) == user(decision.user_id.as_str());
        let is_shown = decision.shown.iter().any(|shown| shown.item_id == interaction.item_id);
        if is_theirs && is_shown && decision.decision_id == *decision_id {
            self.rewards.add(interaction);
        }
    }
}

fn hash_of(decision_id: &str) -> u64 {
    xxh3_64(decision_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Aliases;
    use engine::domain::CandidateScores;
    use engine::domain::DecisionDetail;
    use engine::domain::DecisionId;
    use engine::domain::EventId;
    use engine::domain::FeatureLayout;
    use engine::domain::InteractionContext;
    use engine::domain::InteractionType;
    use engine::domain::ItemId;
    use engine::domain::Settings;
    use engine::domain::ShownItem;
    use engine::domain::Strategy;
    use engine::domain::Timestamp;
    use engine::domain::UserId;

    fn detail(undescribed: u32) -> DecisionDetail {
        DecisionDetail {
            engine_revision: 1,
            seed: 1,
            request: vec![0; 100],
            undescribed,
            variant: None,
            context_watermark: 0,
            remembered: false,
            shown_lately: Vec::new(),
            earlier: Vec::new(),
            earlier_pinned: Vec::new(),
            unlearnt_cost: 0.0,
            width: 0.0,
            candidates: CandidateScores::default(),
        }
    }

    fn decision(number: usize, detail: Option<DecisionDetail>) -> Decision {
        let shown = ShownItem {
            item_id: ItemId::parse("shown").unwrap(),
            score: 0.5,
            propensity: 0.5,
            features: vec![1.0],
        };
        Decision {
            decision_id: DecisionId::parse(format!("decision-{number}")).unwrap(),
            user_id: UserId::parse(format!("user-{}", number % 10)).unwrap(),
            decided_at: Timestamp::default(),
            strategy: Strategy::Greedy,
            epsilon: 0.0,
            model_version: 0,
            watermark: 0,
            candidates: 1,
            segment: 0,
            layout: FeatureLayout::new(0..1),
            shown: vec![shown],
            exploration_cost: 0.0,
            trial: None,
            assignments: Vec::new(),
            division: None,
            continues: None,
            detail: detail.map(Box::new),
        }
    }

    fn click(decision: usize, user: usize, item: &str) -> Interaction {
        Interaction {
            event_id: EventId::parse("e").unwrap(),
            user_id: UserId::parse(format!("user-{user}")).unwrap(),
            item_id: ItemId::parse(item).unwrap(),
            kind: InteractionType::Click,
            value: None,
            occurred_at: Timestamp::default(),
            session_id: None,
            decision_id: Some(DecisionId::parse(format!("decision-{decision}")).unwrap()),
            position: None,
            context: InteractionContext::default(),
        }
    }

    fn sample(most: usize, bytes_max: usize) -> Sample {
        Sample::new(most, bytes_max, Rewards::by(Settings::default(), Aliases::default()))
    }

    #[test]
    fn every_tenth_of_the_time_has_its_part_of_the_sample() {
        let mut sample = sample(500, BYTES_MAX);
        (0..10_000).for_each(|number| sample.take(&decision(number, Some(detail(0)))));
        assert_eq!((sample.decisions, sample.kept.len()), (10_000, 500));
        let mut tenths = [0; 10];
        for decision in sample.kept.values() {
            let number: usize = decision.decision_id.as_str()["decision-".len()..].parse().unwrap();
            tenths[number / 1_000] += 1;
        }
        // 50 each, with a standard deviation of 6.5.
        assert!(tenths.iter().all(|count| (25..75).contains(count)), "{tenths:?}");
    }

    #[test]
    fn beyond_its_bytes_fewer_decisions_are_as_even_a_sample() {
        let bytes = decision(0, Some(detail(0))).record_bytes();
        let mut sample = sample(500, 100 * bytes);
        (0..5_000).for_each(|number| sample.take(&decision(number, Some(detail(0)))));
        assert!((80..=100).contains(&sample.kept.len()), "{}", sample.kept.len());
        assert!(sample.bytes <= 100 * bytes + bytes);
        let late = sample.kept.values().filter(|one| one.decision_id.as_str().len() == 13);
        // Of the numbers from 1,000 on four fifths.
        assert!(late.count() > sample.kept.len() / 2);
    }

    #[test]
    fn decisions_without_their_whole_request_are_counted_and_left_out() {
        let mut sample = sample(10, BYTES_MAX);
        sample.take(&decision(0, None));
        sample.take(&decision(1, Some(detail(3))));
        sample.take(&decision(2, Some(detail(0))));
        assert_eq!((sample.decisions, sample.kept.len()), (3, 1));
        let expected = [(LeftOut::NoRequest, 1), (LeftOut::NotDescribed, 1)];
        assert_eq!(sample.left_out, Omissions::from(expected));
    }

    #[test]
    fn rewards_are_kept_of_what_sampled_decisions_showed_to_their_user() {
        let mut sample = sample(2, BYTES_MAX);
        for number in 0..20 {
            sample.take(&decision(number, Some(detail(0))));
            for (user, item) in [(number % 10, "shown"), (number % 10, "other"), (77, "shown")] {
                sample.reward(&click(number, user, item));
            }
        }
        let of = |number: usize, item: &str| sample.rewards.of(&decision(number, None), item);
        let earned: Vec<usize> = (0..20).filter(|&number| of(number, "shown") > 0.0).collect();
        let kept =
            |number: &usize| sample.kept.contains_key(&hash_of(&format!("decision-{number}")));
        assert_eq!(earned, (0..20).filter(kept).collect::<Vec<_>>());
        assert!((0..20).all(|number| of(number, "other") == 0.0));
    }
}
