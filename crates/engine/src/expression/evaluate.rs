//! Whether an item satisfies an expression.
//!
//! Values are borrowed from the item and the expression: nothing is allocated. The
//! depth of the recursion is that of the expression, which is bounded. So is the number
//! of steps ([`crate::expression::cost`]).

use std::cmp::Ordering;

use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::Item;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::expression::Comparison;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::List;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::expression::steps::step;
use crate::expression::steps::steps;

/// Members of a list that are sorted at a time: the most that an attribute may have.
const SORTED_MAX: usize = limits::ATTRIBUTE_LIST;

/// Names in conditions on users that the context of a request has itself.
const DEVICE_TYPE: &str = "device_type";
const LOCATION: &str = "location";

/// The input of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    facts: Facts<'a>,
    /// The moment of the request.
    now: Timestamp,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy)]
enum Facts<'a> {
    Item(&'a Item),
    User(UserFacts<'a>),
}

/// A user with the context of the request. Attributes of the context go before the user's own.
#[derive(Debug, Clone, Copy)]
pub struct UserFacts<'a> {
    pub user_id: &'a str,
    pub own: Option<&'a Attributes>,
    pub context: &'a Attributes,
    pub device_type: Option<&'a str>,
    pub location: Option<&'a str>,
    pub language: Option<&'a str>,
}

#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Number(f64),
    Flag(bool),
    Topics(&'a [Box<str>]),
    Texts(&'a [String]),
    Literals(&'a List),
}

impl Expression {
    /// True or false for every item.
    pub fn holds(&self, subject: Subject<'_>) -> bool {
        step();
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
            Self::In(left, right) => {
                left.value(subject).is_some_and(|left| is_in(left, right, Some(subject)))
            }
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, subject: Subject<'a>) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => subject.value(field),
            Self::Literal(literal) => Some(literal.value()),
            Self::List(list) => Some(Value::Literals(list)),
        }
    }

    /// Its value if that is the same for every item.
    pub fn constant(&self) -> Option<Value<'_>> {
        match self {
            Self::Field(_) => None,
            Self::Literal(literal) => Some(literal.value()),
            Self::List(list) => Some(Value::Literals(list)),
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

impl<'a> UserFacts<'a> {
    /// `None` when neither the user nor the context has it.
    fn value(self, field: &Field) -> Option<Value<'a>> {
        let attribute = |name: &str| {
            let own = || self.own.and_then(|own| own.get(name));
            self.context.get(name).or_else(own).map(Value::of)
        };
        let text_or =
            |text: Option<&'a str>, name: &str| text.map(Value::Text).or_else(|| attribute(name));
        match field {
            Field::Id => Some(Value::Text(self.user_id)),
            Field::Language => text_or(self.language, "language"),
            Field::Attribute(name) => match &**name {
                name @ DEVICE_TYPE => text_or(self.device_type, name),
                name @ LOCATION => text_or(self.location, name),
                name => attribute(name),
            },
            Field::Title
            | Field::Topics
            | Field::Source
            | Field::PublishedAt
            | Field::ExpiresAt
            | Field::AgeHours => None,
        }
    }
}

impl<'a> Subject<'a> {
    pub const fn item(item: &'a Item, now: Timestamp) -> Self {
        Self { facts: Facts::Item(item), now }
    }

    pub const fn user(user: UserFacts<'a>, now: Timestamp) -> Self {
        Self { facts: Facts::User(user), now }
    }

    /// `None` when the item lacks it. An empty title and an empty list of topics count as lacking.
    fn value(self, field: &Field) -> Option<Value<'a>> {
        steps(field.cost());
        let item = match self.facts {
            Facts::Item(item) => item,
            Facts::User(user) => return user.value(field),
        };
        match field {
            Field::Id => Some(Value::Text(item.item_id.as_str())),
            Field::Title => Some(item.title.as_str()).filter(|t| !t.is_empty()).map(Value::Text),
            Field::Topics => {
                Some(item.topics.as_slice()).filter(|t| !t.is_empty()).map(Value::Topics)
            }
            // Items may come without a language: then an attribute of that name is used.
            Field::Language => {
                let own = item.language.as_deref().map(Value::Text);
                own.or_else(|| item.attributes.get("language").map(Value::of))
            }
            Field::Source => item.source.as_deref().map(Value::Text),
            Field::PublishedAt => item.published_at.map(seconds),
            Field::ExpiresAt => item.expires_at.map(seconds),
            Field::AgeHours => item.published_at.map(|at| Value::Number(self.now.hours_since(at))),
            Field::Attribute(name) => item.attributes.get(name).map(Value::of),
        }
    }
}

fn seconds(at: Timestamp) -> Value<'static> {
    Value::Number(at.as_millis() as f64 / 1_000.0)
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

    /// Members of a list, none of anything else, in order.
    fn members(self) -> impl Iterator<Item = Value<'a>> {
        let (topics, texts, literals): (&[Box<str>], &[String], &[Literal]) = match self {
            Self::Topics(topics) => (topics, &[], &[]),
            Self::Texts(texts) => (&[], texts, &[]),
            Self::Literals(list) => (&[], &[], list.members()),
            Self::Text(_) | Self::Number(_) | Self::Flag(_) => (&[], &[], &[]),
        };
        let topics = topics.iter().map(|topic| Self::Text(topic));
        let texts = texts.iter().map(|text| Value::Text(text));
        topics.chain(texts).chain(literals.iter().map(Literal::value))
    }

    /// Those of the members that are texts.
    fn texts(self) -> impl Iterator<Item = &'a str> {
        self.members().filter_map(|member| match member {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Topics(_) | Self::Texts(_) | Self::Literals(_))
    }
}

