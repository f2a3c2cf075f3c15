//! Catalogue items and inline candidates.

use std::collections::BTreeMap;

use super::attributes::attributes;
use super::attributes::attributes_message;
use super::scalars::check_finite;
use super::scalars::merge;
use super::scalars::optional_label;
use super::scalars::optional_language;
use super::scalars::prose;
use super::scalars::timestamp;
use super::scalars::timestamp_message;
use super::scalars::topics;
use crate::proto;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LanguageTag;
use engine::domain::LocalizedText;
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
    let language = violations.take("language", optional_language(&message.language)).flatten();
    let expires_at = message.expires_at.map(timestamp).transpose();
    let expires_at = violations.take("expires_at", expires_at);
    let localized = merge(&mut violations, localized(message.localized));
    let Some(item_id) = item_id else {
        return Err(violations.into_vec());
    };
    let item = Item {
        item_id,
        title: title.unwrap_or_default(),
        content: content.unwrap_or_default(),
        topics: topics.unwrap_or_default(),
        source: source.flatten(),
        published_at: published_at.flatten(),
        embedding: message.embedding,
        embedding_is_computed: false,
        attributes: attributes.unwrap_or_default(),
        language: language.map(|tag| tag.primary().into()),
        hidden: message.hidden,
        expires_at: expires_at.flatten(),
        localized: localized.unwrap_or_default(),
    };
    merge(&mut violations, item.check());
    violations.finish(item)
}

/// Texts by the tags of their languages.
fn localized(
    texts: BTreeMap<String, proto::LocalizedText>,
) -> Result<BTreeMap<LanguageTag, LocalizedText>, Vec<Violation>> {
    if texts.len() > limits::LOCALIZED {
        let (most, found) = (limits::LOCALIZED, texts.len());
        let reason = format!("must hold at most {most} languages, holds {found}");
        return Err(vec![Violation::new("localized", reason)]);
    }
    let mut violations = Violations::default();
    let mut localized = BTreeMap::new();
    for (name, text) in texts {
        let path = localized_path(&name);
        let title = prose(text.title, limits::TITLE_BYTES);
        let title = violations.take(&format!("{path}.title"), title).unwrap_or_default();
        let content = prose(text.content, limits::CONTENT_BYTES);
        let content = violations.take(&format!("{path}.content"), content).unwrap_or_default();
        let Some(tag) = violations.take(&path, LanguageTag::parse(&name)) else {
            continue;
        };
        if localized.insert(tag, LocalizedText { title, content }).is_some() {
            violations.add(path, "is the same language as another");
        }
    }
    violations.finish(localized)
}

/// The field of the texts in one language, as violations name it.
pub(super) fn localized_path(tag: &str) -> String {
    let shown: String = tag.chars().take(limits::LANGUAGE_BYTES).collect();
    format!("localized[{shown:?}]")
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
        localized: localized_message(item, |text| text.content.clone()),
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
        hidden: item.hidden,
        expires_at: item.expires_at.map(timestamp_message),
        localized: localized_message(item, |_| String::new()),
    }
}

fn localized_message(
    item: &Item,
    content: impl Fn(&LocalizedText) -> String,
) -> BTreeMap<String, proto::LocalizedText> {
    let texts = item.localized.iter().map(|(tag, text)| {
        let text = proto::LocalizedText { title: text.title.clone(), content: content(text) };
        (tag.as_str().to_owned(), text)
    });
    texts.collect()
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

    fn text((tag, title): (&str, &str)) -> (String, proto::LocalizedText) {
        let content = format!("{title} content");
        (tag.to_owned(), proto::LocalizedText { title: title.to_owned(), content })
    }

    fn localized<const N: usize>(texts: [(&str, &str); N]) -> proto::Item {
        proto::Item { localized: texts.map(text).into(), ..plain() }
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
            hidden: true,
            expires_at: Some(prost_types::Timestamp { seconds: 8, nanos: 0 }),
            localized: [("pt-BR", "Título"), ("fr", "")].map(text).into(),
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
        let nul = proto::LocalizedText { content: "\0".to_owned(), ..Default::default() };
        let nul = [("de".to_owned(), nul)].into();
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
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
            ("language", proto::Item { language: "english".to_owned(), ..plain() }),
            ("expires_at", proto::Item { expires_at: Some(year_10000), ..plain() }),
            ("expires_at", proto::Item { expires_at: at(7), published_at: at(7), ..plain() }),
            (r#"localized["german"]"#, localized([("german", "t")])),
            (r#"localized["de"]"#, localized([("DE", "t"), ("de", "t")])),
            (r#"localized["de"].title"#, localized([("de", &"t".repeat(1_025))])),
            (r#"localized["de"].content"#, proto::Item { localized: nul, ..plain() }),
        ];
        for (field, message) in table {
            assert_eq!(fields(message.clone()), [field], "{message:?}");
        }
    }

    #[test]
    fn the_texts_of_all_languages_are_bounded_together() {
        let tags: Vec<String> =
            ('a'..='z').flat_map(|a| [format!("{a}a"), format!("{a}b")]).collect();
        let of = |languages: usize, bytes: usize| {
            let text = proto::LocalizedText { content: "x".repeat(bytes), ..Default::default() };
            let texts = tags.iter().take(languages).map(|tag| (tag.clone(), text.clone()));
            proto::Item { localized: texts.collect(), content: "own".to_owned(), ..plain() }
        };
        assert!(item(of(32, 2_000), 3).is_ok());
        assert_eq!(fields(of(32, 2_050)), ["localized"]);
        assert_eq!(fields(of(33, 1)), ["localized"]);
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
