//! Events of one user and one item folded into one entry.
//!
//! A *session* of an item is one use of it: events of the item that follow within the learnt gap
//! ([`super::return_gap`]), whatever their session ids. A session is *counted* when one of its
//! events is not negative evidence. Impressions are not folded.
//!
//! Evidence for and evidence against are kept apart. What an event changes (`c` is the size of its
//! confidence; its sign decides the row, not its type alone):
//!
//! | event | evidence for | evidence against | times |
//! |---|---|---|---|
//! | CLICK, DWELL (implicit, for) | at least `c` | as before | joins or begins a session |
//! | LIKE, SAVE, SHARE, PURCHASE, high RATING (explicit, for) | at least `c` | the explicit part ends, `hidden` ends | the same |
//! | confidence 0 | as before | as before | the same |
//! | SKIP (implicit, against) | as before | implicit: at least `c` | nothing where there is evidence for |
//! | DISLIKE, HIDE, low RATING (explicit, against) | as before | explicit: at least `c` | joins or begins a session, without counting it |
//! | HIDE, of any confidence | as before | as above | and `hidden` begins |
//!
//! What follows for the user's taste ([`Consumption::net`]):
//!
//! | the latest explicit statement | net evidence |
//! |---|---|
//! | against | minus the larger evidence against: an explicit negative outweighs earlier evidence |
//! | for | for minus implicit against, but half of for at least: a skip does not erase a purchase |
//! | none | for minus implicit against |
//!
//! "Latest" is by the time of the events, not by their order in the log. Of statements that come
//! late only one time is known: an item that was hidden stays so where a positive statement from
//! before a later negative one arrives after both. An event from before
//! the latest session changes evidence only, not times, order or the number of sessions.
//! So an event that is sent twice or late is not counted twice.
//!
//! Other models learn from the [`Change`]: the rise of evidence for within the session. A click
//! and a like add what the like alone adds. A new session adds again.
//!
//! The first session and the one before the latest are remembered by their times: how often the user
//! comes back to the item ([`Consumption::usual_interval`]), and what was known before the latest
//! session ([`Consumption::without_latest_session`]), which a training withholds.
//!
//! 36 bytes. Times are seconds from 1970 to 2106, those outside at the nearest end. Source of the
//! two sorts of evidence: Hu, Koren, Volinsky 2008 (implicit confidence); Jawaheer et al. 2014
//! (explicit statements are fewer and count for more).

mod merging;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;

use crate::columns::index::ItemIndex;
use crate::consumption::strength::Strength;
use crate::domain::InteractionType;
use crate::domain::Timestamp;

/// Bits of the types that were seen, all but impressions: see [`bit_of`].
const KINDS: u16 = (1 << (InteractionType::ALL.len() - 1)) - 1;
const HIDDEN: u16 = 1 << 10;
/// Whether the latest session is counted.
const COUNTED: u16 = 1 << 11;
/// From this bit on: the code of the latest type.
const LATEST: u32 = 12;

const fn bit_of(kind: InteractionType) -> u16 {
    (1 << kind.index()) >> 1
}

/// One event as evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    pub kind: InteractionType,
    /// Signed: above 0 is positive evidence, below 0 negative.
    pub confidence: f32,
    pub at: Timestamp,
}

/// What an event says about a consumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    For { explicit: bool },
    Nothing,
    Against { explicit: bool },
}

impl Evidence {
    fn says(&self) -> Says {
        let explicit = match self.kind {
            InteractionType::Like
            | InteractionType::Dislike
            | InteractionType::Share
            | InteractionType::Save
            | InteractionType::Purchase
            | InteractionType::Hide
            | InteractionType::Rating => true,
            InteractionType::Impression
            | InteractionType::Click
            | InteractionType::Dwell
            | InteractionType::Skip => false,
        };
        if Strength::of(self.confidence).is_zero() {
            Says::Nothing
        } else if self.confidence > 0.0 {
            Says::For { explicit }
        } else {
            Says::Against { explicit }
        }
    }
}

/// What a fold changed: the input of all other models.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// The event belongs to the latest session: it may have begun it.
    pub is_current: bool,
    /// The event began a session.
    pub opened: bool,
    /// The first evidence for the item ever.
    pub started: bool,
    /// The first evidence for the item in a session after an earlier one with evidence for it.
    pub repeated: bool,
    /// How much evidence for the item rose within the session; 0 or more.
    pub rise: f32,
    /// How much evidence against it rose; below 0 where an explicit positive ended it.
    pub against: f32,
    /// Seconds since the event before, where both may be of one use.
    pub since_last: Option<u32>,
}

impl Change {
    /// Whether this is the first evidence for the item in a session: one positive.
    pub fn is_positive(&self) -> bool {
        self.started || self.repeated
    }

    /// The change of the user's taste, signed.
    pub fn taste(&self) -> f32 {
        self.rise - self.against
    }
}

