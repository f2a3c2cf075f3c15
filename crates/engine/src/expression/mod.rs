//! Conditions on items, written by callers: `price < 20 and "news" in topics`.
//!
//! - Total and pure: every expression is true or false for every item, whatever the
//!   item lacks. It has no loops, no user-defined functions and no arithmetic.
//! - Two-valued: a test of a value that the item lacks is false; `not` of it is true. Values of
//!   different types are unequal and have no order. `has(name)` tests for a value. A text where
//!   the item has a time or an age is an error: it is surely meant as a time.
//! - Bounded: bytes, depth and nodes have limits, so a test never overflows the stack. It
//!   allocates nothing. Its cost for an item is known when it is parsed ([`cost`]), and
//!   an expression that costs too much is an error.
//!
//! Grammar, loosest first; words are in lower case:
//!
//! ```text
//! any     = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" any ")" | "has" "(" field ")" | test
//! test    = value [ ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in" ) value ]
//! value   = text | number | "true" | "false" | "[" [ literal { "," literal } ] "]"
//!         | "time" "(" text ")" | field
//! field   = name | "attr" "(" text ")"
//! ```
//!
//! `id`, `title`, `topics`, `source`, `language`, `published_at` and `expires_at` (seconds since
//! 1970), and `age_hours` are the item's own fields; any other name, and any name in `attr(..)`,
//! is an attribute.

mod cost;
mod evaluate;
mod fold;
mod list;
mod parse;
mod print;
mod steps;
#[cfg(test)]
mod tests;

pub use evaluate::Subject;
pub use evaluate::UserFacts;
pub use list::List;
pub use parse::{SyntaxError, parse};

/// A condition on an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// All of two or more.
    All(Vec<Self>),
    /// Any of two or more.
    Any(Vec<Self>),
    Not(Box<Self>),
    /// The item has it.
    Has(Field),
    /// A value that is itself true.
    Is(Operand),
    Compare(Operand, Comparison, Operand),
    /// The left is a member of the right; a list on the left: any of its members is.
    In(Operand, Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The same with the sides exchanged.
    pub fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Field(Field),
    Literal(Literal),
    List(List),
}

/// Something an item may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Id,
    Title,
    Topics,
    Source,
    Language,
    /// In seconds since 1970.
    PublishedAt,
    /// In seconds since 1970.
    ExpiresAt,
    /// Hours from publication to the moment of the request.
    AgeHours,
    Attribute(Box<str>),
}

impl Field {
    /// The item's own fields by name.
    const OWN: [(&'static str, Self); 8] = [
        ("id", Self::Id),
        ("title", Self::Title),
        ("topics", Self::Topics),
        ("source", Self::Source),
        ("language", Self::Language),
        ("published_at", Self::PublishedAt),
        ("expires_at", Self::ExpiresAt),
        ("age_hours", Self::AgeHours),
    ];

    /// Its name, where no user has it.
    fn of_items(&self) -> Option<&'static str> {
        let is_of_users = matches!(self, Self::Id | Self::Language | Self::Attribute(_));
        let own = Self::OWN.iter().find(|(_, own)| own == self && !is_of_users);
        own.map(|(name, _)| *name)
    }

    fn named(name: &str) -> Self {
        let own = Self::OWN.into_iter().find(|(own, _)| *own == name);
        own.map_or_else(|| Self::Attribute(name.into()), |(_, field)| field)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(Box<str>),
    /// Finite.
    Number(f64),
    Flag(bool),
}

/// Words that are no names of attributes unless in `attr(..)`.
const RESERVED: [&str; 8] = ["and", "or", "not", "in", "has", "true", "false", "attr"];

impl Expression {
    /// The first name in it that only items have.
    pub fn item_field(&self) -> Option<&'static str> {
        let of_operand = |operand: &Operand| match operand {
            Operand::Field(field) => field.of_items(),
            Operand::Literal(_) | Operand::List(_) => None,
        };
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().find_map(Self::item_field),
            Self::Not(inner) => inner.item_field(),
            Self::Has(field) => field.of_items(),
            Self::Is(operand) => of_operand(operand),
            Self::Compare(left, _, right) | Self::In(left, right) => {
                of_operand(left).or_else(|| of_operand(right))
            }
        }
    }

    /// Whether the outcome for an item changes with the time of the request.
    pub fn depends_on_time(&self) -> bool {
        let ages = |operand: &Operand| matches!(operand, Operand::Field(Field::AgeHours));
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::depends_on_time),
            Self::Not(inner) => inner.depends_on_time(),
            Self::Has(_) => false,
            Self::Is(operand) => ages(operand),
            Self::Compare(left, _, right) | Self::In(left, right) => ages(left) || ages(right),
        }
    }
}
