//! What is asked about the users of a namespace, and the noise of its answer.
//!
//! - A user is in at most so many groups, once in each count of users and at most so often in each count of
//!   interactions. So one user changes the answer by no more than the noise is made for.
//! - Half of the cost is for the counts of users, half for those of interactions.

use super::super::error::Error;
use engine::domain::InteractionType;
use engine::domain::Timestamp;
use engine::domain::Violation;
use privacy::Bounds;
use privacy::Ratio;
use privacy::RatioError;
use privacy::Rho;
use privacy::accounting;

/// What is counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupBy {
    #[default]
    Nothing,
    Topic,
    Source,
    InteractionType,
    Day,
}

/// What is asked. Within its limits; see `api::convert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateQuery {
    /// Interactions that occurred since, and before.
    pub from: Timestamp,
    pub until: Timestamp,
    pub group_by: GroupBy,
    /// Only these, each once, in their order; all when empty.
    pub types: Vec<InteractionType>,
    pub max_groups_per_user: u32,
    pub max_per_group: u32,
    /// What the answer may cost.
    pub rho: Rho,
}

/// The noise of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Of what is counted of a user: groups, and interactions of each.
    pub bounds: Bounds,
    /// Variances of the counts.
    pub users: Ratio,
    pub interactions: Ratio,
    /// What they cost together, at most what the query allows.
    pub rho: Rho,
}

impl AggregateQuery {
    /// The same text for the same query.
    pub fn as_json(&self) -> String {
        let types: Vec<_> = self.types.iter().map(|kind| kind.name()).collect();
        let query = serde_json::json!({
            "from_ms": self.from.as_millis(),
            "until_ms": self.until.as_millis(),
            "group_by": self.group_by.name(),
            "types": types,
            "max_groups_per_user": self.max_groups_per_user,
            "max_per_group": self.max_per_group,
            "nano_rho": self.rho.nanos(),
        });
        query.to_string()
    }

    pub fn is_about(&self, kind: InteractionType, occurred_at: Timestamp) -> bool {
        (self.from..self.until).contains(&occurred_at)
            && (self.types.is_empty() || self.types.contains(&kind))
    }

    /// The noise of an answer with so many groups.
    ///
    /// # Errors
    /// `Invalid` when no noise fits the cost.
    pub fn noise(&self, groups: usize) -> Result<Noise, Error> {
        let unfit = |reason: String| Error::Invalid(vec![Violation::new("cost", reason)]);
        // A user is in no more groups than there are.
        let keys = self.max_groups_per_user.min(u32::try_from(groups).unwrap_or(u32::MAX));
        let bounds = |amount| Bounds::new(keys, amount).map_err(|error| unfit(error.to_string()));
        let (once, bounds) = (bounds(1)?, bounds(self.max_per_group)?);
        let half = self.rho.divided(2);
        let variance = |bounds: Bounds| accounting::variance(bounds.l2_sensitivity_squared(), half);
        let fits = |error: RatioError| unfit(format!("leaves no noise that fits: {error}"));
        let users = variance(once).map_err(fits)?;
        let interactions = variance(bounds).map_err(fits)?;
        let cost_of =
            |bounds: Bounds, variance| Rho::of_gaussian(bounds.l2_sensitivity_squared(), variance);
        let rho = cost_of(once, users)
            .and_then(|cost| cost.plus(cost_of(bounds, interactions)?))
            .map_err(|error| unfit(error.to_string()))?;
        Ok(Noise { bounds, users, interactions, rho })
    }
}

impl GroupBy {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Topic => "topic",
            Self::Source => "source",
            Self::InteractionType => "interaction_type",
            Self::Day => "day",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> AggregateQuery {
        AggregateQuery {
            from: Timestamp::from_seconds(100),
            until: Timestamp::from_seconds(200),
            group_by: GroupBy::Topic,
            types: vec![InteractionType::Like],
            max_groups_per_user: 3,
            max_per_group: 10,
            rho: Rho::from_nanos(500_000_000).unwrap(),
        }
    }

    #[test]
    fn the_noise_is_that_of_the_bounds_and_costs_no_more_than_was_asked() {
        let noise = query().noise(100).unwrap();
        // 3 / (2 * 0.25), and a hundred times as much.
        assert_eq!((noise.users.value(), noise.interactions.value()), (6.0, 600.0));
        assert_eq!(noise.rho, query().rho);
        let one_group = query().noise(1).unwrap();
        assert_eq!((one_group.users.value(), one_group.interactions.value()), (2.0, 200.0));
        assert!(query().noise(0).is_err());
    }

    #[test]
    fn another_question_is_another_text() {
        let others = [
            AggregateQuery { until: Timestamp::from_seconds(201), ..query() },
            AggregateQuery { group_by: GroupBy::Source, ..query() },
            AggregateQuery { types: Vec::new(), ..query() },
            AggregateQuery { max_groups_per_user: 4, ..query() },
            AggregateQuery { max_per_group: 4, ..query() },
            AggregateQuery { rho: Rho::from_nanos(400_000_000).unwrap(), ..query() },
        ];
        assert_eq!(query().as_json(), query().as_json());
        assert!(others.iter().all(|other| other.as_json() != query().as_json()));
    }
}
