//! What new settings change.
//!
//! - What was learnt stays. A changed half-life holds from its day on; less space lets go of
//!   what has the least evidence.
//! - Settings that were made from others than those in force change nothing.

use std::sync::Arc;

use crate::Engine;
use crate::domain::Sequence;
use crate::domain::SettingsChange;

impl Engine {
    pub(super) fn set_settings(&mut self, change: &SettingsChange, sequence: Sequence) {
        let view = &mut self.view;
        if change.replaces != view.settings_at() {
            return;
        }
        let settings = &change.settings;
        view.vocabulary.set_max_features(settings.tfidf_max_features as usize);
        let old = view.settings.clone();
        view.settings = Arc::new(settings.clone());
        view.settings_records.add(sequence);
        view.change_half_lives(&old);
        if old.embedding_dimension != settings.embedding_dimension {
            self.view.embed_all();
        }
    }
}
