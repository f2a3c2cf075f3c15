//! What happens on one connection, so that one that does nothing, or takes nothing, can be
//! told from one in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may go without what.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Until its HTTP/2 preface is read.
    pub preface: Duration,
    /// Without a call.
    pub idle: Duration,
    /// The same while the slots for connections are all taken.
    pub idle_when_full: Duration,
    /// Until it takes what is written to it, and until it has taken an answer whole.
    pub not_reading: Duration,
}

/// Why a connection is closed from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    NoPreface,
    Idle,
    NotReading,
}

impl Closing {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPreface => "no_preface",
            Self::Idle => "idle",
            Self::NotReading => "not_reading",
        }
    }
}

/// Shared by a connection, its calls and its watcher.
#[derive(Debug)]
pub struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    opened: Instant,
    preface_read: bool,
    calls: usize,
    /// Those of them that a shutdown waits for.
    awaited: usize,
    quiet_since: Instant,
    /// Whole answers that are on their way, each with the moment it was ready.
    answers: BTreeMap<u64, Instant>,
    next_answer: u64,
    unwritten_since: Option<Instant>,
}

/// A call; it ends when this is dropped.
#[derive(Debug)]
pub struct Call {
    activity: Arc<Activity>,
    awaited: bool,
    answer: Option<u64>,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(State {
            opened: now,
            preface_read: false,
            calls: 0,
            awaited: 0,
            quiet_since: now,
            answers: BTreeMap::new(),
            next_answer: 0,
            unwritten_since: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_preface_read(&self) {
        self.state().preface_read = true;
    }

    /// Something could not be written, or could again.
    pub fn set_unwritten(&self, unwritten: bool) {
        let mut state = self.state();
        state.unwritten_since = match state.unwritten_since {
            Some(since) if unwritten => Some(since),
            _ => unwritten.then(Instant::now),
        };
    }

    /// A call begins. A shutdown waits for it when it is `awaited`.
    pub fn begin(self: &Arc<Self>, awaited: bool) -> Call {
        let mut state = self.state();
        state.preface_read = true;
        state.calls += 1;
        state.awaited += usize::from(awaited);
        drop(state);
        Call { activity: self.clone(), awaited, answer: None }
    }

    /// Why the connection should be closed now, if it should.
    pub fn judge(&self, now: Instant, rules: &Rules, full: bool) -> Option<Closing> {
        let state = self.state();
        let idle = if full { rules.idle_when_full } else { rules.idle };
        let longest = |since: Option<&Instant>| {
            since.map_or(Duration::ZERO, |since| now.duration_since(*since))
        };
        let unwritten = longest(state.unwritten_since.as_ref());
        let untaken = longest(state.answers.values().min());
        if unwritten.max(untaken) >= rules.not_reading {
            Some(Closing::NotReading)
        } else if !state.preface_read && now - state.opened >= rules.preface {
            Some(Closing::NoPreface)
        } else if state.calls == 0 && now - state.quiet_since >= idle {
            Some(Closing::Idle)
        } else {
            None
        }
    }

    /// Whether no call that a shutdown waits for has run for a while.
    pub fn is_over(&self, now: Instant, since: Instant, a_while: Duration) -> bool {
        let state = self.state();
        state.awaited == 0 && now.duration_since(since.max(state.quiet_since)) >= a_while
    }
}

impl Call {
    /// The answer is ready, whole: from now on the client has to take it.
    pub fn is_answered(&mut self) {
        let mut state = self.activity.state();
        let number = state.next_answer;
        state.next_answer += 1;
        state.answers.insert(number, Instant::now());
        self.answer = Some(number);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.calls -= 1;
        state.awaited -= usize::from(self.awaited);
        if self.awaited || state.calls == 0 {
            state.quiet_since = Instant::now();
        }
        if let Some(answer) = self.answer {
            state.answers.remove(&answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        preface: Duration::from_secs(10),
        idle: Duration::from_secs(300),
        idle_when_full: Duration::from_secs(30),
        not_reading: Duration::from_secs(60),
    };

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_closed_soon_and_quiet_later() {
        let (silent, quiet) = (Activity::new(), Activity::new());
        quiet.set_preface_read();
        assert_eq!(silent.judge(after(9), &RULES, true), None);
        assert_eq!(silent.judge(after(10), &RULES, false), Some(Closing::NoPreface));
        assert_eq!(quiet.judge(after(10), &RULES, true), None);
        assert_eq!(quiet.judge(after(30), &RULES, true), Some(Closing::Idle));
        assert_eq!(quiet.judge(after(30), &RULES, false), None);
        assert_eq!(quiet.judge(after(300), &RULES, false), Some(Closing::Idle));
    }

    #[test]
    fn a_call_keeps_a_connection_and_an_answer_that_is_not_taken_ends_it() {
        let (activity, started) = (Activity::new(), Instant::now());
        let mut call = activity.begin(true);
        assert_eq!(activity.judge(after(10_000), &RULES, true), None);
        assert!(!activity.is_over(after(10_000), started, Duration::ZERO));
        call.is_answered();
        assert_eq!(activity.judge(after(59), &RULES, true), None);
        assert_eq!(activity.judge(after(60), &RULES, true), Some(Closing::NotReading));
        drop(call);
        assert_eq!(activity.judge(after(60), &RULES, false), None);
        assert!(!activity.is_over(after(4), started, Duration::from_secs(5)));
        assert!(activity.is_over(after(5), started, Duration::from_secs(5)));
    }

    #[test]
    fn what_is_not_written_for_long_ends_it() {
        let activity = Activity::new();
        activity.set_preface_read();
        activity.set_unwritten(true);
        activity.set_unwritten(true);
        assert_eq!(activity.judge(after(59), &RULES, false), None);
        assert_eq!(activity.judge(after(60), &RULES, false), Some(Closing::NotReading));
        activity.set_unwritten(false);
        assert_eq!(activity.judge(after(60), &RULES, false), None);
    }
}