/// What one user did with one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumption {
    pub item: ItemIndex,
    /// Of the latest session, seconds since 1970.
    start: u32,
    end: u32,
    /// Start of the first counted session, and end of the one before the latest; 0 for none.
    first: u32,
    before: u32,
    /// Of the latest explicit statement; 0 for none.
    stated_at: u32,
    /// The strongest evidence ever.
    in_favour: Strength,
    /// The same of the latest session.
    in_session: Strength,
    implicit_against: Strength,
    /// Since the latest explicit statement for the item.
    explicit_against: Strength,
    /// Counted sessions, saturating.
    sessions: u16,
    /// Types seen, [`HIDDEN`], [`COUNTED`], and the latest type from bit [`LATEST`] on.
    flags: u16,
}

impl Consumption {
    /// Of a first event.
    pub fn begun(item: ItemIndex, event: &Evidence, gap_seconds: u32) -> (Self, Change) {
        let at = seconds(event.at);
        let blank = Self {
            item,
            start: at,
            end: at,
            first: 0,
            before: 0,
            stated_at: 0,
            in_favour: Strength::default(),
            in_session: Strength::default(),
            implicit_against: Strength::default(),
            explicit_against: Strength::default(),
            sessions: 0,
            flags: 0,
        };
        blank.folded(event, gap_seconds)
    }

    /// With one more event.
    #[must_use]
    pub fn folded(&self, event: &Evidence, gap_seconds: u32) -> (Self, Change) {
        let mut next = *self;
        let mut change = Change::default();
        let (says, at) = (event.says(), seconds(event.at));
        next.enter(says, at, gap_seconds, &mut change);
        if change.is_current && at >= self.end {
            let below = (1 << LATEST) - 1;
            next.flags = next.flags & below | u16::from(event.kind.code()) << LATEST;
        }
        next.flags |= bit_of(event.kind);
        if !matches!(says, Says::Against { .. }) {
            next.count_session(change.is_current);
        }
        let strength = Strength::of(event.confidence);
        match says {
            Says::For { explicit } => next.affirm(strength, explicit, at, &mut change),
            Says::Against { explicit } => next.oppose(strength, explicit, at, &mut change),
            Says::Nothing => {}
        }
        // A HIDE that comes late holds where a later statement is negative, too.
        let is_latest = at >= next.stated_at || !next.explicit_against.is_zero();
        if event.kind == InteractionType::Hide && is_latest {
            next.flags |= HIDDEN;
            next.stated_at = next.stated_at.max(at);
        }
        (next, change)
    }

    /// Which session an event at `at` is of.
    fn enter(&mut self, says: Says, at: u32, gap_seconds: u32, change: &mut Change) {
        let is_blank = self.flags & KINDS == 0;
        // A skip of an item that was consumed is no use of it.
        let is_passed_over = says == Says::Against { explicit: false } && !self.in_favour.is_zero();
        let is_past = !is_blank && at.saturating_add(gap_seconds) < self.start;
        if is_passed_over || is_past {
            return;
        }
        change.is_current = true;
        change.opened = is_blank || at > self.end.saturating_add(gap_seconds);
        let counts = !matches!(says, Says::Against { .. });
        if counts && !is_blank && at >= self.end {
            change.since_last = Some(at - self.end);
        }
        if change.opened {
            if self.flags & COUNTED != 0 {
                self.before = self.end;
            }
            (self.start, self.end) = (at, at);
            self.in_session = Strength::default();
            self.flags &= !COUNTED;
        } else {
            (self.start, self.end) = (self.start.min(at), self.end.max(at));
            self.first = self.first.min(self.start);
        }
    }

    /// Counts the latest session, once.
    fn count_session(&mut self, is_current: bool) {
        if is_current && self.flags & COUNTED == 0 {
            self.flags |= COUNTED;
            self.sessions = self.sessions.saturating_add(1);
        } else if self.sessions == 0 {
            self.sessions = 1;
        }
        if self.first == 0 {
            self.first = self.start;
        }
    }

    fn affirm(&mut self, strength: Strength, explicit: bool, at: u32, change: &mut Change) {
        let before = if change.is_current { self.in_session } else { self.in_favour };
        change.rise = strength.above(before);
        change.started = self.in_favour.is_zero();
        change.repeated = !change.started && change.is_current && self.in_session.is_zero();
        self.in_favour = self.in_favour.max(strength);
        if change.is_current {
            self.in_session = self.in_session.max(strength);
        }
        if explicit && at >= self.stated_at {
            change.against = -self.explicit_against.get();
            self.explicit_against = Strength::default();
            self.flags &= !HIDDEN;
            self.stated_at = at;
        }
    }

    fn oppose(&mut self, strength: Strength, explicit: bool, at: u32, change: &mut Change) {
        let is_latest = at >= self.stated_at;
        let against = match explicit {
            false => &mut self.implicit_against,
            true if is_latest || !self.explicit_against.is_zero() => &mut self.explicit_against,
            // Replaced by a later explicit positive.
            true => return,
        };
        change.against = strength.above(*against);
        *against = strength.max(*against);
        if explicit && is_latest {
            self.stated_at = at;
        }
    }

