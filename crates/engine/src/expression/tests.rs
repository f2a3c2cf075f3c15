//! The meaning of expressions, errors, and that no text panics or changes its meaning when it
//! is printed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::expression::steps::counting::taken;
use crate::expression::*;

const NOW: Timestamp = Timestamp::from_seconds(1_714_608_000);

fn item(values: impl IntoIterator<Item = (String, AttributeValue)>) -> Item {
    Item {
        title: "A title".to_owned(),
        topics: vec!["news".into(), "sport".into()],
        source: Some("a".into()),
        published_at: Timestamp::parse_rfc3339("2024-05-01T12:00:00Z"),
        expires_at: Timestamp::parse_rfc3339("2024-06-02T00:00:00Z"),
        attributes: Attributes::new(values.into_iter().collect()).unwrap(),
        ..Item::new(ItemId::parse("i1").unwrap())
    }
}

fn holds(text: &str) -> bool {
    let item = item([
        ("price".to_owned(), AttributeValue::Number(12.5)),
        ("explicit".to_owned(), AttributeValue::Flag(false)),
        ("language".to_owned(), AttributeValue::Text("de".to_owned())),
        ("tags".to_owned(), AttributeValue::List(vec!["x".to_owned(), "y".to_owned()])),
        ("my name".to_owned(), AttributeValue::Flag(true)),
    ]);
    let expression = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.holds(Subject::item(&item, NOW))
}

#[test]
fn conditions_on_fields_and_attributes_hold_as_they_read() {
    for held in [
        r#"price < 20 and ("news" in topics or source in ["b", "c"]) and not explicit"#,
        "price = 12.5 and price != 13 and price >= 12.5 and price <= 12.5 and 12 < price",
        "topics in ['sport', 'art'] and tags in ['y']",
        "language in ['de', 'fr'] and language not in ['en'] and language > 'aa'",
        "id = 'i1' and title = 'A title' and source == 'a'",
        "published_at >= time('2024-05-01') and published_at < time(\"2024-05-01T14:30:00+02:00\")",
        "age_hours = 12 and age_hours < 24",
        "expires_at > time('2024-06-01') and expires_at = time('2024-06-02T00:00:00Z')",
        "has(price) and has(topics) and not has(nothing) and has(attr('my name'))",
        "attr('my name') and true",
        "tags = ['x', 'y'] and tags != ['y', 'x']",
        "false or not false",
        "  price\n<\t20  ",
        "price<20 and price>10",
    ] {
        assert!(holds(held), "{held}");
    }
}

#[test]
fn a_test_of_a_missing_value_or_of_another_type_is_false_and_its_negation_true() {
    for test in [
        "stock > 3",
        "stock != 3",
        "stock in [3]",
        "stock",
        "price < 'x'",
        "price",
        "'x' in source",
    ] {
        assert!(!holds(test), "{test}");
        assert!(holds(&format!("not ({test})")), "{test}");
    }
    assert!(holds("stock not in [3]"));
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    assert!(holds("true or false and false"));
    assert!(!holds("(true or false) and false"));
    assert!(holds("not false and true"));
    assert_eq!(parse("not price < 3"), parse("not (price < 3)"));
}

