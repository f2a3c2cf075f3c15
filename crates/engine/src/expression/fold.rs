//! Parts that are the same for every item are evaluated once, when an expression is parsed.

use crate::expression::Expression;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::expression::evaluate::compare;
use crate::expression::evaluate::is_in;

const fn constant(flag: bool) -> Expression {
    Expression::Is(Operand::Literal(Literal::Flag(flag)))
}

impl Expression {
    /// The same condition without parts that are the same for every item, as far as this is
    /// easy to detect.
    #[must_use]
    pub fn folded(self) -> Self {
        match self {
            Self::All(parts) => join(parts, false, Self::All),
            Self::Any(parts) => join(parts, true, Self::Any),
            Self::Not(inner) => match inner.folded() {
                Self::Not(twice) => *twice,
                folded => match folded.always() {
                    Some(flag) => constant(!flag),
                    None => Self::Not(Box::new(folded)),
                },
            },
            Self::Compare(left, comparison, right) => match (left.constant(), right.constant()) {
                (Some(ours), Some(theirs)) => constant(compare(ours, comparison, theirs)),
                _ => Self::Compare(left, comparison, right),
            },
            Self::In(left, right) => match (left.constant(), right.constant()) {
                (Some(ours), Some(_)) => constant(is_in(ours, &right, None)),
                _ => Self::In(left, right),
            },
            Self::Has(_) | Self::Is(_) => self,
        }
    }

    /// The value for every item, if it is constant.
    fn always(&self) -> Option<bool> {
        match self {
            Self::Is(Operand::Literal(Literal::Flag(flag))) => Some(*flag),
            _ => None,
        }
    }
}

/// Joins parts. A part that is `deciding` decides the whole; other constant parts are dropped.
fn join(
    parts: Vec<Expression>,
    deciding: bool,
    join: fn(Vec<Expression>) -> Expression,
) -> Expression {
    let mut left: Vec<Expression> = Vec::with_capacity(parts.len());
    for part in parts.into_iter().map(Expression::folded) {
        match part.always() {
            Some(flag) if flag == deciding => return constant(deciding),
            Some(_) => {}
            None => left.push(part),
        }
    }
    match left.len() {
        0 => constant(!deciding),
        1 => left.remove(0),
        _ => join(left),
    }
}
