//! What new settings change.

use std::sync::Arc;

use crate::Engine;
use crate::domain::Settings;

impl Engine {
    pub(super) fn set_settings(&mut self, settings: &Settings) {
        let view = &mut self.view;
        view.vocabulary.set_max_features(settings.tfidf_max_features as usize);
        let old = view.settings.clone();
        view.settings = Arc::new(settings.clone());
        view.change_half_lives(&old);
        if old.embedding_dimension != settings.embedding_dimension {
            self.embed_all();
        }
    }
}
