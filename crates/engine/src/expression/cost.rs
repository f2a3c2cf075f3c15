//! The largest cost of an expression for one item, known when it is parsed.
//!
//! A step is one visit of a node, a value or a member, or one comparison of two values.
//! Texts have at most a kilobyte, so a step takes some nanoseconds, at worst some tens of them.
//! Evaluation never takes more steps than [`Expression::cost`]; tests count them.

use crate::domain::limits;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::Operand;

impl Expression {
    /// Steps for one item at most.
    pub fn cost(&self) -> usize {
        let parts = |parts: &[Self]| parts.iter().map(Self::cost).sum::<usize>();
        1 + match self {
            Self::All(all) => parts(all),
            Self::Any(any) => parts(any),
            Self::Not(inner) => inner.cost(),
            Self::Has(field) => field.cost(),
            Self::Is(operand) => operand.cost(),
            Self::Compare(left, _, right) => {
                let longest = left.members_max().min(right.members_max());
                left.cost() + right.cost() + 1 + longest
            }
            Self::In(left, right) => left.cost() + right.cost() + membership(left, right),
        }
    }
}

/// Steps of searching the left value, or each of its members, in the right one.
fn membership(left: &Operand, right: &Operand) -> usize {
    let (sought, members) = (left.members_max().max(1), right.members_max());
    match (left, right) {
        (_, Operand::List(_)) => sought * search(members),
        (Operand::List(_), _) => members * (1 + search(sought)),
        (one, _) if one.members_max() == 0 => members + 1,
        // What the item has is sorted first.
        _ => (members + sought) * search(members),
    }
}

/// Comparisons of a binary search.
fn search(members: usize) -> usize {
    (usize::BITS - members.leading_zeros()) as usize + 1
}

impl Operand {
    fn cost(&self) -> usize {
        match self {
            Self::Field(field) => field.cost(),
            Self::Literal(_) | Self::List(_) => 0,
        }
    }

    /// Members that its value has at most, if it is a list.
    fn members_max(&self) -> usize {
        match self {
            Self::Field(Field::Topics) => limits::TOPICS,
            // An attribute may be used for the language.
            Self::Field(Field::Attribute(_) | Field::Language) => limits::ATTRIBUTE_LIST,
            Self::Field(_) | Self::Literal(_) => 0,
            Self::List(list) => list.members().len(),
        }
    }
}

impl Field {
    /// Steps of finding its value.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Attribute(_) | Self::Language => search(limits::ATTRIBUTES),
            _ => 1,
        }
    }
}
