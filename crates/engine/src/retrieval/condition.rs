//! What sets of items tell of the conditions of a request: the plan of each kind of test.
//!
//! Each rule follows the meaning in [`crate::expression`]: a test of something that an item
//! lacks, or that has another type, is false.

use crate::domain::AttributeValue;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::expression::Comparison;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::retrieval::boost::Target;
use crate::retrieval::filter::Filter;
use crate::retrieval::plan::Bound;
use crate::retrieval::plan::Plan;
use crate::state::postings::Label;
use crate::state::postings::NumberRange;

/// The plan of a filter at a moment.
pub fn of_filter(filter: &Filter, now: Timestamp) -> Plan {
    let mut all = Vec::new();
    if !filter.topics.is_empty() {
        all.push(Plan::any(&filter.topics, |topic| Plan::label(Label::Topic(topic))));
    }
    if !filter.sources.is_empty() {
        all.push(Plan::any(&filter.sources, |source| Plan::label(Label::Source(source))));
    }
    all.extend(filter.published_after.map(|at| Plan::Published(at.as_millis(), i64::MAX)));
    all.extend(filter.attributes.iter().map(|(name, value)| match value {
        AttributeValue::Text(one) => Plan::text(name, one),
        AttributeValue::Flag(flag) => Plan::label(Label::Flag(name, *flag)),
        AttributeValue::List(list) => Plan::any(list, |one| Plan::text(name, one)),
        AttributeValue::Number(number) => Plan::number(name, *number),
    }));
    all.extend(filter.expression.as_ref().map(|expression| of_expression(expression, now)));
    Plan::All(all)
}

/// The plan of what a user has not blocked by source or topic.
pub fn of_blocks(rules: &UserRules) -> Plan {
    let (sources, topics) = (rules.blocked_sources.entries(), rules.blocked_topics.entries());
    let sources = sources.iter().map(|source| Plan::label(Label::Source(source)));
    let topics = topics.iter().map(|topic| Plan::label(Label::Topic(topic)));
    let blocked: Vec<Plan> = sources.chain(topics).collect();
    if blocked.is_empty() { Plan::EVERY } else { Plan::Not(Box::new(Plan::Any(blocked))) }
}

/// The plan of a boost's target; `None` when sets do not tell which items it is about.
pub fn of_target(target: &Target, now: Timestamp) -> Option<Plan> {
    let plan = match target {
        Target::Item(id) => Plan::Id(id.clone()),
        Target::Topic(topic) => Plan::label(Label::Topic(topic)),
        Target::Source(source) => Plan::label(Label::Source(source)),
        Target::Matching(expression) => of_expression(expression, now),
    };
    plan.tells(Bound::Upper).then_some(plan)
}

/// The plan of an expression at a moment.
fn of_expression(expression: &Expression, now: Timestamp) -> Plan {
    let all = |parts: &[Expression]| parts.iter().map(|part| of_expression(part, now)).collect();
    match expression {
        Expression::All(parts) => Plan::All(all(parts)),
        Expression::Any(parts) => Plan::Any(all(parts)),
        Expression::Not(inner) => Plan::Not(Box::new(of_expression(inner, now))),
        Expression::Has(field) => has(field),
        Expression::Is(Operand::Literal(Literal::Flag(true))) => Plan::EVERY,
        Expression::Is(Operand::Literal(_) | Operand::List(_)) => Plan::NONE,
        Expression::Is(Operand::Field(Field::Attribute(name))) => {
            Plan::label(Label::Flag(name, true))
        }
        Expression::Compare(Operand::Field(field), comparison, Operand::Literal(literal)) => {
            of_comparison(field, *comparison, literal, now)
        }
        Expression::Compare(Operand::Literal(literal), comparison, Operand::Field(field)) => {
            of_comparison(field, comparison.turned(), literal, now)
        }
        Expression::In(Operand::Field(field), Operand::List(list)) => {
            Plan::any(list.members(), |member| is_or_has(field, member))
        }
        Expression::In(Operand::List(list), Operand::Field(field)) => {
            Plan::any(list.members(), |member| has_member(field, member))
        }
        Expression::In(Operand::Literal(literal), Operand::Field(field)) => {
            has_member(field, literal)
        }
        Expression::Is(_) | Expression::Compare(..) | Expression::In(..) => Plan::Unknown,
    }
}

