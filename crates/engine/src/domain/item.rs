//! Something that can be recommended, as the catalogue knows it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::attributes::Attributes;
use crate::domain::ids::ItemId;
use crate::domain::language::LanguageTag;
use crate::domain::limits;
use crate::domain::timestamp::Timestamp;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// A catalogue entry. Bounds: [`crate::domain::limits`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub item_id: ItemId,
    pub title: String,
    pub content: String,
    pub topics: Vec<Box<str>>,
    pub source: Option<Box<str>>,
    pub published_at: Option<Timestamp>,
    /// Empty, or as long as the namespace's embedding dimension; finite.
    pub embedding: Vec<f32>,
    /// Whether the service made the embedding of the texts: then it goes with them.
    pub embedding_is_computed: bool,
    pub attributes: Attributes,
    /// Primary subtag of BCP 47, two or three lower-case letters; `None`: not said.
    pub language: Option<Box<str>>,
    /// Kept and learnt from, never shown.
    pub hidden: bool,
    /// The item is not shown from this moment on.
    pub expires_at: Option<Timestamp>,
    /// The item in other languages.
    pub localized: BTreeMap<LanguageTag, LocalizedText>,
}

/// Title and content of an item in another language than its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalizedText {
    /// Empty: the item's own is used.
    pub title: String,
    pub content: String,
}

/// Why an item is not shown at a moment, to any user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    Hidden,
    NotYetPublished,
    Expired,
}

impl Withheld {
    pub const ALL: [Self; 3] = [Self::Hidden, Self::NotYetPublished, Self::Expired];
}

impl Item {
    /// An item of which nothing is said but its id.
    pub fn new(item_id: ItemId) -> Self {
        Self {
            item_id,
            title: String::new(),
            content: String::new(),
            topics: Vec::new(),
            source: None,
            published_at: None,
            embedding: Vec::new(),
            embedding_is_computed: false,
            attributes: Attributes::default(),
            language: None,
            hidden: false,
            expires_at: None,
            localized: BTreeMap::new(),
        }
    }

    /// The time in which it is shown: from the first moment until before the second. `None` for an
    /// item that is never shown.
    pub fn shown_between(&self) -> Option<(Timestamp, Timestamp)> {
        let from = self.published_at.unwrap_or(Timestamp::from_millis(i64::MIN));
        let until = self.expires_at.unwrap_or(Timestamp::from_millis(i64::MAX));
        (!self.hidden && from < until).then_some((from, until))
    }

    /// Whether it may be shown at a moment.
    pub fn may_be_shown(&self, at: Timestamp) -> bool {
        self.shown_between().is_some_and(|(from, until)| from <= at && at < until)
    }

    /// Whether this is a reason for which it may not be shown at a moment. It may be shown where
    /// none is.
    pub fn is_withheld(&self, why: Withheld, at: Timestamp) -> bool {
        match why {
            Withheld::Hidden => self.hidden,
            Withheld::NotYetPublished => self.published_at.is_some_and(|published| published > at),
            Withheld::Expired => self.expires_at.is_some_and(|expires| expires <= at),
        }
    }

    /// The title for a reader of a language: that of the longest tag that theirs extends; else the
    /// item's own where it is in their language; else one of another region of it; else the item's
    /// own.
    pub fn title_in(&self, reader: Option<&LanguageTag>) -> &str {
        let Some(reader) = reader else {
            return &self.title;
        };
        let titled = || self.localized.iter().filter(|(_, text)| !text.title.is_empty());
        let is_own = self.language.as_deref() == Some(reader.primary());
        let found = reader.lookup(titled()).or_else(|| {
            let is_near = |(tag, _): &(&LanguageTag, _)| tag.primary() == reader.primary();
            if is_own { None } else { titled().find(is_near) }
        });
        found.map_or(&self.title, |(_, text)| &text.title)
    }

    /// Whether the content model reads the same of both.
    pub fn has_texts_of(&self, other: &Self) -> bool {
        self.title == other.title
            && self.content == other.content
            && self.topics == other.topics
            && self.language == other.language
            && self.localized == other.localized
    }

    /// The bounds that several fields share.
    ///
    /// # Errors
    /// Each that does not hold, by the field that is to be changed.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut violations = Violations::default();
        let (published, expires) = (self.published_at, self.expires_at);
        if let (Some(published), Some(expires)) = (published, expires)
            && expires <= published
        {
            violations.add("expires_at", "must be after published_at");
        }
        if self.localized.len() > limits::LOCALIZED {
            let (most, found) = (limits::LOCALIZED, self.localized.len());
            violations
                .add("localized", format!("must hold at most {most} languages, holds {found}"));
        }
        let contents = self.localized.values().map(|text| text.content.len());
        let bytes = self.content.len() + contents.sum::<usize>();
        if bytes > limits::CONTENT_BYTES {
            let most = limits::CONTENT_BYTES;
            let field = if self.localized.is_empty() { "content" } else { "localized" };
            let reason = format!(
                "contents of all languages must be at most {most} bytes long together, are {bytes}"
            );
            violations.add(field, reason);
        }
        violations.finish(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn an_item_is_shown_exactly_where_nothing_withholds_it() {
        let times = [None, Some(at(10)), Some(at(20))];
        for (published_at, expires_at) in times.iter().flat_map(|one| times.map(|two| (*one, two)))
        {
            for hidden in [false, true] {
                let bare = Item::new(ItemId::parse("i").unwrap());
                let item = Item { hidden, published_at, expires_at, ..bare };
                for moment in [0, 9, 10, 19, 20, 30].map(at) {
                    let reasons = Withheld::ALL.iter();
                    let is_free =
                        reasons.filter(|why| item.is_withheld(**why, moment)).count() == 0;
                    assert_eq!(item.may_be_shown(moment), is_free, "{item:?} at {moment:?}");
                }
            }
        }
    }

    #[test]
    fn a_reader_gets_the_title_of_their_language_else_the_nearest_else_the_items_own() {
        let tag = |tag: &str| LanguageTag::parse(tag).unwrap();
        let text = |title: &str| LocalizedText { title: title.to_owned(), ..Default::default() };
        let texts = [
            ("de", "deutsch"),
            ("de-AT", "österreichisch"),
            ("pt-BR", "brasileiro"),
            ("fr", ""),
            ("en-GB", "british"),
        ];
        let item = Item {
            title: "english".to_owned(),
            language: Some("en".into()),
            localized: texts.iter().map(|(name, title)| (tag(name), text(title))).collect(),
            ..Item::new(ItemId::parse("i").unwrap())
        };
        for (reader, title) in [
            ("de", "deutsch"),
            ("de-CH", "deutsch"),
            ("DE-at", "österreichisch"),
            ("pt", "brasileiro"),
            ("pt-PT", "brasileiro"),
            ("en", "english"),
            ("en-US", "english"),
            ("en-GB", "british"),
            ("fr", "english"),
            ("it", "english"),
        ] {
            assert_eq!(item.title_in(Some(&tag(reader))), title, "{reader}");
        }
        assert_eq!(item.title_in(None), "english");
    }
}
