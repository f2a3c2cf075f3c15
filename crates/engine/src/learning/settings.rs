//! What new settings change.

use std::sync::Arc;

use crate::Engine;
use crate::domain::Settings;

impl Engine {
    pub(super) fn set_settings(&mut self, settings: &Settings) {
        let view = &mut self.view;
        view.vocabulary.set_max_features(settings.tfidf_max_features as usize);
        // Sums made under the old half-lives keep their present value under the new.
        let old = view.settings.clone();
        view.items.popularity.move_landmarks(view.clock, &old);
        view.settings = Arc::new(settings.clone());
        if old.embedding_dimension != settings.embedding_dimension {
            self.embed_all();
        }
    }
}
