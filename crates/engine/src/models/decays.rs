//! The half-lives of everything that decays with time, by subject.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::models::decay::HalfLives;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decays {
    pub trend: HalfLives,
    pub cooccurrence: HalfLives,
    /// Of cohorts, values of contexts and the shares they are compared with: follows the memory in use.
    pub shares: HalfLives,
    /// Of topics by context and of the ages of consumed items: as configured for popularity.
    pub contexts: HalfLives,
    /// Of the preferences of a user.
    pub profile: HalfLives,
}

impl Decays {
    pub fn new(settings: &Settings) -> Self {
        Self {
            trend: HalfLives::new(settings.trend_half_life_hours),
            cooccurrence: HalfLives::new(settings.cooccurrence_half_life_hours),
            shares: HalfLives::new(settings.popularity_half_life_hours),
            contexts: HalfLives::new(settings.popularity_half_life_hours),
            profile: HalfLives::new(settings.profile_half_life_hours),
        }
    }

    /// From `since` on new settings hold; those of shares follow popularity instead.
    pub fn change(&mut self, settings: &Settings, since: Timestamp) {
        self.trend.change(settings.trend_half_life_hours, since);
        self.cooccurrence.change(settings.cooccurrence_half_life_hours, since);
        self.contexts.change(settings.popularity_half_life_hours, since);
        self.profile.change(settings.profile_half_life_hours, since);
    }
}
