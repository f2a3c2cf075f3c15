//! The candidates that a list is chosen from, position by position: which of them may take the next one,
//! and what each would do for the list. [`gathering`] says which they are.
//!
//! [`gathering`]: crate::ranking::choose::gathering

use crate::ranking::choose::Choice;
use crate::ranking::choose::Slate;
use crate::ranking::choose::caps::Cap;
use crate::ranking::choose::gathering::Gathering;
use crate::ranking::choose::gathering::Member;
use crate::ranking::choose::plan::Plan;
use crate::ranking::choose::variety::Variety;

/// Least weight of the scores, for lists with a diversity weight of 1.
const SHARE_OF_VALUE_MIN: f64 = 1e-6;
#[derive(Debug)]
pub struct Pool<'a> {
    members: Vec<Member>,
    /// Topic labels of all members, one after the other.
    labels: Vec<u32>,
    /// Members left, best score first.
    open: Vec<usize>,
    /// Those of them that may take the next position, in rising order.
    admissible: Vec<usize>,
    /// The gain of each of these for the current list.
    gains: Vec<f64>,
    best: usize,
    looks: u64,
    /// Score per unit of gain.
    scale: f64,
    topics: Cap,
    sources: Cap,
    /// Under absolute caps.
    plan: Option<Plan>,
    variety: Variety<'a>,
    strength: f64,
}

impl<'a> Pool<'a> {
    pub fn new(slate: &Slate<'a>, choice: &Choice) -> Self {
        let mut gathering = Gathering::new(slate, choice);
        let order = gathering.order();
        let pinned = slate.pins.iter().map(|pin| pin.candidate);
        for candidate in order.iter().copied().chain(pinned) {
            gathering.add(candidate);
        }
        let plan = gathering.plan();
        let spread = gathering.value();
        let (strength, variety) = (choice.diversity_weight, gathering.variety());
        let open: Vec<usize> = (0..order.len()).collect();
        let Gathering { members, labels, topics, sources, .. } = gathering;
        let admissible = Vec::with_capacity(open.len());
        let gains = Vec::with_capacity(open.len());
        let of_value = if matches!(variety, Variety::None) { 1.0 } else { 1.0 - strength };
        let scale = spread / of_value.max(SHARE_OF_VALUE_MIN);
        Self {
            members,
            labels,
            open,
            admissible,
            gains,
            best: 0,
            looks: 0,
            scale,
            topics,
            sources,
            plan,
            variety,
            strength,
        }
    }

    /// Members left, in rising order.
    pub fn open(&self) -> &[usize] {
        &self.open
    }

    /// Members that may take the next position, as of the last [`Self::look`].
    pub fn admissible(&self) -> &[usize] {
        &self.admissible
    }

    /// The gain of each of [`Self::admissible`] for the current list.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// The admissible member with the greatest gain; of equals the one with the better score.
    pub fn best(&self) -> usize {
        self.best
    }

    /// The number of calls of [`Self::look`]. Values computed after a call hold until the next.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Score per unit of gain: a difference of gains times this is the equivalent difference of
    /// scores.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The standard deviation of a member's expected reward.
    pub fn deviation(&self, member: usize) -> f64 {
        self.members[member].deviation
    }

    /// Finds the members that may take the next position, and their gains. `false` when there
    /// are none.
    pub fn look(&mut self) -> bool {
        self.looks += 1;
        let Self { members, labels, open, admissible, topics, sources, plan, .. } = self;
        let labels_of = |member: usize| &labels[members[member].topics.clone()];
        let source_of = |member: usize| members[member].source.as_slice();
        let planned = |member: usize| plan.as_ref().is_none_or(|plan| plan.allows(member));
        admissible.clear();
        let rules: [fn(&Cap, &[u32]) -> bool; 2] = [Cap::allows, Cap::allows_at_most];
        for allows in rules {
            if admissible.is_empty() {
                admissible.extend(open.iter().copied().filter(|&member| {
                    let (topics_of, source) = (labels_of(member), source_of(member));
                    allows(topics, topics_of) && allows(sources, source) && planned(member)
                }));
            }
        }
        let mut best: Option<(usize, f64)> = None;
        self.gains.clear();
        for &member in &self.admissible {
            let topics = &self.labels[self.members[member].topics.clone()];
            let value = self.members[member].value;
            let gain = self.variety.gain(member, topics, value, self.strength);
            self.gains.push(gain);
            if best.is_none_or(|(_, most)| gain > most) {
                best = Some((member, gain));
            }
        }
        self.best = best.map_or(0, |(member, _)| member);
        best.is_some()
    }

    pub fn candidate(&self, member: usize) -> usize {
        self.members[member].candidate
    }

    /// Moves a member from the pool to the list; returns its candidate.
    pub fn take(&mut self, member: usize) -> usize {
        let position = self.open.binary_search(&member).expect("an admissible member is open");
        self.open.remove(position);
        self.count(member);
        if let Some(plan) = &mut self.plan {
            plan.take(member, &self.open);
        }
        self.members[member].candidate
    }

    /// Notes that a pinned candidate took the next position.
    pub fn take_pinned(&mut self, candidate: usize) {
        let pinned = self.members.iter().rposition(|member| member.candidate == candidate);
        self.count(pinned.expect("every pinned candidate is a member"));
    }

    /// Notes that a candidate took the next position which another ranking of the same members chose,
    /// whether this one allows it or not.
    pub fn take_of_other(&mut self, candidate: usize) {
        let is_it = |member: &usize| self.members[*member].candidate == candidate;
        let Some(member) = self.open.iter().copied().find(is_it) else {
            return;
        };
        // Without the space that the plan gives its members it cannot be kept.
        self.plan = self.plan.take().filter(|plan| plan.allows(member));
        self.take(member);
    }

    fn count(&mut self, member: usize) {
        let topics = self.members[member].topics.clone();
        self.topics.take(&self.labels[topics.clone()]);
        self.sources.take(self.members[member].source.as_slice());
        self.variety.take(member, &self.labels[topics]);
    }
}