pub fn compare(left: Value<'_>, comparison: Comparison, right: Value<'_>) -> bool {
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
    step();
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

/// Whether `left`, or for a list one of its members, is a member of `right`.
/// `None` for a subject: `right` is the same for every item.
pub fn is_in(left: Value<'_>, right: &Operand, subject: Option<Subject<'_>>) -> bool {
    let right = match subject {
        Some(subject) => right.value(subject),
        None => right.constant(),
    };
    match (left, right) {
        (_, None) => false,
        (left, Some(Value::Literals(list))) if left.is_list() => {
            left.members().any(|member| contains(list, member))
        }
        (one, Some(Value::Literals(list))) => contains(list, one),
        (Value::Literals(list), Some(right)) => right.members().any(|one| {
            step();
            contains(list, one)
        }),
        (left, Some(right)) if left.is_list() => share(left, right),
        (one, Some(right)) => right.members().any(|member| equal(one, member)),
    }
}

/// Whether one value is a member of a literal list; a list never is.
fn contains(list: &List, value: Value<'_>) -> bool {
    match value {
        Value::Text(text) => list.has_text(text),
        Value::Number(number) => list.has_number(number),
        Value::Flag(flag) => list.has_flag(flag),
        Value::Topics(_) | Value::Texts(_) | Value::Literals(_) => false,
    }
}

/// Whether two lists of texts that the item has share a member: the right one is sorted, a
/// few members at a time, on the stack.
fn share(left: Value<'_>, right: Value<'_>) -> bool {
    let compare = |a: &str, b: &str| {
        step();
        a.cmp(b)
    };
    let mut sorted = [""; SORTED_MAX];
    let mut rest = right.texts();
    loop {
        let mut len = 0;
        for text in rest.by_ref().take(SORTED_MAX) {
            if let Err(at) = sorted[..len].binary_search_by(|one| compare(one, text)) {
                sorted.copy_within(at..len, at + 1);
                sorted[at] = text;
                len += 1;
            }
        }
        if len == 0 {
            return false;
        }
        let found = |text| sorted[..len].binary_search_by(|one| compare(one, text)).is_ok();
        if left.texts().any(found) {
            return true;
        }
    }
}
