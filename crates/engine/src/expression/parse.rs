//! Text to expression, by `winnow`. Errors have a byte position and what was expected there.
//!
//! - Each parser consumes the blanks after it, so the position of an error
//!   is where something else was expected.
//! - After a word that decides what follows, errors do not backtrack: the message is
//!   about the position of the error and not about the start.

use winnow::LocatingSlice;
use winnow::ModalResult;
use winnow::Parser;
use winnow::Stateful;
use winnow::combinator::alt;
use winnow::combinator::cut_err;
use winnow::combinator::delimited;
use winnow::combinator::fail;
use winnow::combinator::not;
use winnow::combinator::opt;
use winnow::combinator::peek;
use winnow::combinator::preceded;
use winnow::combinator::separated;
use winnow::combinator::terminated;
use winnow::error::ContextError;
use winnow::error::ErrMode;
use winnow::error::StrContext;
use winnow::error::StrContextValue;
use winnow::stream::Stream;
use winnow::token::any;
use winnow::token::one_of;
use winnow::token::take_while;

use crate::domain::Timestamp;
use crate::domain::limits;
use crate::expression::Comparison;
use crate::expression::Expression;
use crate::expression::Field;
use crate::expression::List;
use crate::expression::Literal;
use crate::expression::Operand;
use crate::expression::RESERVED;

/// The position of an error, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is wrong at byte {position}: {expected}")]
pub struct SyntaxError {
    /// Bytes before the error.
    pub position: usize,
    /// As a sentence: what was expected, or which limit was passed.
    pub expected: String,
}

/// The used parts of the limits.
#[derive(Debug, Default)]
struct Used {
    depth: usize,
    nodes: usize,
}

type Input<'i> = Stateful<LocatingSlice<&'i str>, Used>;

/// Parses an expression.
///
/// # Errors
/// [`SyntaxError`] at the first position that is wrong or beyond a limit; at the end when the
/// expression costs too much.
pub fn parse(text: &str) -> Result<Expression, SyntaxError> {
    if text.len() > limits::EXPRESSION_BYTES {
        return Err(SyntaxError {
            position: limits::EXPRESSION_BYTES,
            expected: format!("at most {} bytes are allowed", limits::EXPRESSION_BYTES),
        });
    }
    let input = Stateful { input: LocatingSlice::new(text), state: Used::default() };
    let whole = delimited(blanks, any_of, end.context(expected("`and`, `or` or the end")));
    let mut whole = whole;
    let read = whole.parse(input).map_err(|error| SyntaxError {
        position: error.offset(),
        expected: in_words(error.inner()),
    })?;
    let folded = read.folded();
    let (cost, most) = (folded.cost(), limits::EXPRESSION_STEPS);
    if cost > most {
        let expected = format!(
            "it may take {cost} steps for each item, and {most} are allowed: fewer tests of \
             lists, or shorter ones"
        );
        return Err(SyntaxError { position: text.len(), expected });
    }
    Ok(folded)
}

fn end(input: &mut Input<'_>) -> ModalResult<()> {
    winnow::combinator::eof.void().parse_next(input)
}

