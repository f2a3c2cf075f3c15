//! What each kind of record does to the state.
//!
//! Deterministic: the outcome is a function of the records and their order alone,
//! however they were split into batches. Work that is done every so often is done
//! at fixed sequence numbers.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::Engine;
use crate::domain::Key;
use crate::domain::ListOrigin;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::experiments::StopCause;
use crate::models::published::ModelFault;
use crate::takeover::WindowNotHeld;

/// New items with evidence get new factors at every sequence that this divides.
const SOLVE_EVERY: u64 = 16;

/// Something the shell may act on after a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// From here on this model serves.
    ModelSwitched { version: u64 },
    /// A published model does not fit the state, which stays as it was.
    ModelRefused { version: u64, fault: ModelFault },
    /// From here on the takeover is given back: the ranker earned less than this.
    TakeoverFellBack { against: ListOrigin },
    /// Rewards of trials are not waited for as long as is set: decisions are not held so long.
    TakeoverWindowNotHeld(WindowNotHeld),
    /// An experiment has stopped by itself.
    ExperimentStopped { key: Key, cause: StopCause },
    /// A user was erased: the log is to be rewritten without the user.
    UserErased,
}

/// Records that are not the next of this log; applying must stop at them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("record {found} follows record {watermark}: the log has a gap or was reordered")]
    OutOfOrder { watermark: u64, found: u64 },
}

/// What names a decision in the state.
pub fn decision_key(decision_id: &str) -> u128 {
    xxh3_128(decision_id.as_bytes())
}

impl Engine {
    /// Learns from records that follow the watermark, in order.
    ///
    /// # Errors
    /// [`Unreadable`]; the records before the one at fault are learnt.
    pub fn apply(&mut self, batch: &[LogRecord]) -> Result<Vec<Effect>, Unreadable> {
        let mut effects = Vec::new();
        for record in batch {
            let watermark = self.view.watermark;
            if record.sequence != watermark + 1 {
                return Err(Unreadable::OutOfOrder { watermark, found: record.sequence });
            }
            if watermark == 0 {
                self.view.began = record.recorded_at;
            }
            self.apply_record(record, &mut effects);
            self.forget_surplus(record.sequence);
            self.sweep();
            self.view.watermark = record.sequence;
            if record.sequence.is_multiple_of(SOLVE_EVERY) {
                self.solve_new_items();
            }
        }
        if let Some(last) = batch.last() {
            // Requests come at about this time.
            self.view.postings.showing.move_to(last.recorded_at);
            self.view.keep_leaders();
            self.view.top_lists = Arc::default();
        }
        Ok(effects)
    }

    fn apply_record(&mut self, record: &LogRecord, effects: &mut Vec<Effect>) {
        let at = record.recorded_at;
        self.settle_decisions(at, effects);
        self.advance_experiments(record.sequence, at, effects);
        match &record.record {
            Record::Interaction(interaction) => {
                self.apply_interaction(interaction, record.sequence, at);
            }
            Record::Decision(decision) => self.apply_decision(decision, at, effects),
            Record::ItemUpserted(item) => self.upsert_item(item, record.sequence, at),
            Record::ItemPatched(patch) => self.patch_item(patch, record.sequence, at),
            Record::ItemDeleted(item_id) => self.delete_item(item_id, at),
            Record::UserUpdated(update) => self.update_user(update, record.sequence, at),
            Record::SettingsSet(change) => self.set_settings(change, record.sequence),
            Record::ModelPublished(published) => {
                effects.push(self.switch_model(published, record.sequence, at));
            }
            Record::ArmSelected(selection) => {
                let half_life = self.view.settings.arms.half_life_selections;
                self.view.arms.learn_selection(selection, half_life, record.sequence, at);
            }
            Record::ArmRewarded(reward) => {
                let is_late = !self.view.arms.learn_reward(reward);
                self.view.counts.late_arm_rewards += u64::from(is_late);
            }
            Record::TakeoverChanged(change) => self.change_takeover(change, effects),
            Record::UsersMerged { from, into } => {
                self.merge_users((from.as_str(), into.as_str()), record.sequence, at);
            }
            Record::ExperimentChanged(change) => {
                self.change_experiment(change, record.sequence, at);
            }
            Record::UserExposed(exposure) => self.expose_by(exposure, at),
            Record::Backfilled(chunk) => self.backfill(chunk),
            Record::UserErased(user_id) => {
                self.erase_user(user_id.as_str());
                effects.push(Effect::UserErased);
            }
            Record::Placeholder => {}
        }
    }
}