#[test]
fn an_error_has_its_byte_and_what_was_expected_there() {
    for (text, position, expected) in [
        ("", 0, "a test"),
        ("price <", 7, "a name, a text"),
        ("price < 20 and", 14, "a test"),
        ("(price < 20", 11, "`)`"),
        ("price < 20 price", 11, "`and`, `or` or the end"),
        ("source = \"ab", 12, "closing quote"),
        ("topics in [1, 2", 15, "`]`"),
        ("published_at > time('soon')", 20, "a time such as"),
        ("12", 2, "a comparison"),
        ("price < 1.", 10, "digits"),
        ("price § 3", 6, "`and`, `or` or the end"),
        ("has price", 4, "`(`"),
        ("published_at >= '2026-01-01'", 16, "time(\"2024-05-01\")"),
        ("not '2026-01-01' != expires_at", 20, "time(\"2024-05-01\")"),
        ("a or expires_at not in [1, '2026-01-01']", 23, "time(\"2024-05-01\")"),
        ("age_hours < '24'", 12, "a number"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
    }
}

#[test]
fn size_depth_and_nodes_are_limited() {
    let message = |text: &str| parse(text).unwrap_err().expected;
    let long = format!("a = '{}'", "x".repeat(limits::EXPRESSION_BYTES));
    assert!(message(&long).contains("4096 bytes"));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(limits::EXPRESSION_DEPTH - 1)).is_ok());
    assert!(message(&nested(limits::EXPRESSION_DEPTH)).contains("deeply"));
    assert!(message(&"not ".repeat(1_000)).contains("deeply"));
    let list = |members: usize| format!("a in [{}]", vec!["1"; members].join(","));
    assert!(parse(&list(500)).is_ok());
    assert!(message(&list(513)).contains("too many"));
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        prop::sample::select(&Field::OWN[..]).prop_map(|(_, field)| field),
        "[a-c]".prop_map(|name| Field::Attribute(name.into())),
        prop::sample::select(&["and", "id", "true", "1a", "", "ä", "a b", "\"\\"][..])
            .prop_map(|name| Field::Attribute(name.into())),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        ".{0,4}".prop_map(|text| Literal::Text(text.into())),
        "[a-c]".prop_map(|text| Literal::Text(text.into())),
        any::<f64>()
            .prop_filter("numbers are finite", |number| number.is_finite())
            .prop_map(Literal::Number),
        (-2..3_i8).prop_map(|number| Literal::Number(number.into())),
        any::<bool>().prop_map(Literal::Flag),
    ]
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        3 => field().prop_map(Operand::Field),
        2 => literal().prop_map(Operand::Literal),
        1 => prop::collection::vec(literal(), 0..4)
            .prop_map(|members| Operand::List(List::new(members))),
    ]
}

/// Two sides of a test that is allowed.
fn operands() -> impl Strategy<Value = (Operand, Operand)> {
    let confused = |one: &Operand, two: &Operand| parse::confusion(one, two).is_some();
    (operand(), operand()).prop_filter("no time is compared with a text", move |(left, right)| {
        !confused(left, right) && !confused(right, left)
    })
}

fn expression() -> impl Strategy<Value = Expression> {
    let comparisons = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];
    let leaf = prop_oneof![
        field().prop_map(Expression::Has),
        field().prop_map(|field| Expression::Is(Operand::Field(field))),
        any::<bool>().prop_map(|flag| Expression::Is(Operand::Literal(Literal::Flag(flag)))),
        (operands(), prop::sample::select(comparisons.to_vec()))
            .prop_map(|((left, right), comparison)| Expression::Compare(left, comparison, right)),
        operands().prop_map(|(left, right)| Expression::In(left, right)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn attribute() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        "[a-c]".prop_map(AttributeValue::Text),
        (-2..3_i8).prop_map(|number| AttributeValue::Number(number.into())),
        any::<bool>().prop_map(AttributeValue::Flag),
        prop::collection::vec("[a-c]", 0..3).prop_map(AttributeValue::List),
    ]
}

#[test]
fn the_language_is_the_item_s_own_or_an_attribute_of_that_name() {
    let attributes = [("language".to_owned(), AttributeValue::Text("de".to_owned()))];
    let named = item(attributes);
    let own = Item { language: Some("fr".into()), ..named.clone() };
    let holds = |text: &str, item: &Item| parse(text).unwrap().holds(Subject::item(item, NOW));
    assert!(holds("language = 'de'", &named) && holds("language in ['fr']", &own));
    assert!(holds("attr('language') = 'de'", &own));
    assert!(!holds("has(language)", &item([])));
}

/// As many texts as an attribute may hold.
fn long() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-p]{1,2}", 0..limits::ATTRIBUTE_LIST + 1)
}

