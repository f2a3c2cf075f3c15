//! Whether an item satisfies an expression.
//!
//! Values are borrowed from the item and the expression: nothing is allocated. The
//! depth of the recursion is that of the expression, which is bounded.

use std::cmp::Ordering;

use super::Comparison;
use super::Expression;
use super::Field;
use super::Literal;
use super::Operand;
use crate::domain::AttributeValue;
use crate::domain::Item;
use crate::domain::Timestamp;

/// What an expression is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub item: &'a Item,
    /// The moment of the request.
    pub now: Timestamp,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Number(f64),
    Flag(bool),
    Topics(&'a [Box<str>]),
    Texts(&'a [String]),
    Literals(&'a [Literal]),
}

impl Expression {
    /// True or false for every item.
    pub fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(subject)),
            Self::Not(inner) => !inner.holds(subject),
            Self::Has(field) => subject.value(field).is_some(),
            Self::Is(operand) => matches!(operand.value(subject), Some(Value::Flag(true))),
            Self::Compare(left, comparison, right) => {
                match (left.value(subject), right.value(subject)) {
                    (Some(left), Some(right)) => compare(left, *comparison, right),
                    _ => false,
                }
            }
            Self::In(left, right) => match (left.value(subject), right.value(subject)) {
                (Some(left), Some(right)) => is_in(left, right),
                _ => false,
            },
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, subject: Subject<'a>) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => subject.value(field),
            Self::Literal(literal) => Some(literal.value()),
            Self::List(members) => Some(Value::Literals(members)),
        }
    }
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Number(number) => Value::Number(*number),
            Self::Flag(flag) => Value::Flag(*flag),
        }
    }
}

impl<'a> Subject<'a> {
    /// `None` when the item lacks it. An empty title and no topics are lacking, too.
    fn value(self, field: &Field) -> Option<Value<'a>> {
        let item = self.item;
        match field {
            Field::Id => Some(Value::Text(item.item_id.as_str())),
            Field::Title => Some(item.title.as_str()).filter(|t| !t.is_empty()).map(Value::Text),
            Field::Topics => {
                Some(item.topics.as_slice()).filter(|t| !t.is_empty()).map(Value::Topics)
            }
            // An attribute of that name stands in, as it did before items had a language.
            Field::Language => {
                let own = item.language.as_deref().map(Value::Text);
                own.or_else(|| item.attributes.get("language").map(Value::of))
            }
            Field::Source => item.source.as_deref().map(Value::Text),
            Field::PublishedAt => {
                item.published_at.map(|at| Value::Number(at.as_millis() as f64 / 1_000.0))
            }
            Field::AgeHours => item.published_at.map(|at| Value::Number(self.now.hours_since(at))),
            Field::Attribute(name) => item.attributes.get(name).map(Value::of),
        }
    }
}

impl<'a> Value<'a> {
    fn of(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Number(number) => Self::Number(*number),
            AttributeValue::Flag(flag) => Self::Flag(*flag),
            AttributeValue::List(list) => Self::Texts(list),
        }
    }

    /// Members of a list, none of anything else.
    fn members(self) -> impl Iterator<Item = Value<'a>> {
        let (topics, texts, literals): (&[Box<str>], &[String], &[Literal]) = match self {
            Self::Topics(topics) => (topics, &[], &[]),
            Self::Texts(texts) => (&[], texts, &[]),
            Self::Literals(literals) => (&[], &[], literals),
            Self::Text(_) | Self::Number(_) | Self::Flag(_) => (&[], &[], &[]),
        };
        let topics = topics.iter().map(|topic| Self::Text(topic));
        let texts = texts.iter().map(|text| Value::Text(text));
        topics.chain(texts).chain(literals.iter().map(Literal::value))
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Topics(_) | Self::Texts(_) | Self::Literals(_))
    }
}

fn compare(left: Value<'_>, comparison: Comparison, right: Value<'_>) -> bool {
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::NotEqual => !equal(left, right),
        Comparison::Less => order(left, right) == Some(Ordering::Less),
        Comparison::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Comparison::Greater => order(left, right) == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
    }
}

/// Numbers by size, texts by their bytes; anything else has no order.
fn order(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(&right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Lists are equal when their members are, in order.
fn equal(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Flag(left), Value::Flag(right)) => left == right,
        (left, right) if left.is_list() && right.is_list() => {
            let (mut left, mut right) = (left.members(), right.members());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return true,
                    (Some(left), Some(right)) if equal(left, right) => {}
                    _ => return false,
                }
            }
        }
        (left, right) => order(left, right) == Some(Ordering::Equal),
    }
}

fn is_in(left: Value<'_>, list: Value<'_>) -> bool {
    let has = |value: Value<'_>| list.members().any(|member| equal(value, member));
    if left.is_list() { left.members().any(has) } else { has(left) }
}
