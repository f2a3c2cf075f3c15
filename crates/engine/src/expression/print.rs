//! Expression to text that parses as the same expression.

use std::fmt;

use crate::expression::Comparison;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::expression::RESERVED;

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => join(f, parts, " and "),
            Self::Any(parts) => join(f, parts, " or "),
            Self::Not(inner) => {
                f.write_str("not ")?;
                part(f, inner)
            }
            Self::Has(field) => write!(f, "has({field})"),
            Self::Is(operand) => write!(f, "{operand}"),
            Self::Compare(left, comparison, right) => write!(f, "{left} {comparison} {right}"),
            Self::In(left, right) => write!(f, "{left} in {right}"),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Expression], joint: &str) -> fmt::Result {
    for (position, one) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(joint)?;
        }
        part(f, one)?;
    }
    Ok(())
}

/// A part of something larger, in parentheses where precedence needs them.
fn part(f: &mut fmt::Formatter<'_>, part: &Expression) -> fmt::Result {
    match part {
        Expression::All(_) | Expression::Any(_) => write!(f, "({part})"),
        _ => write!(f, "{part}"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => write!(f, "{field}"),
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::List(members) => {
                f.write_str("[")?;
                for (position, member) in members.members().iter().enumerate() {
                    let joint = if position > 0 { ", " } else { "" };
                    write!(f, "{joint}{member}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::OWN.iter().find(|(_, own)| own == self) {
            return f.write_str(name);
        }
        let Self::Attribute(name) = self else {
            return Ok(());
        };
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let taken = RESERVED.contains(&&**name) || Self::named(name) != *self;
        if plain && !taken {
            f.write_str(name)
        } else {
            f.write_str("attr(")?;
            quoted(f, name)?;
            f.write_str(")")
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write;
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
