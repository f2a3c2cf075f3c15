//! Catalogue items and inline candidates.

use super::attributes::attributes;
use super::attributes::attributes_message;
use super::scalars::check_finite;
use super::scalars::merge;
use super::scalars::optional_label;
use super::scalars::prose;
use super::scalars::timestamp;
use super::scalars::timestamp_message;
use super::scalars::topics;
use crate::proto;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// # Errors
/// Every field that breaks the contract.
pub fn item(message: proto::Item, embedding_dimension: usize) -> Result<Item, Vec<Violation>> {
    let mut violations = Violations::default();
    let item_id = violations.take("item_id", ItemId::parse(message.item_id));
    let title = violations.take("title", prose(message.title, limits::TITLE_BYTES));
    let content = violations.take("content", prose(message.content, limits::CONTENT_BYTES));
    let topics = merge(&mut violations, topics(message.topics));
    let source = violations.take("source", optional_label(message.source));
    let published_at = message.published_at.map(timestamp).transpose();
    let published_at = violations.take("published_at", published_at);
    check_embedding(&message.embedding, embedding_dimension, &mut violations);
    let attributes = merge(&mut violations, attributes(message.attributes));
    let language = violations.take("language", language(&message.language));
    let Some(item_id) = item_id else {
        return Err(violations.into_vec());
    };
    violations.finish(Item {
        item_id,
        title: title.unwrap_or_default(),
        content: content.unwrap_or_default(),
        topics: topics.unwrap_or_default(),
        source: source.flatten(),
        published_at: published_at.flatten(),
        embedding: message.embedding,
        attributes: attributes.unwrap_or_default(),
        language: language.flatten(),
    })
}

/// The primary subtag of a BCP 47 tag in lower case; `None` for the empty text.
fn language(tag: &str) -> Result<Option<Box<str>>, String> {
    let primary = tag.split('-').next().unwrap_or_default();
    let letters = primary.bytes().all(|byte| byte.is_ascii_alphabetic());
    match primary.len() {
        0 if tag.is_empty() => Ok(None),
        2 | 3 if letters && tag.len() <= limits::ID_BYTES => {
            Ok(Some(primary.to_ascii_lowercase().into()))
        }
        _ => Err("must be empty or a BCP 47 language tag such as \"en\"".to_owned()),
    }
}

fn check_embedding(embedding: &[f32], dimension: usize, violations: &mut Violations) {
    if embedding.is_empty() || embedding.len() == dimension {
        check_finite("embedding", embedding, violations);
    } else {
        let found = embedding.len();
        let reason = format!("must be empty or hold exactly {dimension} numbers, holds {found}");
        violations.add("embedding", reason);
    }
}

/// How much of an item is asked for.
///
/// # Errors
/// A violation of `view`.
pub fn item_view(code: i32) -> Result<proto::ItemView, Vec<Violation>> {
    match proto::ItemView::try_from(code) {
        Ok(proto::ItemView::Unspecified) => Ok(proto::ItemView::Basic),
        Ok(view) => Ok(view),
        Err(_) => Err(vec![Violation::new("view", format!("must be a known view, is {code}"))]),
    }
}

pub fn item_message(item: &Item) -> proto::Item {
    proto::Item {
        content: item.content.clone(),
        embedding: item.embedding.clone(),
        ..basic_item_message(item)
    }
}

/// Without what makes an item large.
pub fn basic_item_message(item: &Item) -> proto::Item {
    proto::Item {
        item_id: item.item_id.as_str().to_owned(),
        title: item.title.clone(),
        content: String::new(),
        topics: item.topics.iter().map(|topic| topic.to_string()).collect(),
        source: item.source.as_deref().unwrap_or_default().to_owned(),
        published_at: item.published_at.map(timestamp_message),
        embedding: Vec::new(),
        attributes: attributes_message(&item.attributes),
        language: item.language.as_deref().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Struct;
    use prost_types::Value;
    use prost_types::value::Kind;

    use super::*;

    fn plain() -> proto::Item {
        proto::Item { item_id: "i".to_owned(), ..proto::Item::default() }
    }

    fn fields(message: proto::Item) -> Vec<String> {
        item(message, 3).unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    fn attribute(kind: Option<Kind>) -> Option<Struct> {
        Some(Struct { fields: [("lang".to_owned(), Value { kind })].into() })
    }

    #[test]
    fn an_item_comes_back_as_it_was() {
        let full = proto::Item {
            item_id: "i".to_owned(),
            title: "Title".to_owned(),
            content: "first line\nsecond\tline".to_owned(),
            topics: vec!["a".to_owned(), "b".to_owned()],
            source: "press".to_owned(),
            published_at: Some(prost_types::Timestamp { seconds: 7, nanos: 5_000_000 }),
            embedding: vec![0.5, -1.0, 0.0],
            attributes: attribute(Some(Kind::StringValue("de".to_owned()))),
            language: "de".to_owned(),
        };
        assert_eq!(item_message(&item(full.clone(), 3).unwrap()), full);
        assert_eq!(item_message(&item(plain(), 3).unwrap()), plain());
    }

    #[test]
    fn texts_of_the_longest_length_are_accepted() {
        let message = proto::Item {
            title: "t".repeat(limits::TITLE_BYTES),
            content: "c".repeat(limits::CONTENT_BYTES),
            topics: (0..limits::TOPICS).map(|n| format!("{n:0>256}")).collect(),
            source: "s".repeat(limits::LABEL_BYTES),
            ..plain()
        };
        assert!(item(message, 3).is_ok());
    }

    #[test]
    fn every_field_out_of_contract_is_named() {
        let year_10000 = prost_types::Timestamp { seconds: 253_402_300_800, nanos: 0 };
        let table = [
            ("item_id", proto::Item::default()),
            ("item_id", proto::Item { item_id: "x".repeat(257), ..plain() }),
            ("title", proto::Item { title: "x".repeat(1_025), ..plain() }),
            ("title", proto::Item { title: "a\0".to_owned(), ..plain() }),
            ("content", proto::Item { content: "x".repeat(65_537), ..plain() }),
            ("content", proto::Item { content: "\0".to_owned(), ..plain() }),
            ("topics", proto::Item { topics: vec!["t".to_owned(); 33], ..plain() }),
            ("topics[0]", proto::Item { topics: vec![String::new()], ..plain() }),
            ("topics[0]", proto::Item { topics: vec!["x".repeat(257)], ..plain() }),
            ("source", proto::Item { source: "x".repeat(257), ..plain() }),
            ("published_at", proto::Item { published_at: Some(year_10000), ..plain() }),
            ("embedding", proto::Item { embedding: vec![0.0; 2], ..plain() }),
            ("embedding", proto::Item { embedding: vec![f32::NAN; 4], ..plain() }),
            ("embedding[1]", proto::Item { embedding: vec![0.0, f32::NAN, 0.0], ..plain() }),
            ("embedding[2]", proto::Item { embedding: vec![0.0, 0.0, f32::INFINITY], ..plain() }),
            (r#"attributes["lang"]"#, proto::Item { attributes: attribute(None), ..plain() }),
        ];
        for (field, message) in table {
            assert_eq!(fields(message.clone()), [field], "{message:?}");
        }
    }

    #[test]
    fn all_violations_of_an_item_come_at_once() {
        let message = proto::Item {
            source: "\n".to_owned(),
            embedding: vec![f32::NAN, 0.0, f32::NAN],
            ..proto::Item::default()
        };
        assert_eq!(fields(message), ["item_id", "source", "embedding[0]", "embedding[2]"]);
    }
}