/// The innermost expectation: the outer ones are about the start of the whole.
fn in_words(error: &ContextError) -> String {
    let first = error.context().next();
    match first {
        Some(StrContext::Label(limit)) => (*limit).to_owned(),
        Some(StrContext::Expected(what)) => format!("expected {what}"),
        _ => "expected something else".to_owned(),
    }
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

/// A limit that is passed here, or a test that cannot be meant, ends the parsing.
fn limit(input: &Input<'_>, message: &'static str) -> ErrMode<ContextError> {
    use winnow::error::AddContext;
    use winnow::error::ParserError;
    let error = ContextError::from_input(input);
    ErrMode::Cut(error.add_context(input, &input.checkpoint(), StrContext::Label(message)))
}

fn count_node(input: &mut Input<'_>) -> ModalResult<()> {
    input.state.nodes += 1;
    if input.state.nodes > limits::EXPRESSION_NODES {
        return Err(limit(input, "too many operators, names and values (512 at most)"));
    }
    Ok(())
}

fn any_of(input: &mut Input<'_>) -> ModalResult<Expression> {
    joined(input, all_of, "or", Expression::Any)
}

fn all_of(input: &mut Input<'_>) -> ModalResult<Expression> {
    joined(input, one, "and", Expression::All)
}

fn joined(
    input: &mut Input<'_>,
    part: fn(&mut Input<'_>) -> ModalResult<Expression>,
    joint: &'static str,
    join: fn(Vec<Expression>) -> Expression,
) -> ModalResult<Expression> {
    let mut parts = vec![part(input)?];
    while opt(word(joint)).parse_next(input)?.is_some() {
        parts.push(cut_err(part).parse_next(input)?);
    }
    if parts.len() > 1 {
        count_node(input)?;
        return Ok(join(parts));
    }
    Ok(parts.remove(0))
}

fn one(input: &mut Input<'_>) -> ModalResult<Expression> {
    input.state.depth += 1;
    if input.state.depth > limits::EXPRESSION_DEPTH {
        return Err(limit(input, "nested too deeply (32 levels at most)"));
    }
    let negated = preceded(word("not"), cut_err(one));
    let inner = delimited(sign("("), cut_err(any_of), cut_err(sign(")")));
    let has = preceded(word("has"), cut_err(delimited(sign("("), field, sign(")"))));
    let read = alt((
        negated.map(|inner| Expression::Not(Box::new(inner))),
        inner,
        has.map(Expression::Has),
        test,
        fail.context(expected("a test, `not`, `has(..)` or `(`")),
    ))
    .parse_next(input)?;
    input.state.depth -= 1;
    count_node(input)?;
    Ok(read)
}

fn test(input: &mut Input<'_>) -> ModalResult<Expression> {
    let left = operand(input)?;
    if opt(word("in")).parse_next(input)?.is_some() {
        let right = right_of(&left, input)?;
        return Ok(Expression::In(left, right));
    }
    if opt((word("not"), word("in"))).parse_next(input)?.is_some() {
        let right = right_of(&left, input)?;
        return Ok(Expression::Not(Box::new(Expression::In(left, right))));
    }
    match opt(comparison).parse_next(input)? {
        Some(comparison) => {
            let right = right_of(&left, input)?;
            Ok(Expression::Compare(left, comparison, right))
        }
        None if matches!(left, Operand::Field(_) | Operand::Literal(Literal::Flag(_))) => {
            Ok(Expression::Is(left))
        }
        None => cut_err(fail.context(expected("a comparison or `in`"))).parse_next(input),
    }
}

/// The right side of a test of a value.
fn right_of(left: &Operand, input: &mut Input<'_>) -> ModalResult<Operand> {
    let start = input.checkpoint();
    let right = cut_err(operand).parse_next(input)?;
    if let Some(message) = confusion(left, &right).or_else(|| confusion(&right, left)) {
        input.reset(&start);
        return Err(limit(input, message));
    }
    Ok(right)
}

/// What to write instead where a number of the item is tested against a text, which it never equals.
pub(super) fn confusion(field: &Operand, other: &Operand) -> Option<&'static str> {
    let is_text = |literal: &Literal| matches!(literal, Literal::Text(_));
    let has_text = match other {
        Operand::Field(_) => false,
        Operand::Literal(literal) => is_text(literal),
        Operand::List(list) => list.members().iter().any(is_text),
    };
    match field {
        Operand::Field(Field::PublishedAt | Field::ExpiresAt) if has_text => {
            Some("a time is no text: write time(\"2024-05-01\") or time(\"2024-05-01T12:30:00Z\")")
        }
        Operand::Field(Field::AgeHours) if has_text => Some("`age_hours` is a number and no text"),
        _ => None,
    }
}

fn comparison(input: &mut Input<'_>) -> ModalResult<Comparison> {
    alt((
        sign("!=").value(Comparison::NotEqual),
        sign("<=").value(Comparison::LessOrEqual),
        sign(">=").value(Comparison::GreaterOrEqual),
        sign("==").value(Comparison::Equal),
        sign("=").value(Comparison::Equal),
        sign("<").value(Comparison::Less),
        sign(">").value(Comparison::Greater),
    ))
    .parse_next(input)
}

fn operand(input: &mut Input<'_>) -> ModalResult<Operand> {
    count_node(input)?;
    let list = separated(0.., literal, sign(","));
    alt((
        literal.map(Operand::Literal),
        delimited(sign("["), list, cut_err(sign("]")))
            .map(|members: Vec<Literal>| Operand::List(List::new(members))),
        field.map(Operand::Field),
        fail.context(expected("a name, a text, a number, `true`, `false` or a list")),
    ))
    .parse_next(input)
}

fn literal(input: &mut Input<'_>) -> ModalResult<Literal> {
    let read = alt((
        text.map(Literal::Text),
        number.map(Literal::Number),
        word("true").value(Literal::Flag(true)),
        word("false").value(Literal::Flag(false)),
        time.map(Literal::Number),
        fail.context(expected("a text, a number, `true` or `false`")),
    ))
    .parse_next(input)?;
    count_node(input)?;
    Ok(read)
}

fn field(input: &mut Input<'_>) -> ModalResult<Field> {
    let named = preceded((word("attr"), sign("(")), cut_err(terminated(text, sign(")"))));
    alt((named.map(Field::Attribute), name.map(Field::named), fail.context(expected("a name"))))
        .parse_next(input)
}

/// A time as seconds since 1970: `time("2024-05-01")`, `time("2024-05-01T12:30:00Z")`.
fn time(input: &mut Input<'_>) -> ModalResult<f64> {
    (word("time"), sign("(")).void().parse_next(input)?;
    let seconds = text.verify_map(|text| Timestamp::parse_rfc3339(&text));
    let seconds = cut_err(seconds.context(expected("a time such as \"2024-05-01T12:30:00Z\"")))
        .parse_next(input)?;
    cut_err(sign(")")).parse_next(input)?;
    Ok(seconds.as_millis() as f64 / 1_000.0)
}

fn name<'i>(input: &mut Input<'i>) -> ModalResult<&'i str> {
    let first = one_of(|c: char| c.is_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_alphanumeric() || c == '_');
    let name = (first, rest).take().verify(|name: &str| !RESERVED.contains(&name));
    terminated(name, blanks).parse_next(input)
}