    /// When the latest session ended.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.end))
    }

    /// Seconds from one session to the next, as a mean; `None` before the second.
    pub fn usual_interval(&self) -> Option<f32> {
        let intervals = self.sessions.checked_sub(1).filter(|intervals| *intervals > 0)?;
        let span = self.start.saturating_sub(self.first);
        (span > 0).then(|| span as f32 / f32::from(intervals))
    }

    /// What was known before the latest session: `None` where it is the only one. Evidence of the
    /// sessions before is not kept apart, so it stays.
    #[must_use]
    pub fn without_latest_session(&self) -> Option<Self> {
        if self.sessions < 2 || self.before == 0 || self.flags & COUNTED == 0 {
            return None;
        }
        Some(Self {
            start: self.before,
            end: self.before,
            before: 0,
            in_session: self.in_favour,
            stated_at: self.stated_at.min(self.before),
            sessions: self.sessions - 1,
            ..*self
        })
    }

    /// Strongest evidence for the item in the latest session, 0 or more.
    pub fn in_session(&self) -> f32 {
        self.in_session.get()
    }

    /// Type of the latest event of the latest session.
    pub fn kind(&self) -> InteractionType {
        self.latest().expect("the code was taken from an InteractionType")
    }

    fn latest(&self) -> Option<InteractionType> {
        InteractionType::from_code((self.flags >> LATEST) as u8)
    }

    /// Whether an event of this type was among those folded.
    pub fn has(&self, kind: InteractionType) -> bool {
        self.flags & bit_of(kind) != 0
    }

    /// Counted sessions; 0 where there is negative evidence only.
    pub fn sessions(&self) -> u16 {
        self.sessions
    }

    /// Strongest evidence for the item, 0 or more.
    pub fn in_favour(&self) -> f32 {
        self.in_favour.get()
    }

    /// Strongest evidence against it that was not taken back, 0 or more.
    pub fn against(&self) -> f32 {
        self.implicit_against.max(self.explicit_against).get()
    }

    /// Signed: above 0 is positive, below 0 negative, 0 undecided.
    pub fn net(&self) -> f32 {
        let (in_favour, implicit) = (self.in_favour.get(), self.implicit_against.get());
        if !self.explicit_against.is_zero() {
            -self.against()
        } else if self.stated_at > 0 && !self.is_hidden() {
            in_favour - implicit.min(in_favour / 2.0)
        } else {
            in_favour - implicit
        }
    }

    /// Whether the user hid the item and gave no explicit positive since.
    pub fn is_hidden(&self) -> bool {
        self.flags & HIDDEN != 0
    }

    pub(super) fn end_seconds(&self) -> u32 {
        self.end
    }

    fn is_sound(&self) -> bool {
        self.start <= self.end
            && self.in_session <= self.in_favour
            && self.stated_at <= self.end
            && self.first <= self.start
            && self.before <= self.start
            && self.latest().is_some()
            && self.flags & KINDS != 0
    }
}

/// Seconds since 1970, from 1 on; times out of range are at the nearest end.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from((at.as_millis() / 1_000).max(1)).unwrap_or(u32::MAX)
}

/// An entry as it is written: item, end, and how long before it the session began and (from 1 on) the
/// first session, the one before and the latest statement were, since small numbers are short as
/// variable-length integers.
type Written = (ItemIndex, u32, u32, [u32; 3], [Strength; 4], u16, u16);

impl Serialize for Consumption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let strengths =
            [self.in_favour, self.in_session, self.implicit_against, self.explicit_against];
        let earlier = [self.first, self.before, self.stated_at].map(|at| match at {
            0 => 0,
            at => self.end - at + 1,
        });
        let Self { item, start, end, sessions, flags, .. } = *self;
        let written: Written = (item, end, end - start, earlier, strengths, sessions, flags);
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Consumption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (item, end, length, earlier, strengths, sessions, flags) =
            Written::deserialize(deserializer)?;
        let [in_favour, in_session, implicit_against, explicit_against] = strengths;
        let instant = |written: u32| match written.checked_sub(1) {
            None => Some(0),
            Some(before) => end.checked_sub(before),
        };
        let [first, before, stated_at] = earlier.map(instant);
        let times = (|| Some((end.checked_sub(length)?, first?, before?, stated_at?)))();
        let read = times.map(|(start, first, before, stated_at)| Self {
            item,
            start,
            end,
            first,
            before,
            stated_at,
            in_favour,
            in_session,
            implicit_against,
            explicit_against,
            sessions,
            flags,
        });
        let sound = read.filter(Self::is_sound);
        sound.ok_or_else(|| D::Error::custom("an entry of a history is not sound"))
    }
}

#[cfg(test)]
mod tests;
