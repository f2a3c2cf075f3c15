//! Counts users and what they did, from the log.
//!
//! - Of a user no more groups are kept than may be counted: a choice by a hash under a key that is drawn for
//!   each count, whatever the order of the records, and for each user apart. Then the amounts are cut
//!   ([`Noise::bounds`]). Only after that anything is summed.
//! - Bounded: users are counted in as many shares as the log has millions of records, each by a pass of its
//!   own over the log. A pass holds the users of about a million records: some hundred megabytes
//!   where each is of another user. How many passes there are, and whether there are too many, follows
//!   from the length of the log, which every caller knows.

use std::collections::HashMap;

use rand::Rng;
use rand_chacha::ChaCha20Rng;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::super::Stores;
use super::super::decision_log::each_record;
use super::super::decision_log::first_recorded_since;
use super::super::error::Error;
use super::groups::Groups;
use super::query::AggregateQuery;
use super::query::Noise;
use crate::storage::Partition;
use engine::View;
use engine::domain::Interaction;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::limits;

/// Records of a pass over the log whose users are held at a time.
const RECORDS_PER_PASS: u64 = 1_000_000;
const PASSES_MAX: u64 = 32;

/// What a group has, without noise: it must not leave the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub users: i64,
    pub interactions: i64,
}

/// What is counted, and of whom.
pub struct Counter<'a> {
    pub view: &'a View,
    pub query: &'a AggregateQuery,
    pub groups: &'a Groups,
    pub noise: &'a Noise,
}

/// One share of the users, with the groups of each and how often.
struct Share {
    key: u64,
    number: u128,
    of: u128,
    users: HashMap<u128, Vec<(u32, u32)>>,
}

impl Counter<'_> {
    /// Counts up to the record `end`, group by group.
    ///
    /// # Errors
    /// `TooMuchToCount`, `ShuttingDown`, those of the log.
    pub fn count(
        &self,
        stores: &Stores,
        partition: &Partition,
        end: Sequence,
        rng: &mut ChaCha20Rng,
        stop: &CancellationToken,
    ) -> Result<Vec<Count>, Error> {
        // An event is recorded when it has occurred, by the clock of a client that may be ahead.
        let since = self.query.from.plus_millis(-limits::FUTURE_MS);
        let first = first_recorded_since(&*stores.log, partition, end, since)?;
        let records = end.saturating_sub(first - 1);
        let passes = records.div_ceil(RECORDS_PER_PASS).max(1);
        if passes > PASSES_MAX {
            let most = PASSES_MAX * RECORDS_PER_PASS;
            return Err(Error::TooMuchToCount { what: "records", found: records, most });
        }
        let (key, mut counts) = (rng.next_u64(), vec![Count::default(); self.groups.keys.len()]);
        for number in 0..passes {
            let (number, of) = (number.into(), passes.into());
            let mut share = Share { key, number, of, users: HashMap::new() };
            each_record(&*stores.log, partition, first - 1, end, |record| {
                match &record.record {
                    _ if stop.is_cancelled() => return Err(Error::ShuttingDown),
                    Record::Interaction(interaction) => self.add(interaction, &mut share),
                    Record::UserErased(user_id) => {
                        share.users.remove(&share.user(self.view, user_id.as_str()));
                    }
                    _ => {}
                }
                Ok(())
            })?;
            self.sum(share, &mut counts, rng);
        }
        Ok(counts)
    }

    fn add(&self, interaction: &Interaction, share: &mut Share) {
        if !self.query.is_about(interaction.kind, interaction.occurred_at) {
            return;
        }
        let user_id = interaction.user_id.as_str();
        let user = share.user(self.view, user_id);
        let is_of_share = user % share.of == share.number;
        let rules = || self.view.user_rules(user_id);
        if !is_of_share || rules().is_some_and(|rules| rules.non_profiled) {
            return;
        }
        let most = self.query.max_groups_per_user as usize;
        self.groups.each_of(self.view, interaction, |group| {
            let kept = share.users.entry(user).or_default();
            if let Some((_, times)) = kept.iter_mut().find(|(one, _)| *one == group) {
                *times = times.saturating_add(1);
                return;
            }
            kept.push((group, 1));
            if kept.len() > most {
                // A group that goes has the greatest hash, so it never stays later.
                let last = kept.iter().enumerate().max_by_key(|(_, (one, _))| rank(user, *one));
                let last = last.map_or(0, |(place, _)| place);
                kept.swap_remove(last);
            }
        });
    }

    /// Adds what the users of a share may add.
    fn sum(&self, share: Share, counts: &mut [Count], rng: &mut ChaCha20Rng) {
        for kept in share.users.into_values() {
            let amounts = kept.into_iter().map(|(group, times)| (group, i64::from(times)));
            for (group, amount) in self.noise.bounds.clip(amounts, rng) {
                let count = &mut counts[group as usize];
                count.users += 1;
                count.interactions += amount;
            }
        }
    }
}

impl Share {
    /// All ids of a user are one. Of 128 bits: two users who share one would be bounded as one.
    fn user(&self, view: &View, user_id: &str) -> u128 {
        xxh3_128_with_seed(view.aliases().resolve(user_id).as_bytes(), self.key)
    }
}

/// Which groups of a user stay: those with the least. The hash of a user is keyed.
fn rank(user: u128, group: u32) -> u64 {
    xxh3_64_with_seed(&group.to_le_bytes(), user as u64)
}
