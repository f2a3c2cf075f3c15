//! Taking over from the order in which a caller would show items without this service.

use crate::domain::ids::ItemId;
use crate::domain::ranges::out_of_range;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// Whose order a list is in. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum ListOrigin {
    /// The ranker's.
    Ranker = 1,
    /// The caller's own.
    Baseline = 2,
    /// By popularity alone: the control that the ranker must not fall below.
    Popular = 3,
}

impl ListOrigin {
    pub const ALL: [Self; 3] = [Self::Ranker, Self::Baseline, Self::Popular];

    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Ranker),
            2 => Some(Self::Baseline),
            3 => Some(Self::Popular),
            _ => None,
        }
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Index in lists that hold something for each origin.
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ranker => "ranker",
            Self::Baseline => "baseline",
            Self::Popular => "popular",
        }
    }
}

/// The order in which a caller would show items without this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineOrder {
    /// Its own, the best first.
    Items(Vec<ItemId>),
    /// It has none of its own: the candidates by popularity.
    Popular,
}

/// A change of how much is taken over; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TakeoverChange {
    /// Share of the requests with a baseline that are taken over.
    pub share: Option<f64>,
    /// Share of these that are answered by popularity.
    pub popular_share: Option<f64>,
    /// The chance that the guard ever trips although the ranker is not worse.
    pub alpha: Option<f64>,
    /// Time for which rewards of a list are waited for.
    pub reward_window_seconds: Option<u32>,
    /// Whether to forget what was measured, and a fallback with it.
    pub restart: bool,
}

impl TakeoverChange {
    pub const SHARE: (f64, f64) = (0.0, 1.0);
    /// Not 0: without a control there is no guard. Not above a half: the ranker is what
    /// takes over.
    pub const POPULAR_SHARE: (f64, f64) = (0.01, 0.5);
    pub const ALPHA: (f64, f64) = (1e-6, 0.5);
    /// A second to seven days.
    pub const REWARD_WINDOW_SECONDS: (u32, u32) = (1, 604_800);

    /// # Errors
    /// Every value outside its range.
    pub fn check(self) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::default();
        for (name, value, (least, most)) in [
            ("share", self.share, Self::SHARE),
            ("popular_share", self.popular_share, Self::POPULAR_SHARE),
            ("alpha", self.alpha, Self::ALPHA),
        ] {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                violations.add(name, out_of_range(value, least, most));
            }
        }
        let (least, most) = Self::REWARD_WINDOW_SECONDS;
        let window = self.reward_window_seconds;
        if let Some(seconds) = window.filter(|seconds| !(least..=most).contains(seconds)) {
            let reason = format!("must be {least} to {most} seconds, is {seconds}");
            violations.add("reward_window", reason);
        }
        violations.finish(self)
    }
}

/// What a decision with a baseline says of the ranker against it.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeoverTrial {
    /// How often measuring had been restarted.
    pub round: u32,
    /// Whose list was shown.
    pub origin: ListOrigin,
    /// The chance of each origin, in the order of [`ListOrigin::ALL`].
    pub chances: [f64; 3],
    /// Positions at which the ranker's greedy list and the caller's were compared.
    pub positions: u32,
    /// Those of them with the same item in both.
    pub same_position: u32,
    /// Items that are in both.
    pub in_both: u32,
    /// Whether the first item is the same.
    pub same_first: bool,
    /// Expected rewards of the ranker's list less those of the caller's, by the ranker.
    pub expected_gain: f32,
    /// The same by feature: the sum of the ranker's vectors over the one list less that
    /// over the other.
    pub difference: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_in_a_change_is_named() {
        assert!(TakeoverChange::default().check().is_ok());
        let wrong = TakeoverChange {
            share: Some(1.1),
            popular_share: Some(0.0),
            alpha: Some(f64::NAN),
            reward_window_seconds: Some(0),
            restart: false,
        };
        let fields: Vec<_> = wrong.check().unwrap_err().into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["share", "popular_share", "alpha", "reward_window"]);
    }

    #[test]
    fn origins_come_back_from_their_codes() {
        for origin in ListOrigin::ALL {
            assert_eq!(ListOrigin::from_code(origin.code()), Some(origin));
            assert_eq!(ListOrigin::ALL[origin.index()], origin);
        }
        assert_eq!(ListOrigin::from_code(0), None);
    }
}
