//! The ranker of a view: solved once for everybody and once for each segment that asks.

use crate::bandit::Belief;
use crate::bandit::Ranker;
use crate::bandit::segment;
use crate::bandit::segments;
use crate::consumption::User;
use crate::state::view::View;
use crate::takeover::Takeover;

/// Items in the history from which on a user is not a newcomer to the ranker.
const KNOWN_FROM: usize = 5;

impl View {
    /// How much of the requests with an order of their caller is taken over.
    pub fn takeover(&self) -> &Takeover {
        &self.takeover
    }

    /// What was learnt from decisions.
    pub fn ranker(&self) -> &Ranker {
        &self.ranker
    }

    /// The ranker of everybody.
    pub fn belief(&self) -> &Belief {
        self.top_lists.belief.get_or_init(|| self.ranker.solve())
    }

    /// The ranker to serve a segment with. A segment that is none is served with that of
    /// everybody.
    pub fn belief_of(&self, segment: u8) -> &Belief {
        let solve = || self.ranker.solve_segment(segment, self.belief());
        let known = self.top_lists.segment_beliefs.get(usize::from(segment));
        known.map_or_else(|| self.belief(), |known| known.get_or_init(solve))
    }

    /// The segment of a user on a device, an index of the engine; `None` where the user or
    /// the device is not known.
    pub fn segment(user: Option<&User>, device: Option<u32>) -> u8 {
        let is_known = user.is_some_and(|user| user.history.entries().len() >= KNOWN_FROM);
        segment(device, is_known)
    }

    /// All segments there are by now, each with its device (`None`: none or any other) and
    /// whether its users are known.
    pub fn segments(&self) -> impl Iterator<Item = (u8, Option<&str>, bool)> {
        segments().filter_map(|(segment, device, is_known)| match device {
            None => Some((segment, None, is_known)),
            Some(device) => Some((segment, Some(self.devices.name(device)?.as_ref()), is_known)),
        })
    }
}
