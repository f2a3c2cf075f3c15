//! What a proposed configuration would change: recent requests worked out with it and without.
//!
//! - Requests are those in the records of decisions, an even sample of them ([`Sample`]). The edge reads them
//!   and applies what is proposed, as it does for Personalize.
//! - Both lists of a request are made on one view, at one time, with the random stream of its decision. Later
//!   pages are made below the pages that were shown.
//! - Rewards are estimated by the logged lists ([`rehearsing`]).
//! - Nothing is offered to the log, no cache of pages or costs learns of it, and nobody is exposed.
//! - One at a time, on a thread of its own; it ends early when nobody waits for it.

mod recorded;
mod rehearsing;
mod sample;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::rehearsing::Rehearsing;
use self::sample::Sample;
use super::Service;
use super::blocking::Deadline;
use super::blocking::run_blocking;
use super::error::Error;
use super::namespace::Namespace;
use super::personalize::PersonalizeCall;
use crate::config::decisions_kept_since;
use engine::GiveUp;
use engine::View;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::Timestamp;

pub use engine::evaluation::bootstrap::Estimate as BoundedMean;
pub use engine::evaluation::off_policy::PolicyEstimate;
pub use engine::evaluation::rehearsal::{
    Change, Exposure, Figures as RehearsalFigures, LabelShare, RewardEstimate,
};

/// The call behind a decision.
#[derive(Debug)]
pub struct RehearsedCall {
    /// As it was answered.
    pub logged: PersonalizeCall,
    /// As it is answered now.
    pub now: PersonalizeCall,
    /// The same with the proposal.
    pub proposed: PersonalizeCall,
}

/// Reads the request of a decision, on a view at a time.
pub type ReadRequest =
    dyn Fn(&Decision, &DecisionDetail, &View, Timestamp) -> Result<RehearsedCall, LeftOut> + Send;

/// What is asked.
pub struct RehearsalCall {
    /// Decisions recorded since.
    pub since: Timestamp,
    /// How many requests.
    pub requests: usize,
    pub read: Box<ReadRequest>,
}

impl fmt::Debug for RehearsalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RehearsalCall({} requests since {:?})", self.requests, self.since)
    }
}

/// Why a decision is not rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// Its record does not hold the request.
    NoRequest,
    /// The request described candidates that the record does not hold.
    NotDescribed,
    /// Its request is not accepted any more.
    Unreadable,
    /// The proposal would not act on it.
    NotEligible,
}

/// Decisions that are left out, by reason.
pub type Omissions = BTreeMap<LeftOut, u64>;

/// What would change.
#[derive(Debug)]
pub struct Rehearsal {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Decisions of the time.
    pub decisions: u64,
    /// The first two reasons are of all decisions, the others of those looked at.
    pub left_out: Omissions,
    pub figures: RehearsalFigures,
    /// `None`: no logged position can be weighed.
    pub reward: Option<RewardEstimate>,
    /// Rehearsed decisions that are not in that estimate.
    pub unweighed: u64,
    /// All of it in a few sentences.
    pub verdict: String,
    pub model_version: u64,
    pub watermark: u64,
}

impl Service {
    /// Rehearses a proposal on the decisions of a namespace and on the given view.
    ///
    /// # Errors
    /// `NothingToRehearse`; `Overloaded` while another rehearsal runs; `DeadlinePassed`;
    /// `ShuttingDown` when the service drains meanwhile; errors of the store.
    pub async fn rehearse(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: RehearsalCall,
        deadline: Deadline,
    ) -> Result<Rehearsal, Error> {
        let permit = self.rehearsals.clone().try_acquire_owned();
        let permit = permit.map_err(|_taken| Error::Overloaded("another rehearsal is running"))?;
        let draining = self.draining.clone();
        let stop = draining.child_token();
        let _ends_with_this_call = stop.clone().drop_guard();
        let now = self.clock.now();
        let kept_since = decisions_kept_since(self.decision_retention_days, now);
        let call = RehearsalCall { since: call.since.max(kept_since), ..call };
        let (namespace, log) = (namespace.clone(), self.namespaces.stores().log.clone());
        let work = move || {
            let _permit = permit;
            let sample = Sample::read(&namespace, &view, &*log, &call, &stop)?;
            rehearse(&namespace, &view, sample, &call, now, &stop)
        };
        let done = deadline.bound(run_blocking(work)).await??;
        done.map_err(|error| if draining.is_cancelled() { Error::ShuttingDown } else { error })
    }
}

fn rehearse(
    namespace: &Namespace,
    view: &View,
    sample: Sample,
    call: &RehearsalCall,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<Rehearsal, Error> {
    let is_over = || stop.is_cancelled();
    let give_up = GiveUp::when(&is_over);
    let mut rehearsing = Rehearsing::new(namespace, view, &sample.rewards, now);
    let mut left_out = sample.left_out.clone();
    for decision in sample.kept.values() {
        give_up.check()?;
        let detail =
            decision.detail.as_ref().expect("the sample has decisions with their requests");
        match (call.read)(decision, detail, view, now) {
            Ok(calls) => rehearsing.add(decision, detail, calls, &give_up)?,
            Err(reason) => *left_out.entry(reason).or_default() += 1,
        }
    }
    if rehearsing.is_empty() {
        let of = |reason| left_out.get(&reason).copied().unwrap_or(0);
        let without_request = of(LeftOut::NoRequest) + of(LeftOut::NotDescribed);
        return Err(Error::NothingToRehearse { decisions: sample.decisions, without_request });
    }
    let done = rehearsing.finish();
    Ok(Rehearsal {
        since: call.since,
        until: now,
        decisions: sample.decisions,
        left_out,
        verdict: engine::evaluation::rehearsal::verdict(&done.figures, done.reward.as_ref()),
        figures: done.figures,
        reward: done.reward,
        unweighed: done.unweighed,
        model_version: view.model_version(),
        watermark: view.watermark(),
    })
}
