//! The part of a filter that sets of items can answer.
//!
//! A plan is a tree of unions and intersections of sets, made from the filter's lists and its
//! expression. It may accept more items than the filter, never fewer, so every found item is
//! checked with the filter itself. Sets do not answer numbers, the order of texts, negations and
//! titles. Such a part of a conjunction is left out.

use crate::domain::AttributeValue;
use crate::domain::Timestamp;
use crate::expression::Comparison;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::retrieval::boost::Target;
use crate::retrieval::filter::Filter;
use crate::retrieval::mask::Mask;
use crate::state::postings::Label;
use crate::state::postings::LabelKey;
use crate::state::postings::Postings;

/// Which items may pass the filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Any(Vec<Plan>),
    /// One or more.
    All(Vec<Plan>),
    Label(LabelKey),
    PublishedAfter(Timestamp),
}

impl Plan {
    /// The plan of a filter at a moment; `None` when sets answer nothing. Also whether the sets
    /// answer nearly all conditions on the item itself.
    pub fn of(filter: &Filter, now: Timestamp) -> (Option<Self>, bool) {
        let mut tells_all = true;
        let mut all = Vec::new();
        let labels = |labels: &[Box<str>], of: fn(&str) -> LabelKey| {
            Self::Any(labels.iter().map(|one| Self::Label(of(one))).collect())
        };
        if !filter.topics.is_empty() {
            all.push(labels(&filter.topics, |topic| Label::Topic(topic).key()));
        }
        if !filter.sources.is_empty() {
            all.push(labels(&filter.sources, |source| Label::Source(source).key()));
        }
        all.extend(filter.published_after.map(Self::PublishedAfter));
        for (name, value) in filter.attributes.iter() {
            let text = |text: &str| Self::Label(Label::Text(name, text).key());
            match value {
                AttributeValue::Text(one) => all.push(text(one)),
                AttributeValue::Flag(flag) => {
                    all.push(Self::Label(Label::Flag(name, *flag).key()));
                }
                AttributeValue::List(list) => {
                    all.push(Self::Any(list.iter().map(|one| text(one)).collect()));
                }
                AttributeValue::Number(_) => tells_all = false,
            }
        }
        if let Some(expression) = &filter.expression {
            all.extend(of_expression(expression, now, &mut tells_all));
        }
        ((!all.is_empty()).then_some(Self::All(all)), tells_all)
    }

    /// The plan of a boost's target; `None` when sets do not answer it.
    pub fn of_target(target: &Target, now: Timestamp) -> Option<Self> {
        match target {
            Target::Item(_) => None,
            Target::Topic(topic) => Some(Self::Label(Label::Topic(topic).key())),
            Target::Source(source) => Some(Self::Label(Label::Source(source).key())),
            Target::Matching(expression) => of_expression(expression, now, &mut true),
        }
    }

    /// The items that may pass.
    pub fn items(&self, postings: &Postings) -> Mask {
        let words = postings.catalogue().len();
        match self {
            Self::All(parts) => {
                let mut parts = parts.iter().map(|part| part.items(postings));
                let mut mask = parts.next().unwrap_or_else(|| Mask::empty(words));
                parts.for_each(|part| mask.keep(&part));
                mask
            }
            other => {
                let mut mask = Mask::empty(words);
                other.add_to(&mut mask, postings);
                mask
            }
        }
    }

    fn add_to(&self, mask: &mut Mask, postings: &Postings) {
        match self {
            Self::Any(parts) => parts.iter().for_each(|part| part.add_to(mask, postings)),
            Self::All(_) => self.items(postings).iter().for_each(|item| mask.add(item)),
            Self::Label(label) => postings.of_label(*label).for_each(|item| mask.add(item)),
            Self::PublishedAfter(moment) => {
                postings.published_after(*moment).for_each(|item| mask.add(item));
            }
        }
    }
}

/// `None` when sets do not answer it; `tells_all` becomes false when a part is left out.
fn of_expression(expression: &Expression, now: Timestamp, tells_all: &mut bool) -> Option<Plan> {
    let told = match expression {
        Expression::All(parts) => {
            let told: Vec<Plan> =
                parts.iter().filter_map(|part| of_expression(part, now, tells_all)).collect();
            (!told.is_empty()).then_some(Plan::All(told))
        }
        Expression::Any(parts) => {
            let told: Option<Vec<Plan>> =
                parts.iter().map(|part| of_expression(part, now, tells_all)).collect();
            told.map(Plan::Any)
        }
        Expression::Is(Operand::Field(Field::Attribute(name))) => {
            Some(Plan::Label(Label::Flag(name, true).key()))
        }
        Expression::Compare(Operand::Field(field), comparison, Operand::Literal(literal)) => {
            of_comparison(field, *comparison, literal, now)
        }
        Expression::Compare(
            Operand::Literal(literal),
            Comparison::Equal,
            Operand::Field(field),
        ) => of_members(field, std::slice::from_ref(literal)),
        Expression::In(Operand::Literal(literal), Operand::Field(field)) => {
            of_members(field, std::slice::from_ref(literal))
        }
        Expression::In(Operand::Field(field), Operand::List(list))
        | Expression::In(Operand::List(list), Operand::Field(field)) => {
            of_members(field, list.members())
        }
        _ => None,
    };
    *tells_all &= told.is_some();
    told
}

fn of_comparison(
    field: &Field,
    comparison: Comparison,
    literal: &Literal,
    now: Timestamp,
) -> Option<Plan> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    // One second more, so that rounding loses no item.
    let after = |millis: f64| Plan::PublishedAfter(Timestamp::from_millis(millis as i64 - 1_000));
    match (field, comparison, literal) {
        (field, Equal, literal) => of_members(field, std::slice::from_ref(literal)),
        (Field::AgeHours, Less | LessOrEqual, Literal::Number(hours)) if hours.abs() < 1e9 => {
            Some(after(now.as_millis() as f64 - hours * Timestamp::HOUR_MS as f64))
        }
        (Field::PublishedAt, Greater | GreaterOrEqual, Literal::Number(seconds))
            if seconds.abs() < 1e15 =>
        {
            Some(after(seconds * 1_000.0))
        }
        _ => None,
    }
}

/// Items whose field is one of these values, or has one.
fn of_members(field: &Field, members: &[Literal]) -> Option<Plan> {
    let label = |member: &Literal| match (field, member) {
        (Field::Topics, Literal::Text(text)) => Some(Label::Topic(text).key()),
        (Field::Source, Literal::Text(text)) => Some(Label::Source(text).key()),
        (Field::Language, Literal::Text(text)) => Some(Label::Language(text).key()),
        (Field::Attribute(name), Literal::Text(text)) => Some(Label::Text(name, text).key()),
        (Field::Attribute(name), Literal::Flag(flag)) => Some(Label::Flag(name, *flag).key()),
        _ => None,
    };
    let told: Option<Vec<LabelKey>> = members.iter().map(label).collect();
    told.map(|labels| Plan::Any(labels.into_iter().map(Plan::Label).collect()))
}
