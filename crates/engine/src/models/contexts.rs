//! Which topics are consumed when, where, on which device and under which attributes.
//!
//! For each topic, decayed positive interactions by hour of the local week, device, and value of
//! the request context (location and attributes). The lift of a topic in a context is the log ratio of the
//! context's share in the topic to its share among all users:
//! `ln((k + M q) / ((n + M) q))`, with `k` of the topic's `n` interactions in the
//! context, `q` its share overall and `M` pseudo-observations of it. So a topic with
//! little evidence has a lift near 0.
//!
//! The week is kept in 56 cells, days by eight parts of the day. A cell is shrunk
//! towards the same hours of all working days or of the weekend, and these towards
//! those of all users.

use std::ops::Range;
use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::part::Part;
use crate::domain::Timestamp;
use crate::models::cold_start::GROUPS_MAX;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::models::decay::HalfLives;
use crate::numeric::math;

const HOURS_PER_PART: u32 = 3;
const PARTS_PER_DAY: u32 = 24 / HOURS_PER_PART;
const DAYS: u32 = 7;
const FIRST_DAY_OF_WEEKEND: u32 = 5;
const CELLS: usize = (DAYS * PARTS_PER_DAY) as usize;
/// Parts of working days and of the weekend.
pub const SLOTS: u32 = 2 * PARTS_PER_DAY;
const DEVICES_MAX: usize = 32;
/// Values of the context remembered by topic.
const VALUES_MAX: usize = 128;
/// Contexts of one kind remembered over all topics.
const ALL_MAX: usize = 4_096;
/// Pseudo-counts of the distribution of all users in that of each topic.
const PRIOR_MASS: f32 = 20.0;
/// Bound of a lift, in logarithms: 3,000 times as often as elsewhere.
const LIFT_MAX: f32 = 8.0;

/// The time, place, device and attributes of an interaction or a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext {
    pub now: Timestamp,
    /// Minutes to add to UTC for the user's local time.
    pub utc_offset_minutes: i32,
    pub device: Option<u32>,
    pub values: RequestValues,
}

/// What is known of a request context by its values ([`ContextValues`]).
///
/// [`ContextValues`]: crate::models::cold_start::ContextValues
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestValues {
    pub location: Option<u32>,
    attributes: [Option<u32>; GROUPS_MAX],
}

impl RequestValues {
    pub const NONE: Self = Self { location: None, attributes: [None; GROUPS_MAX] };

    pub fn new(location: Option<u32>, attributes: impl Iterator<Item = u32>) -> Self {
        let mut values = Self { location, ..Self::NONE };
        values.attributes.iter_mut().zip(attributes).for_each(|(place, one)| *place = Some(one));
        values
    }