/// Every text of both lists has the largest length, and they differ in the end only.
#[test]
fn too_costly_expressions_are_rejected_and_others_take_microseconds() {
    let texts = |end: char| -> Vec<String> {
        let start = "x".repeat(limits::ATTRIBUTES_BYTES / (2 * limits::ATTRIBUTE_LIST) - 4);
        (0..limits::ATTRIBUTE_LIST).map(|n| format!("{start}{n:02}{end}")).collect()
    };
    let values = [("a", texts('a')), ("b", texts('b'))];
    let item = item(values.map(|(name, list)| (name.to_owned(), AttributeValue::List(list))));
    // 1.7 KB that search each of 64 texts among 64 others, several times.
    let hostile = vec!["a in b"; 170].join(" or ");
    assert!(hostile.len() < 1_750);
    let error = parse(&hostile).unwrap_err();
    assert!(error.expected.contains("steps for each item"), "{error}");
    assert_eq!(error.position, hostile.len());
    let (compared, list) = (limits::ATTRIBUTE_LIST, limits::ATTRIBUTE_LIST);
    assert_eq!(170 * compared * list, 696_320, "comparisons that it used to take");
    for allowed in ["a in b or false", "a in ['q'] or topics in b or not (b in ['r', 's'])"] {
        let expression = parse(allowed).unwrap();
        let subject = Subject::item(&item, NOW);
        let (_, steps) = taken(|| expression.holds(subject));
        assert!(steps <= expression.cost() && expression.cost() <= limits::EXPRESSION_STEPS);
    }
}

#[test]
fn parts_that_are_the_same_for_every_item_are_evaluated_when_parsed() {
    for (written, read) in [
        ("1 < 2 and a", "a"),
        ("a and not (3 in [1, 2])", "a"),
        ("a or 'x' = 'x'", "true"),
        ("a and ('x' in ['y'] or b)", "a and b"),
        ("not not a", "a"),
        ("[1] = [1, 2]", "false"),
        ("a and false", "false"),
    ] {
        assert_eq!(parse(written), parse(read), "{written}");
    }
}

/// An interpreter that owns its values and has no shortcuts.
mod naive {
    use super::*;

    #[derive(Debug, Clone, PartialEq, PartialOrd)]
    enum Value {
        Text(String),
        Number(f64),
        Flag(bool),
        List(Vec<Value>),
    }

    fn literal(literal: &Literal) -> Value {
        match literal.clone() {
            Literal::Text(text) => Value::Text(text.into()),
            Literal::Number(number) => Value::Number(number),
            Literal::Flag(flag) => Value::Flag(flag),
        }
    }

    fn texts<T: ToString>(texts: &[T]) -> Value {
        Value::List(texts.iter().map(|text| Value::Text(text.to_string())).collect())
    }

    fn attribute(value: &AttributeValue) -> Value {
        match value {
            AttributeValue::Text(text) => Value::Text(text.clone()),
            AttributeValue::Number(number) => Value::Number(*number),
            AttributeValue::Flag(flag) => Value::Flag(*flag),
            AttributeValue::List(list) => texts(list),
        }
    }

    fn value(operand: &Operand, item: &Item) -> Option<Value> {
        let field = match operand {
            Operand::Literal(one) => return Some(literal(one)),
            Operand::List(members) => {
                return Some(Value::List(members.members().iter().map(literal).collect()));
            }
            Operand::Field(field) => field,
        };
        let published = item.published_at.map(|at| at.as_millis() as f64);
        Some(match field {
            Field::Id => Value::Text(item.item_id.to_string()),
            Field::Title => Value::Text(item.title.clone()),
            Field::Topics => texts(&item.topics),
            Field::Source => Value::Text(item.source.as_ref()?.to_string()),
            Field::Language if item.language.is_some() => {
                Value::Text(item.language.as_ref()?.to_string())
            }
            Field::Language => attribute(item.attributes.get("language")?),
            Field::Attribute(name) => attribute(item.attributes.get(name)?),
            Field::PublishedAt => Value::Number(published? / 1e3),
            Field::ExpiresAt => Value::Number(item.expires_at?.as_millis() as f64 / 1e3),
            Field::AgeHours => Value::Number((NOW.as_millis() as f64 - published?) / 3.6e6),
        })
    }

