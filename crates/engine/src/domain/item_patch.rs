//! Changes of some fields of an item, which the others keep.
//!
//! - A record holds what changes, and the learner merges it with the item as the log left it: of
//!   two patches of different fields both stay, from whatever state each was made.
//! - A merge is a function of the item and the patch alone. Where it would break a bound of the
//!   whole item it changes nothing.
//! - An embedding that the service computed never takes the place of one that a caller gave, unless a
//!   caller asks for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::domain::ids::ItemId;
use crate::domain::item::Item;
use crate::domain::language::LanguageTag;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// A field of an item that can be changed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemField {
    Title,
    Content,
    Topics,
    Source,
    PublishedAt,
    Embedding,
    /// All of them.
    Attributes,
    Language,
    Hidden,
    ExpiresAt,
    /// All of them.
    Localized,
}

impl ItemField {
    pub const ALL: [Self; 11] = [
        Self::Title,
        Self::Content,
        Self::Topics,
        Self::Source,
        Self::PublishedAt,
        Self::Embedding,
        Self::Attributes,
        Self::Language,
        Self::Hidden,
        Self::ExpiresAt,
        Self::Localized,
    ];

    /// As the API and the log name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Content => "content",
            Self::Topics => "topics",
            Self::Source => "source",
            Self::PublishedAt => "published_at",
            Self::Embedding => "embedding",
            Self::Attributes => "attributes",
            Self::Language => "language",
            Self::Hidden => "hidden",
            Self::ExpiresAt => "expires_at",
            Self::Localized => "localized",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// The texts that the service makes an item's embedding of, by their fields.
pub fn embedded_texts(item: &Item) -> [(ItemField, Cow<'_, str>); 3] {
    [
        (ItemField::Title, Cow::from(&item.title)),
        (ItemField::Content, Cow::from(&item.content)),
        (ItemField::Topics, Cow::from(item.topics.join(", "))),
    ]
}

/// Which fields change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemMask {
    pub fields: BTreeSet<ItemField>,
    /// Attributes by name, where not all change.
    pub attributes: BTreeSet<Box<str>>,
    /// Languages by tag, where not all texts change.
    pub localized: BTreeSet<LanguageTag>,
}

impl ItemMask {
    pub fn has(&self, field: ItemField) -> bool {
        self.fields.contains(&field)
    }
}

/// What changes of an item, and to what.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemPatch {
    pub mask: ItemMask,
    /// Holds the id and the new values of what the mask names; what has none there is removed.
    /// Of what the mask does not name only an embedding is read that the service computed.
    pub values: Item,
}

impl ItemPatch {
    pub fn item_id(&self) -> &ItemId {
        &self.values.item_id
    }

    /// Whether it names a text that the service makes the embedding of.
    pub fn changes_embedded_text(&self) -> bool {
        embedded_texts(&self.values).iter().any(|(field, _)| self.mask.has(*field))
    }

    /// The item with the changes.
    ///
    /// # Errors
    /// The bounds of a whole item that do not hold any more.
    pub fn applied_to(&self, item: &Item) -> Result<Item, Vec<Violation>> {
        let Self { mask, values } = self;
        let mut violations = Violations::default();
        let mut merged = item.clone();
        for field in &mask.fields {
            match field {
                ItemField::Title => merged.title.clone_from(&values.title),
                ItemField::Content => merged.content.clone_from(&values.content),
                ItemField::Topics => merged.topics.clone_from(&values.topics),
                ItemField::Source => merged.source.clone_from(&values.source),
                ItemField::PublishedAt => merged.published_at = values.published_at,
                ItemField::Embedding => {
                    merged.embedding.clone_from(&values.embedding);
                    merged.embedding_is_computed = values.embedding_is_computed;
                }
                ItemField::Attributes => merged.attributes.clone_from(&values.attributes),
                ItemField::Language => merged.language.clone_from(&values.language),
                ItemField::Hidden => merged.hidden = values.hidden,
                ItemField::ExpiresAt => merged.expires_at = values.expires_at,
                ItemField::Localized => merged.localized.clone_from(&values.localized),
            }
        }
        // What goes makes space for what comes.
        let names = mask.attributes.iter().map(|name| &**name);
        let (set, removed): (Vec<&str>, Vec<&str>) =
            names.partition(|name| values.attributes.get(name).is_some());
        for name in removed.into_iter().chain(set) {
            let taken = match values.attributes.get(name) {
                Some(value) => merged.attributes.set(name, value),
                None => {
                    merged.attributes.remove(name);
                    Ok(())
                }
            };
            if violations.take("attributes", taken).is_none() {
                break;
            }
        }
        for tag in &mask.localized {
            match values.localized.get(tag) {
                Some(text) => _ = merged.localized.insert(tag.clone(), text.clone()),
                None => _ = merged.localized.remove(tag),
            }
        }
        if !mask.has(ItemField::Embedding) {
            self.keep_or_replace_embedding(item, &mut merged);
        }
        if let Err(broken) = merged.check() {
            broken.into_iter().for_each(|one| violations.add(one.field, one.reason));
        }
        violations.finish(merged)
    }