    pub fn attributes(&self) -> impl Iterator<Item = u32> {
        self.attributes.into_iter().flatten()
    }

    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.location.into_iter().chain(self.attributes())
    }

    /// The mean of something over the attributes; 0 without any.
    pub fn mean_of_attributes(&self, of: impl Fn(u32) -> f32) -> f32 {
        let (sum, count) =
            self.attributes().fold((0.0, 0.0), |(sum, count), one| (sum + of(one), count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

impl RequestContext {
    /// One of which only the time is known.
    pub const fn at(now: Timestamp) -> Self {
        Self { now, utc_offset_minutes: 0, device: None, values: RequestValues::NONE }
    }

    /// Local weekday (Monday is 0) and part of the day.
    fn day_and_part(&self) -> (u32, u32) {
        let (day, hour) = self.now.day_and_hour(self.utc_offset_minutes);
        (u32::from(day), u32::from(hour) / HOURS_PER_PART)
    }

    fn cell(&self) -> u32 {
        let (day, part) = self.day_and_part();
        day * PARTS_PER_DAY + part
    }

    /// Part of the day, those of the weekend apart: below [`SLOTS`].
    pub fn slot(&self) -> u32 {
        let (day, part) = self.day_and_part();
        u32::from(day >= FIRST_DAY_OF_WEEKEND) * PARTS_PER_DAY + part
    }
}

/// Decayed counts by topic and by one kind of context, and of all topics together.
#[derive(Debug, Clone, Default)]
pub struct Lifts {
    pub topics: Column<Arc<DecayedRow>>,
    pub all: Arc<DecayedRow>,
}

impl Lifts {
    fn note(&mut self, topics: &[u32], key: u32, at: DecayTime, capacity: usize) {
        for &topic in topics {
            self.topics.grow(topic as usize + 1, &Arc::default());
            let row = Arc::make_mut(self.topics.get_mut(topic as usize));
            row.add(key, 1.0, at, capacity);
        }
        if !topics.is_empty() {
            let weight = topics.len() as f32;
            Arc::make_mut(&mut self.all).add(key, weight, at, ALL_MAX);
        }
    }

    /// Empties the row of a topic.
    fn forget(&mut self, topic: u32) {
        if (topic as usize) < self.topics.len() {
            *self.topics.get_mut(topic as usize) = Arc::default();
        }
    }

    /// Drops contexts that `is_live` denies from a topic's row.
    fn drop_dead(&mut self, topic: u32, is_live: impl Fn(u32) -> bool) {
        let row = self.row(topic);
        if row.is_some_and(|row| row.entries().iter().any(|entry| !is_live(entry.0))) {
            Arc::make_mut(self.topics.get_mut(topic as usize)).retain(is_live);
        }
    }

    /// Share of a context among all users, 0 to 1.
    fn share(&self, key: u32) -> f32 {
        let total = self.all.total();
        if total > 0.0 { self.all.stored(key) / total } else { 0.0 }
    }

    fn row(&self, topic: u32) -> Option<&DecayedRow> {
        self.topics.get(topic as usize).map(Arc::as_ref)
    }

    /// The lift of one context.
    fn lift(&self, topic: u32, key: u32, now: DecayTime) -> f32 {
        let share = self.share(key);
        let Some(row) = self.row(topic).filter(|_| share > 0.0) else {
            return 0.0;
        };
        let scale = row.scale(now);
        let joint = row.stored(key) * scale + PRIOR_MASS * share;
        log_ratio(joint / (row.total() * scale + PRIOR_MASS), share)
    }
}

/// `ln(share / overall)`, bounded; 0 where one of them is 0.
fn log_ratio(share: f32, overall: f32) -> f32 {
    if !(share > 0.0 && overall > 0.0) {
        return 0.0;
    }
    (math::ln_f32(share) - math::ln_f32(overall)).clamp(-LIFT_MAX, LIFT_MAX)
}

/// What is known of all topics in all kinds of context.
#[derive(Debug, Clone, Default)]
pub struct TopicContexts {
    pub cells: Lifts,
    pub devices: Lifts,
    pub values: Lifts,
}

impl TopicContexts {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![
            ("context_cells", &self.cells.topics),
            ("context_devices", &self.devices.topics),
            ("context_values", &self.values.topics),
        ]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![
            ("context_cells", &mut self.cells.topics),
            ("context_devices", &mut self.devices.topics),
            ("context_values", &mut self.values.topics),
        ]
    }

    /// Empties all that is known of a topic.
    pub fn forget(&mut self, topic: u32) {
        let Self { cells, devices, values } = self;
        [cells, devices, values].into_iter().for_each(|lifts| lifts.forget(topic));
    }

    /// Drops what is known of a topic on forgotten devices and of forgotten values.
    pub fn drop_dead(
        &mut self,
        topic: u32,
        is_device: impl Fn(u32) -> bool,
        is_value: impl Fn(u32) -> bool,
    ) {
        self.devices.drop_dead(topic, is_device);
        self.values.drop_dead(topic, is_value);
    }

    /// Drops the same of all topics together.
    pub fn drop_dead_of_all(
        &mut self,
        is_device: impl Fn(u32) -> bool,
        is_value: impl Fn(u32) -> bool,
    ) {
        Arc::make_mut(&mut self.devices.all).retain(is_device);
        Arc::make_mut(&mut self.values.all).retain(is_value);
    }

    /// Counts a positive interaction with an item of these topics, not ahead of the clock.
    pub fn note(
        &mut self,
        topics: &[u32],
        request_context: &RequestContext,
        half_lives: &HalfLives,
    ) {
        let at = half_lives.at(request_context.now);
        self.cells.note(topics, request_context.cell(), at, CELLS);
        if let Some(device) = request_context.device {
            self.devices.note(topics, device, at, DEVICES_MAX);
        }
        for value in request_context.values.all() {
            self.values.note(topics, value, at, VALUES_MAX);
        }
    }

    /// The lifts at a request context, as of `clock`.
    pub fn at<'v>(
        &'v self,
        request_context: &RequestContext,
        clock: Timestamp,
        half_lives: &HalfLives,
    ) -> LiftsAt<'v> {
        let (day, part) = request_context.day_and_part();
        let weekend = day >= FIRST_DAY_OF_WEEKEND;
        let days = if weekend { FIRST_DAY_OF_WEEKEND..DAYS } else { 0..FIRST_DAY_OF_WEEKEND };
        let slot_share = days.clone().map(|day| self.cells.share(day * PARTS_PER_DAY + part)).sum();
        LiftsAt {
            contexts: self,
            clock: half_lives.at(clock),
            cell: request_context.cell(),
            cell_share: self.cells.share(request_context.cell()),
            days,
            part,
            slot_share,
            device: request_context.device,
            values: request_context.values,
        }
    }
}

