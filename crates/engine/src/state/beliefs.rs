//! The ranker of a view: solved once for all users and once for each segment on first use.

use crate::bandit::Belief;
use crate::bandit::OwnRankerId;
use crate::bandit::Ranker;
use crate::bandit::segment;
use crate::bandit::segments;
use crate::consumption::User;
use crate::experiments::OwnRanker;
use crate::state::view::View;
use crate::takeover::Takeover;

/// The fewest history items of a user that counts as known to the ranker.
const KNOWN_FROM: usize = 5;

impl View {
    /// The takeover of requests that come with the caller's own order.
    pub fn takeover(&self) -> &Takeover {
        &self.takeover
    }

    /// What was learnt from decisions.
    pub fn ranker(&self) -> &Ranker {
        &self.ranker
    }

    /// The ranker of all users.
    pub fn belief(&self) -> &Belief {
        self.top_lists.belief.get_or_init(|| self.ranker.solve())
    }

    /// The ranker of a segment; that of all users for a number that is no segment.
    pub fn belief_of(&self, segment: u8) -> &Belief {
        let solve = || self.ranker.solve_segment(segment, self.belief());
        let known = self.top_lists.segment_beliefs.get(usize::from(segment));
        known.map_or_else(|| self.belief(), |known| known.get_or_init(solve))
    }

    /// The ranker of a variant; none once its experiment is over.
    fn own_ranker(&self, id: Option<OwnRankerId>) -> Option<&OwnRanker> {
        let OwnRankerId { experiment, variant } = id?;
        self.experiments.numbered(experiment)?.own_ranker(variant).map(AsRef::as_ref)
    }

    /// The ranker of a variant, or the shared one.
    pub(crate) fn ranker_for(&self, id: Option<OwnRankerId>) -> &Ranker {
        self.own_ranker(id).map_or(&self.ranker, OwnRanker::ranker)
    }

    /// Its belief about a segment.
    pub(crate) fn belief_for(&self, id: Option<OwnRankerId>, segment: u8) -> &Belief {
        self.own_ranker(id).map_or_else(|| self.belief_of(segment), |own| own.belief_of(segment))
    }

    /// The segment of a user on a device, which is an index of the engine. `None`: not known.
    pub fn segment(user: Option<&User>, device: Option<u32>) -> u8 {
        let is_known = user.is_some_and(|user| user.history.entries().len() >= KNOWN_FROM);
        segment(device, is_known)
    }

    /// All current segments, each with its device (`None`: none or any other) and whether its
    /// users are known.
    pub fn segments(&self) -> impl Iterator<Item = (u8, Option<&str>, bool)> {
        segments().filter_map(|(segment, device, is_known)| match device {
            None => Some((segment, None, is_known)),
            Some(device) => Some((segment, Some(self.devices.name(device)?), is_known)),
        })
    }
}