    pub fn holds(expression: &Expression, item: &Item) -> bool {
        match expression {
            Expression::All(parts) => !parts.iter().any(|part| !holds(part, item)),
            Expression::Any(parts) => parts.iter().filter(|part| holds(part, item)).count() > 0,
            Expression::Not(inner) => !holds(inner, item),
            Expression::Has(field) => value(&Operand::Field(field.clone()), item).is_some(),
            Expression::Is(operand) => value(operand, item) == Some(Value::Flag(true)),
            Expression::In(left, right) => {
                let (left, right) = (value(left, item), value(right, item));
                match (left, right) {
                    (Some(Value::List(any)), Some(Value::List(list))) => {
                        any.iter().any(|one| list.contains(one))
                    }
                    (Some(one), Some(Value::List(list))) => list.contains(&one),
                    _ => false,
                }
            }
            Expression::Compare(left, comparison, right) => {
                let (Some(left), Some(right)) = (value(left, item), value(right, item)) else {
                    return false;
                };
                let ordered = matches!(
                    (&left, &right),
                    (Value::Text(_), Value::Text(_)) | (Value::Number(_), Value::Number(_))
                );
                match comparison {
                    Comparison::Equal => left == right,
                    Comparison::NotEqual => left != right,
                    Comparison::Less => ordered && left < right,
                    Comparison::LessOrEqual => ordered && left <= right,
                    Comparison::Greater => ordered && left > right,
                    Comparison::GreaterOrEqual => ordered && left >= right,
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_words_of_the_language_in_any_order_make_the_parser_panic(
        words in prop::collection::vec(
            prop::sample::select(&["and", "or", "not", "in", "(", ")", "[", "]", ",", "has", "attr",
                "time", "'x'", "\"", "a", "1", "-1e9", "<", "!=", "=", "true", " "][..]),
            0..40,
        )
    ) {
        if let Ok(read) = parse(&words.join(" ")) {
            prop_assert_eq!(parse(&read.to_string()), Ok(read));
        }
    }

    #[test]
    fn printing_and_reading_again_gives_the_same_expression(written in expression()) {
        let text = written.to_string();
        let folded = written.folded();
        if folded.cost() <= limits::EXPRESSION_STEPS {
            prop_assert_eq!(parse(&text), Ok(folded), "{}", text);
        } else {
            prop_assert!(parse(&text).unwrap_err().expected.contains("steps"), "{}", text);
        }
    }

    #[test]
    fn evaluation_agrees_with_an_interpreter_that_knows_no_shortcuts(
        expression in expression(),
        attributes in prop::collection::btree_map("[a-c]", attribute(), 0..4),
    ) {
        let item = item(attributes.into_iter().collect::<BTreeMap<_, _>>());
        let subject = Subject::item(&item, NOW);
        let (held, steps) = taken(|| expression.holds(subject));
        prop_assert_eq!(held, naive::holds(&expression, &item), "{}", expression);
        prop_assert!(steps <= expression.cost(), "{} steps of {}: {}", steps, expression.cost(), expression);
        let folded = expression.clone().folded();
        prop_assert!(folded.cost() <= expression.cost());
        prop_assert_eq!(folded.holds(subject), held, "{} as {}", expression, folded);
    }

    #[test]
    fn long_lists_never_take_more_steps_than_the_cost(
        (ours, theirs) in (long(), long()),
        literals in prop::collection::vec(literal(), 0..200),
        reading in 0..5_usize,
    ) {
        let values = [("a", ours), ("b", theirs)].map(|(name, list)| (name.to_owned(), AttributeValue::List(list)));
        let item = item(values);
        let of = |name: &str| Operand::Field(Field::Attribute(name.into()));
        let list = Operand::List(List::new(literals));
        let expression = match reading {
            0 => Expression::In(of("a"), of("b")),
            1 => Expression::In(of("a"), list),
            2 => Expression::In(list, of("b")),
            3 => Expression::Compare(of("a"), Comparison::Equal, of("b")),
            _ => Expression::In(Operand::Field(Field::Topics), of("b")),
        };
        let (held, steps) = taken(|| expression.holds(Subject::item(&item, NOW)));
        prop_assert_eq!(held, naive::holds(&expression, &item));
        prop_assert!(steps <= expression.cost(), "{} of {}", steps, expression.cost());
    }
}