/// The lifts of topics at one request context.
#[derive(Debug)]
pub struct LiftsAt<'v> {
    contexts: &'v TopicContexts,
    clock: DecayTime,
    cell: u32,
    cell_share: f32,
    /// The working days, or those of the weekend.
    days: Range<u32>,
    part: u32,
    /// Share of the same hours of all these days.
    slot_share: f32,
    device: Option<u32>,
    values: RequestValues,
}

impl LiftsAt<'_> {
    /// The share of all users in the same hours of working days or the weekend, 0 to 1.
    pub fn slot_share(&self) -> f32 {
        self.slot_share
    }

    pub fn time(&self, topic: u32) -> f32 {
        let Some(row) = self.contexts.cells.row(topic).filter(|_| self.slot_share > 0.0) else {
            return 0.0;
        };
        let scale = row.scale(self.clock);
        let total = row.total() * scale + PRIOR_MASS;
        let in_slot: f32 =
            self.days.clone().map(|day| row.stored(day * PARTS_PER_DAY + self.part)).sum();
        let slot = (in_slot * scale + PRIOR_MASS * self.slot_share) / total;
        if self.cell_share <= 0.0 {
            return log_ratio(slot, self.slot_share);
        }
        let expected = slot * self.cell_share / self.slot_share;
        let cell = (row.stored(self.cell) * scale + PRIOR_MASS * expected) / total;
        log_ratio(cell, self.cell_share)
    }

    pub fn device(&self, topic: u32) -> f32 {
        let lift = |device| self.contexts.devices.lift(topic, device, self.clock);
        self.device.map_or(0.0, lift)
    }

    pub fn location(&self, topic: u32) -> f32 {
        self.values.location.map_or(0.0, |location| self.value(topic, location))
    }

    /// The mean lift over the attributes of the request context.
    pub fn attributes(&self, topic: u32) -> f32 {
        self.values.mean_of_attributes(|value| self.value(topic, value))
    }

    /// The lift of one value of the context, whether the request has it or not.
    pub fn value(&self, topic: u32, value: u32) -> f32 {
        self.contexts.values.lift(topic, value, self.clock)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // 2024-01-06 was a Saturday.
    const SATURDAY_NIGHT: Timestamp = Timestamp::from_seconds(1_704_574_800);
    const MONDAY_NOON: Timestamp = Timestamp::from_seconds(1_704_715_200);

    /// A location, and an attribute with as many values.
    fn at_place(number: u32) -> RequestValues {
        RequestValues::new(Some(number), std::iter::once(100 + number))
    }

    /// Topic 0 is consumed on Saturday nights on device 0 in location 0 with attribute 0, topic 1 on
    /// Monday noons on device 1 in location 1 with attribute 1.
    fn two_habits() -> TopicContexts {
        let (half_lives, mut contexts) = (HalfLives::new(90.0 * 24.0), TopicContexts::default());
        for _ in 0..50 {
            for (topic, at) in [(0, SATURDAY_NIGHT), (1, MONDAY_NOON)] {
                let position = Some(topic);
                let request_context = RequestContext {
                    device: position,
                    values: at_place(topic),
                    ..RequestContext::at(at)
                };
                contexts.note(&[topic], &request_context, &half_lives);
            }
        }
        contexts
    }

    #[test]
    fn a_topic_consumed_on_weekend_nights_is_lifted_then_and_lowered_at_noon() {
        let (contexts, half_lives) = (two_habits(), HalfLives::new(90.0 * 24.0));
        let lift = |at| contexts.at(&RequestContext::at(at), MONDAY_NOON, &half_lives).time(0);
        assert!(lift(SATURDAY_NIGHT) > 0.3);
        assert!(lift(MONDAY_NOON) < -0.3);
        assert_eq!(
            contexts.at(&RequestContext::at(MONDAY_NOON), MONDAY_NOON, &half_lives).time(9),
            0.0
        );
    }

    #[test]
    fn the_other_day_of_the_weekend_learns_from_the_first_but_less() {
        let (contexts, half_lives) = (two_habits(), HalfLives::new(90.0 * 24.0));
        let lift = |days: i64| {
            let at = SATURDAY_NIGHT.plus_millis(days * Timestamp::DAY_MS);
            contexts.at(&RequestContext::at(at), MONDAY_NOON, &half_lives).time(0)
        };
        assert!(lift(1) > 0.3, "{}", lift(1));
        assert!(lift(0) >= lift(1), "{} {}", lift(0), lift(1));
        assert!(lift(2) == 0.0, "no user was ever there on a Monday night: {}", lift(2));
    }

    #[test]
    fn local_time_is_what_counts() {
        let (contexts, half_lives) = (two_habits(), HalfLives::new(90.0 * 24.0));
        // Ten hours later by UTC, but the same hour by local time.
        let sunday_morning = SATURDAY_NIGHT.plus_millis(10 * Timestamp::HOUR_MS);
        let local =
            RequestContext { utc_offset_minutes: -600, ..RequestContext::at(sunday_morning) };
        assert!(contexts.at(&local, MONDAY_NOON, &half_lives).time(0) > 0.3);
        let utc =
            contexts.at(&RequestContext::at(sunday_morning), MONDAY_NOON, &half_lives).time(0);
        assert_eq!(utc, 0.0);
    }

    #[test]
    fn devices_locations_and_attributes_lift_their_topics() {
        let (contexts, half_lives) = (two_habits(), HalfLives::new(90.0 * 24.0));
        let there = RequestContext {
            device: Some(0),
            values: at_place(0),
            ..RequestContext::at(MONDAY_NOON)
        };
        let lifts = contexts.at(&there, MONDAY_NOON, &half_lives);
        assert!(lifts.device(0) > 0.3 && lifts.device(1) < -0.3);
        assert!(lifts.location(0) > 0.3 && lifts.location(1) < -0.3);
        assert!(lifts.attributes(0) > 0.3 && lifts.attributes(1) < -0.3);
        let nowhere = contexts.at(&RequestContext::at(MONDAY_NOON), MONDAY_NOON, &half_lives);
        let lifts = [nowhere.device(0), nowhere.location(0), nowhere.attributes(0)];
        assert_eq!(lifts, [0.0; 3]);
    }

    proptest! {
        #[test]
        fn lifts_are_finite_and_fade_to_nothing_without_evidence(
            events in prop::collection::vec((0..3_u32, 0..2_000_i64, 0..4_u32), 0..60),
            at in 0..2_000_i64,
        ) {
            let (half_lives, mut contexts) = (HalfLives::new(90.0 * 24.0), TopicContexts::default());
            let hour = |hours: i64| MONDAY_NOON.plus_millis(hours * 11 * Timestamp::HOUR_MS);
            for (topic, hours, position) in events {
                let (device, values) = (Some(position), at_place(position));
                let request_context = RequestContext { device, values, ..RequestContext::at(hour(hours)) };
                contexts.note(&[topic], &request_context, &half_lives);
            }
            let there = RequestContext { device: Some(1), values: at_place(1), ..RequestContext::at(hour(at)) };
            let lifts = contexts.at(&there, hour(2_000), &half_lives);
            for topic in 0..4 {
                let all = [lifts.time(topic), lifts.device(topic), lifts.location(topic), lifts.attributes(topic)];
                prop_assert!(all.iter().all(|lift| lift.is_finite()), "{all:?}");
                if topic == 3 {
                    prop_assert_eq!(all, [0.0; 4]);
                }
            }
        }
    }
}
