//! Which topics are wanted when and on which device.
//!
//! For each topic, decayed positive interactions by part of the week (eight parts
//! of the day, working days and weekend apart) and by device. The lift of a topic
//! in a context is the log ratio of its share there to everybody's, shrunk towards
//! 0 while there is little evidence.

use std::sync::Arc;

use super::column::Column;
use super::decay::DecayedRow;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::numeric::math;

const HOURS_PER_PART: u32 = 3;
const PARTS_PER_DAY: u32 = 24 / HOURS_PER_PART;
const SLOTS: usize = 2 * PARTS_PER_DAY as usize;
const DEVICES_MAX: usize = 32;
/// Pseudo-counts of everybody's distribution in each topic's.
const PRIOR_MASS: f32 = 20.0;

/// Part of the week of a local day (Monday is 0) and hour.
pub fn context_slot(day: u8, hour: u8) -> u32 {
    let weekend = u32::from(day >= 5);
    weekend * PARTS_PER_DAY + u32::from(hour) / HOURS_PER_PART
}

/// Decayed counts by topic and context, and of all topics together.
#[derive(Debug, Clone, Default)]
pub struct TopicContexts {
    pub slots: Column<Arc<DecayedRow>>,
    pub devices: Column<Arc<DecayedRow>>,
    pub all_slots: Arc<DecayedRow>,
    pub all_devices: Arc<DecayedRow>,
}

impl TopicContexts {
    /// Counts a positive interaction with items of these topics.
    pub fn note(
        &mut self,
        topics: &[u32],
        device: Option<u32>,
        at: Timestamp,
        settings: &Settings,
    ) {
        let half_life = settings.popularity_half_life_hours;
        let (day, hour) = at.day_and_hour(0);
        let slot = context_slot(day, hour);
        for &topic in topics {
            let rows = topic as usize + 1;
            self.slots.grow(rows, &Arc::default());
            self.devices.grow(rows, &Arc::default());
            let row = Arc::make_mut(self.slots.get_mut(topic as usize));
            row.add(slot, 1.0, at, half_life, SLOTS);
            Arc::make_mut(&mut self.all_slots).add(slot, 1.0, at, half_life, SLOTS);
            if let Some(device) = device {
                let row = Arc::make_mut(self.devices.get_mut(topic as usize));
                row.add(device, 1.0, at, half_life, DEVICES_MAX);
                Arc::make_mut(&mut self.all_devices).add(device, 1.0, at, half_life, DEVICES_MAX);
            }
        }
    }

    pub fn slot_lift(&self, topic: u32, slot: u32) -> f32 {
        self.slots.get(topic as usize).map_or(0.0, |row| lift(row, &self.all_slots, slot))
    }

    pub fn device_lift(&self, topic: u32, device: u32) -> f32 {
        self.devices.get(topic as usize).map_or(0.0, |row| lift(row, &self.all_devices, device))
    }
}

/// `ln(share in the topic / share overall)`. Ratios of stored values need no clock:
/// both parts of a ratio decay alike.
fn lift(row: &DecayedRow, all: &DecayedRow, context: u32) -> f32 {
    let (overall, total) = (all.stored(context), all.total());
    if overall <= 0.0 || total <= 0.0 {
        return 0.0;
    }
    let overall_share = overall / total;
    let joint = row.stored(context) + PRIOR_MASS * overall_share;
    let share = joint / (row.total() + PRIOR_MASS);
    math::ln(f64::from(share / overall_share)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_wanted_on_weekend_nights_is_lifted_then_and_lowered_at_noon() {
        let (settings, mut contexts) = (Settings::default(), TopicContexts::default());
        // 2024-01-06 was a Saturday.
        let saturday_night = Timestamp::from_seconds(1_704_574_800);
        let monday_noon = Timestamp::from_seconds(1_704_715_200);
        for _ in 0..50 {
            contexts.note(&[0], Some(0), saturday_night, &settings);
            contexts.note(&[1], Some(1), monday_noon, &settings);
        }
        let night = context_slot(5, 21);
        let noon = context_slot(0, 12);
        assert!(contexts.slot_lift(0, night) > 0.3);
        assert!(contexts.slot_lift(0, noon) < -0.3);
        assert!(contexts.device_lift(0, 0) > 0.3);
        assert_eq!(contexts.slot_lift(9, noon), 0.0);
    }
}