/// In double or single quotes; a backslash escapes the character after it.
fn text(input: &mut Input<'_>) -> ModalResult<Box<str>> {
    let quote = one_of(['"', '\'']).parse_next(input)?;
    let mut read = String::new();
    loop {
        let closing = "the closing quote of the text";
        match cut_err(any.context(expected(closing))).parse_next(input)? {
            c if c == quote => break,
            '\\' => read.push(cut_err(any.context(expected(closing))).parse_next(input)?),
            c => read.push(c),
        }
    }
    blanks(input)?;
    Ok(read.into())
}

fn number(input: &mut Input<'_>) -> ModalResult<f64> {
    let digits = || take_while(1.., '0'..='9');
    let fraction = opt(('.', cut_err(digits().context(expected("digits")))));
    let exponent = opt((
        one_of(['e', 'E']),
        opt(one_of(['+', '-'])),
        cut_err(digits().context(expected("digits"))),
    ));
    let written = (opt('-'), digits(), fraction, exponent).take();
    let number =
        written.verify_map(|written: &str| written.parse().ok().filter(|n: &f64| n.is_finite()));
    terminated(number, (peek(not(word_character)), blanks)).parse_next(input)
}

fn word_character(input: &mut Input<'_>) -> ModalResult<char> {
    one_of(|c: char| c.is_alphanumeric() || c == '_').parse_next(input)
}

/// A word of the language, not the start of a longer name.
fn word<'i>(word: &'static str) -> impl Parser<Input<'i>, (), ErrMode<ContextError>> {
    (word, not(word_character), blanks).void()
}

fn sign<'i>(sign: &'static str) -> impl Parser<Input<'i>, (), ErrMode<ContextError>> {
    let quoted = StrContext::Expected(StrContextValue::StringLiteral(sign));
    (sign.context(quoted), blanks).void()
}

fn blanks(input: &mut Input<'_>) -> ModalResult<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}