    /// Where no caller names the embedding: one of a caller stays, a computed one follows the texts.
    fn keep_or_replace_embedding(&self, item: &Item, merged: &mut Item) {
        if !item.embedding.is_empty() && !item.embedding_is_computed {
            return;
        }
        if self.values.embedding_is_computed {
            merged.embedding.clone_from(&self.values.embedding);
            merged.embedding_is_computed = true;
        } else if item.embedding_is_computed && embedded_texts(item) != embedded_texts(merged) {
            // It was made of what the item does not say any more.
            merged.embedding.clear();
            merged.embedding_is_computed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Attributes;
    use crate::domain::LocalizedText;
    use crate::domain::Timestamp;
    use crate::domain::attributes::AttributeValue;
    use crate::domain::limits;

    fn bare() -> Item {
        Item::new(ItemId::parse("i").unwrap())
    }

    fn tag(tag: &str) -> LanguageTag {
        LanguageTag::parse(tag).unwrap()
    }

    fn numbers(names: impl IntoIterator<Item = String>) -> Attributes {
        let number = |name| (name, AttributeValue::Number(1.0));
        Attributes::new(names.into_iter().map(number).collect()).unwrap()
    }

    fn text(content: &str) -> LocalizedText {
        LocalizedText { title: String::new(), content: content.to_owned() }
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let item = Item {
            title: "old".to_owned(),
            content: "text".to_owned(),
            source: Some("press".into()),
            attributes: numbers(["kept".to_owned(), "gone".to_owned()]),
            localized: [(tag("de"), text("alt")), (tag("fr"), text("vieux"))].into(),
            ..bare()
        };
        let patch = ItemPatch {
            mask: ItemMask {
                fields: [ItemField::Title, ItemField::Source].into(),
                attributes: ["gone", "new"].map(Box::from).into(),
                localized: [tag("de"), tag("it")].into(),
            },
            values: Item {
                title: "new".to_owned(),
                content: "not read".to_owned(),
                attributes: numbers(["new".to_owned(), "not read".to_owned()]),
                localized: [(tag("it"), text("nuovo")), (tag("fr"), text("not read"))].into(),
                ..bare()
            },
        };
        let expected = Item {
            title: "new".to_owned(),
            content: "text".to_owned(),
            attributes: numbers(["kept".to_owned(), "new".to_owned()]),
            localized: [(tag("fr"), text("vieux")), (tag("it"), text("nuovo"))].into(),
            ..bare()
        };
        assert_eq!(patch.applied_to(&item), Ok(expected));
    }

    #[test]
    fn a_merge_that_breaks_a_bound_of_the_whole_item_is_told_and_changes_nothing() {
        let item = Item {
            content: "x".repeat(limits::CONTENT_BYTES - 10),
            attributes: numbers((0..limits::ATTRIBUTES).map(|n| format!("a{n}"))),
            published_at: Some(Timestamp::from_seconds(10)),
            ..bare()
        };
        let values = Item {
            expires_at: Some(Timestamp::from_seconds(10)),
            attributes: numbers(["b".to_owned()]),
            localized: [(tag("de"), text("zu lang für hier"))].into(),
            ..bare()
        };
        let fields = |mask: ItemMask| -> Vec<String> {
            let patch = ItemPatch { mask, values: values.clone() };
            let broken = patch.applied_to(&item).err().unwrap_or_default();
            broken.into_iter().map(|violation| violation.field).collect()
        };
        let all = ItemMask {
            fields: [ItemField::ExpiresAt].into(),
            attributes: ["b".into()].into(),
            localized: [tag("de")].into(),
        };
        assert_eq!(fields(all), ["attributes", "expires_at", "localized"]);
        // One attribute for another.
        let exchanged = ["a7".into(), "b".into()].into();
        assert!(fields(ItemMask { attributes: exchanged, ..ItemMask::default() }).is_empty());
    }

    #[test]
    fn a_computed_embedding_goes_with_its_texts_and_one_of_the_caller_stays() {
        let patch = |field, values| ItemPatch {
            mask: ItemMask { fields: [field].into(), ..ItemMask::default() },
            values,
        };
        for is_computed in [true, false] {
            let item = Item { embedding: vec![1.0], embedding_is_computed: is_computed, ..bare() };
            let titled = patch(ItemField::Title, Item { title: "new".to_owned(), ..bare() });
            assert_eq!(titled.applied_to(&item).unwrap().embedding.is_empty(), is_computed);
            let hidden = patch(ItemField::Hidden, Item { hidden: true, ..bare() });
            assert_eq!(hidden.applied_to(&item).unwrap().embedding, [1.0]);
        }
    }

    #[test]
    fn a_computed_embedding_takes_the_place_of_none_and_of_a_computed_one_but_not_of_a_callers() {
        let computed = Item {
            title: "new".to_owned(),
            embedding: vec![2.0],
            embedding_is_computed: true,
            ..bare()
        };
        let mask = ItemMask { fields: [ItemField::Title].into(), ..ItemMask::default() };
        let patch = ItemPatch { mask, values: computed };
        let given = Item { embedding: vec![1.0], ..bare() };
        let made = Item { embedding_is_computed: true, ..given.clone() };
        for (before, after) in [(bare(), (2.0, true)), (made, (2.0, true)), (given, (1.0, false))] {
            let merged = patch.applied_to(&before).unwrap();
            let found = (merged.embedding[0], merged.embedding_is_computed);
            assert_eq!((merged.title.as_str(), found), ("new", after), "{before:?}");
        }
        // An embedding that no caller named and the service did not make is not read.
        let values = Item { embedding: vec![2.0], ..bare() };
        let patch = ItemPatch { values, ..patch };
        assert!(patch.applied_to(&bare()).unwrap().embedding.is_empty());
    }
}