fn has(field: &Field) -> Plan {
    match field {
        Field::Id => Plan::EVERY,
        Field::PublishedAt | Field::AgeHours => Plan::Published(i64::MIN, i64::MAX),
        Field::Attribute(name) => Plan::label(Label::Has(name)),
        Field::Title | Field::Topics | Field::Source | Field::Language | Field::ExpiresAt => {
            Plan::Unknown
        }
    }
}

fn of_comparison(field: &Field, comparison: Comparison, literal: &Literal, now: Timestamp) -> Plan {
    match (comparison, field, literal) {
        (Comparison::Equal, ..) => is(field, literal),
        (Comparison::NotEqual, ..) => {
            Plan::All(vec![Plan::Not(Box::new(is(field, literal))), has(field)])
        }
        // Flags have no order.
        (_, _, Literal::Flag(_)) => Plan::NONE,
        (_, Field::Attribute(name), Literal::Number(number)) => {
            let all = NumberRange::of(name);
            Plan::Number(match comparison {
                Comparison::Less | Comparison::LessOrEqual => {
                    all.to(*number, comparison == Comparison::LessOrEqual)
                }
                _ => all.from(*number, comparison == Comparison::GreaterOrEqual),
            })
        }
        (_, Field::PublishedAt, Literal::Number(seconds)) => {
            published(comparison, seconds * 1_000.0)
        }
        // The older an item is, the earlier it was published.
        (_, Field::AgeHours, Literal::Number(hours)) => {
            let at = now.as_millis() as f64 - hours * Timestamp::HOUR_MS as f64;
            published(comparison.turned(), at)
        }
        _ => Plan::Unknown,
    }
}

/// Published before or after a moment. The conversion keeps to the range of the integer.
fn published(comparison: Comparison, millis: f64) -> Plan {
    match comparison {
        Comparison::Less | Comparison::LessOrEqual => Plan::Published(i64::MIN, millis as i64),
        _ => Plan::Published(millis as i64, i64::MAX),
    }
}

/// `field = literal`. A list never equals one value.
fn is(field: &Field, literal: &Literal) -> Plan {
    match (field, literal) {
        (Field::Id, Literal::Text(id)) => Plan::Id(id.clone()),
        (Field::Source, Literal::Text(source)) => Plan::label(Label::Source(source)),
        (Field::Id | Field::Source | Field::Topics, _) => Plan::NONE,
        (Field::Language, Literal::Text(text)) => Plan::label(Label::Language(text)),
        (Field::Attribute(name), Literal::Text(text)) => Plan::label(Label::Text(name, text)),
        (Field::Attribute(name), Literal::Flag(flag)) => Plan::label(Label::Flag(name, *flag)),
        (Field::Attribute(name), Literal::Number(number)) => Plan::number(name, *number),
        (
            Field::Title
            | Field::Language
            | Field::PublishedAt
            | Field::ExpiresAt
            | Field::AgeHours,
            _,
        ) => Plan::Unknown,
    }
}

/// `literal in field`: the field is a list with it.
fn has_member(field: &Field, literal: &Literal) -> Plan {
    match (field, literal) {
        (Field::Topics, Literal::Text(text)) => Plan::label(Label::Topic(text)),
        (Field::Language, Literal::Text(text)) => Plan::label(Label::LanguageMember(text)),
        (Field::Attribute(name), Literal::Text(text)) => Plan::label(Label::Member(name, text)),
        _ => Plan::NONE,
    }
}

/// `field in [literal]`: the field is it, or is a list with it.
fn is_or_has(field: &Field, literal: &Literal) -> Plan {
    Plan::Any(vec![is(field, literal), has_member(field, literal)])
}
