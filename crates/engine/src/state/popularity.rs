//! Popularity and decay as of the state's own clock.

use std::sync::Arc;

use crate::consumption::User;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::models::cold_start::Scales;
use crate::models::decay::DecayTime;
use crate::state::view::View;

impl View {
    /// What turns the stored sums of items into those of now.
    pub(crate) fn popularity_scales(&self) -> Scales {
        self.items.popularity.scales(self.clock, &self.decays)
    }

    /// How popular an item is by the half-life that predicts best here, as of now: a decayed
    /// sum of the weights of positives, 0 or more.
    pub fn popularity(&self, item: u32) -> f32 {
        self.popularity_scales().popularity(&self.items.popularity.items[item as usize])
    }

    /// The half-life that popularity goes by now, in hours: learnt, and at first the
    /// configured one.
    pub fn popularity_half_life_hours(&self) -> f32 {
        self.items.popularity.half_life_hours(&self.decays)
    }

    /// When the preferences of a user are as they were left: the user's last event, as far as
    /// the clock believes it.
    pub fn profile_time(&self, user: &User) -> DecayTime {
        self.decays.profile.at(user.last_seen.min(self.clock))
    }

    /// Learns that an item was consumed at a time that is not ahead of the clock. The start of
    /// a consumption of an item in the catalogue first tests by which half-life popularity
    /// predicts best.
    pub(crate) fn learn_popularity(&mut self, item: u32, weight: f32, starts: bool, at: Timestamp) {
        let popularity = &mut self.items.popularity;
        let in_catalogue = self.items.entries[item as usize].item.is_some();
        let is_test = in_catalogue && starts;
        if is_test && popularity.test(item, self.counts.catalogue, at, &self.decays) {
            let hours = popularity.half_life_hours(&self.decays);
            Arc::make_mut(&mut self.decays).shares.change(hours, self.clock);
        }
        popularity.add_rise(item, weight, starts, at, &self.decays);
    }

    /// The half-lives of the settings hold from now on; those of `old` held before.
    pub(crate) fn change_half_lives(&mut self, old: &Settings) {
        Arc::make_mut(&mut self.decays).change(&self.settings, self.clock);
        if old.popularity_half_life_hours != self.settings.popularity_half_life_hours {
            self.begin_popularity();
        }
    }

    /// As long as little was tested, popularity goes by the configured half-life.
    pub(crate) fn begin_popularity(&mut self) {
        let decays = Arc::make_mut(&mut self.decays);
        let popularity = &mut self.items.popularity;
        popularity.start_with(self.settings.popularity_half_life_hours);
        decays.shares.change(popularity.half_life_hours(decays), self.clock);
    }
}
