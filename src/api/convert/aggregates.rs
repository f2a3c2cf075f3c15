//! A QueryAggregates request.

use super::interaction::interaction_type;
use super::scalars::each;
use super::scalars::merge;
use super::scalars::timestamp;
use crate::proto;
use crate::proto::AggregateGrouping;
use crate::proto::query_aggregates_request::Cost;
use crate::service::AggregateQuery;
use crate::service::GroupBy;
use crate::service::PrivacySettings;
use engine::domain::InteractionType;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::check_text;
use engine::domain::out_of_range;

/// Bytes of the name of an analyst.
const ANALYST_BYTES: usize = 64;
const DAYS_MAX: i64 = 366;
/// Defaults and greatest values of what a user may add.
const GROUPS_PER_USER: (u32, u32) = (3, 100);
const PER_GROUP: (u32, u32) = (10, 1_000);

/// The query, and who asks.
///
/// # Errors
/// Every field that breaks the contract, but for the namespace.
pub fn aggregates(
    message: proto::QueryAggregatesRequest,
    privacy: &PrivacySettings,
    now: Timestamp,
) -> Result<(AggregateQuery, String), Vec<Violation>> {
    let mut violations = Violations::default();
    violations.take("analyst", check_text(&message.analyst, ANALYST_BYTES));
    let from = violations.take("from", required_time(message.from)).unwrap_or_default();
    let until = required_time(message.until).and_then(|until| checked_end(from, until, now));
    let until = violations.take("until", until);
    let group_by = violations.take("group_by", grouping(message.group_by));
    let types = each("interaction_types", message.interaction_types, interaction_type);
    let types = merge(&mut violations, types);
    let (groups, times) = (message.max_groups_per_user, message.max_per_group);
    let groups = violations.take("max_groups_per_user", bound(groups, GROUPS_PER_USER));
    let times = violations.take("max_per_group", bound(times, PER_GROUP));
    let rho = match message.cost {
        None => violations.take("cost", Err("must be set, as epsilon or rho")),
        Some(Cost::Epsilon(epsilon)) => {
            violations.take("epsilon", privacy.cost_of_epsilon(epsilon))
        }
        Some(Cost::Rho(rho)) => violations.take("rho", privacy.cost(rho)),
    };
    let query = AggregateQuery {
        from,
        until: until.unwrap_or_default(),
        group_by: group_by.unwrap_or_default(),
        types: in_order(&types.unwrap_or_default()),
        max_groups_per_user: groups.unwrap_or_default(),
        max_per_group: times.unwrap_or_default(),
        rho: rho.unwrap_or_default(),
    };
    violations.finish((query, message.analyst))
}

fn required_time(message: Option<prost_types::Timestamp>) -> Result<Timestamp, String> {
    message.map_or_else(|| Err("must be set".to_owned()), timestamp)
}

fn checked_end(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<Timestamp, String> {
    if until > now {
        return Err("must not be in the future".to_owned());
    }
    let most = from.plus_millis(DAYS_MAX * Timestamp::DAY_MS);
    if until <= from || until > most {
        return Err(format!("must be after from, by at most {DAYS_MAX} days"));
    }
    Ok(until)
}

/// 0 is the default.
fn bound(value: u32, (default, max): (u32, u32)) -> Result<u32, String> {
    match value {
        0 => Ok(default),
        value if value <= max => Ok(value),
        value => Err(out_of_range(value.into(), 0.0, max.into())),
    }
}

fn grouping(code: i32) -> Result<GroupBy, String> {
    match AggregateGrouping::try_from(code) {
        Ok(AggregateGrouping::Unspecified) => Ok(GroupBy::Nothing),
        Ok(AggregateGrouping::Topic) => Ok(GroupBy::Topic),
        Ok(AggregateGrouping::Source) => Ok(GroupBy::Source),
        Ok(AggregateGrouping::InteractionType) => Ok(GroupBy::InteractionType),
        Ok(AggregateGrouping::Day) => Ok(GroupBy::Day),
        Err(_) => Err(format!("must be a known grouping, is {code}")),
    }
}

/// Each once. All of them are none: the same question is the same query.
fn in_order(named: &[InteractionType]) -> Vec<InteractionType> {
    let all = InteractionType::ALL;
    let types: Vec<_> = all.into_iter().filter(|kind| named.contains(kind)).collect();
    if types.len() == all.len() { Vec::new() } else { types }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn privacy() -> PrivacySettings {
        PrivacySettings::new(1.0, 1e-6, 30).unwrap()
    }

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds: 1_700_000_000 + seconds, nanos: 0 })
    }

    fn request() -> proto::QueryAggregatesRequest {
        proto::QueryAggregatesRequest {
            analyst: "ada".to_owned(),
            from: at(-86_400),
            until: at(0),
            cost: Some(Cost::Epsilon(0.5)),
            ..Default::default()
        }
    }

    fn fields(request: proto::QueryAggregatesRequest) -> Vec<String> {
        let wrong = aggregates(request, &privacy(), NOW).unwrap_err();
        wrong.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn what_is_not_given_has_a_default_and_types_are_a_set() {
        let (query, analyst) = aggregates(request(), &privacy(), NOW).unwrap();
        assert_eq!((query.max_groups_per_user, query.max_per_group, &*analyst), (3, 10, "ada"));
        assert_eq!((query.group_by, query.types.len()), (GroupBy::Nothing, 0));
        let of = |interaction_types: Vec<i32>| {
            let request = proto::QueryAggregatesRequest { interaction_types, ..request() };
            aggregates(request, &privacy(), NOW).unwrap().0
        };
        assert_eq!(of(vec![3, 2, 3]), of(vec![2, 3]));
        assert_eq!(of((1..=11).collect()), query);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let empty = fields(proto::QueryAggregatesRequest::default());
        assert_eq!(empty, ["analyst", "from", "until", "cost"]);
        let wrong = fields(proto::QueryAggregatesRequest {
            analyst: "a".repeat(65),
            until: at(1),
            group_by: 9,
            interaction_types: vec![0],
            max_groups_per_user: 101,
            max_per_group: 1_001,
            cost: Some(Cost::Rho(f64::NAN)),
            ..request()
        });
        assert_eq!(
            wrong,
            [
                "analyst",
                "until",
                "group_by",
                "interaction_types[0]",
                "max_groups_per_user",
                "max_per_group",
                "rho"
            ]
        );
        let long = proto::QueryAggregatesRequest { from: at(-367 * 86_400), ..request() };
        assert_eq!(fields(long), ["until"]);
        let backwards = proto::QueryAggregatesRequest { from: at(0), ..request() };
        assert_eq!(fields(backwards), ["until"]);
    }
}
