//! What one record adds to the sums of a unit. Live measuring and backfills share it.

use crate::domain::Interaction;
use crate::domain::InteractionType;
use crate::domain::Measure;
use crate::domain::Timestamp;
use crate::experiments::layout::Field;
use crate::experiments::layout::complete_at;

/// An event or a list of a user.
#[derive(Debug, Clone, Copy)]
pub struct Contribution {
    pub at: Timestamp,
    pub recorded_at: Timestamp,
    what: What,
    /// The experiment and the variant that showed the item in an interleaved list.
    credited: Option<(u32, u8)>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Event { kind: InteractionType, value: f32, follows_list: bool },
    List { positions: f32, new_items: f32, topics: f32 },
}

impl Contribution {
    /// An event that counts as of `at`; `credited`: the experiment and the variant that showed its item in an
    /// interleaved list.
    pub fn of_event(
        event: &Interaction,
        credited: Option<(u32, u8)>,
        at: Timestamp,
        recorded_at: Timestamp,
    ) -> Self {
        let (kind, value) = (event.kind, event.value.unwrap_or(0.0));
        let follows_list = event.decision_id.is_some();
        Self { at, recorded_at, what: What::Event { kind, value, follows_list }, credited }
    }

    /// A list that was answered at `at`, by its numbers of positions, of new items and of topics.
    pub fn of_list(
        (positions, new_items, topics): (usize, usize, usize),
        at: Timestamp,
        recorded_at: Timestamp,
    ) -> Self {
        let [positions, new_items, topics] =
            [positions, new_items, topics].map(|count| count as f32);
        let what = What::List { positions, new_items, topics };
        Self { at, recorded_at, what, credited: None }
    }

    /// What it adds to a measure.
    fn amount(&self, measure: Measure) -> f32 {
        match self.what {
            What::Event { kind, value, follows_list } => match measure {
                Measure::Events { after_list, .. } | Measure::Values { after_list, .. }
                    if !measure.counts(kind) || (after_list && !follows_list) =>
                {
                    0.0
                }
                Measure::Events { .. } => 1.0,
                Measure::Values { .. } => value,
                Measure::Lists | Measure::Positions | Measure::NewItems | Measure::Topics => 0.0,
            },
            What::List { positions, new_items, topics } => match measure {
                Measure::Lists => 1.0,
                Measure::Positions => positions,
                Measure::NewItems => new_items,
                Measure::Topics => topics,
                Measure::Events { .. } | Measure::Values { .. } => 0.0,
            },
        }
    }

    /// What it adds to a column of a unit of an experiment. Nothing once the sum is complete: a late event
    /// counts for no metric, whether the unit is taken in yet or not.
    pub fn to(
        &self,
        experiment: u32,
        field: Field,
        exposed_at: Timestamp,
        late_seconds: u32,
    ) -> f32 {
        let (measure, window) = match field {
            Field::Sum { measure, window } => (measure, window),
            Field::Credit { measure, window, variant }
                if self.credited == Some((experiment, variant)) =>
            {
                (measure, window)
            }
            Field::Credit { .. } | Field::Before(_) => return 0.0,
        };
        let seconds = self.at.whole_seconds_since(exposed_at);
        let in_window = (i64::from(window.0)..i64::from(window.1)).contains(&seconds);
        let in_time = self.recorded_at < complete_at(exposed_at, window, late_seconds);
        if in_window && in_time { self.amount(measure) } else { 0.0 }
    }
}
