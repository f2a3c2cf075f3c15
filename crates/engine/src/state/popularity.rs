//! Popularity and decay at the clock of the state.

use std::sync::Arc;

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::models::cold_start::Scales;
use crate::models::decay::DecayTime;
use crate::state::view::View;

impl View {
    /// The factors that turn stored sums of items into current ones.
    pub(crate) fn popularity_scales(&self) -> Scales {
        self.items.popularity.scales(self.clock, &self.decays)
    }

    /// The current popularity of an item by the half-life that predicts best: a decayed sum of
    /// the weights of positives, 0 or more.
    pub fn popularity(&self, item: ItemIndex) -> f32 {
        self.popularity_scales().popularity(&self.items.popularity.items[item])
    }

    /// The half-life of popularity in hours: the configured one at first, then learnt.
    pub fn popularity_half_life_hours(&self) -> f32 {
        self.items.popularity.half_life_hours(&self.decays)
    }

    /// The time of a user's stored preferences: that of the last event, but not after the
    /// clock.
    pub fn profile_time(&self, user: &User) -> DecayTime {
        self.decays.profile.at(user.last_seen.min(self.clock))
    }

    /// Learns that an item was consumed at a time that is not after the clock. When the
    /// consumption of a catalogue item starts, it first tests which half-life predicts best.
    pub(crate) fn learn_popularity(
        &mut self,
        item: ItemIndex,
        weight: f32,
        starts: Option<f32>,
        at: Timestamp,
    ) {
        let popularity = &mut self.items.popularity;
        let in_catalogue = self.items.entries[item].item.is_some();
        let is_test = in_catalogue && starts.is_some();
        if is_test && popularity.test(item, self.counts.catalogue, at, &self.decays) {
            let hours = popularity.half_life_hours(&self.decays);
            Arc::make_mut(&mut self.decays).shares.change(hours, self.clock);
        }
        popularity.add_rise(item, weight, starts, at, &self.decays);
    }

    /// Switches from the half-lives of `old` to those of the current settings.
    pub(crate) fn change_half_lives(&mut self, old: &Settings) {
        Arc::make_mut(&mut self.decays).change(&self.settings, self.clock);
        if old.popularity_half_life_hours != self.settings.popularity_half_life_hours {
            self.begin_popularity();
        }
    }

    /// Starts with the configured half-life, which holds until enough was tested.
    pub(crate) fn begin_popularity(&mut self) {
        let decays = Arc::make_mut(&mut self.decays);
        let popularity = &mut self.items.popularity;
        popularity.start_with(self.settings.popularity_half_life_hours);
        decays.shares.change(popularity.half_life_hours(decays), self.clock);
    }
}
