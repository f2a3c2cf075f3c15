//! Upserts with an update mask: which fields of items change, and to what.

use prost_types::FieldMask;

use super::attributes::is_attribute_name;
use super::attributes::path as attribute_path;
use super::item::item;
use super::item::localized_path;
use super::mask::named_by;
use super::scalars::merge;
use crate::proto;
use engine::domain::ItemField;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// What one path names.
enum Named {
    Everything,
    Field(ItemField),
    Attribute(Box<str>),
    Language(LanguageTag),
}

impl Named {
    fn by(path: &str) -> Option<Self> {
        match path.split_once('.') {
            None if path == "*" => Some(Named::Everything),
            None => ItemField::named(path).map(Named::Field),
            Some(("attributes", name)) => {
                is_attribute_name(name).then(|| Named::Attribute(name.into()))
            }
            Some(("localized", tag)) => LanguageTag::parse(tag).ok().map(Named::Language),
            Some(_) => None,
        }
    }
}

/// The mask of a call; `None` where it is unset: items are replaced as a whole.
///
/// # Errors
/// A mask without paths, and each path that names no field of an item that can be changed.
pub fn item_mask(mask: Option<FieldMask>) -> Result<Option<ItemMask>, Vec<Violation>> {
    if mask.is_none() {
        return Ok(None);
    }
    let named = named_by(mask, "field of an item that can be changed", Named::by)?;
    if named.is_empty() {
        let reason = "must have paths that name what changes; leave it unset to replace items as \
                      a whole";
        return Err(vec![Violation::new("update_mask", reason)]);
    }
    let mut read = ItemMask::default();
    for named in named {
        match named {
            Named::Everything => read.fields.extend(ItemField::ALL),
            Named::Field(field) => _ = read.fields.insert(field),
            Named::Attribute(name) => _ = read.attributes.insert(name),
            Named::Language(tag) => _ = read.localized.insert(tag),
        }
    }
    // Where all of them change, a single one says nothing more.
    if read.has(ItemField::Attributes) {
        read.attributes.clear();
    }
    if read.has(ItemField::Localized) {
        read.localized.clear();
    }
    Ok(Some(read))
}

/// The changes of one item; of the message only what the mask names is looked at.
///
/// # Errors
/// Every named field that breaks the contract; every attribute and language of the message that is
/// not named by a mask that names others.
pub fn item_patch(
    message: proto::Item,
    mask: &ItemMask,
    embedding_dimension: usize,
) -> Result<ItemPatch, Vec<Violation>> {
    let mut violations = Violations::default();
    check_named(&message, mask, &mut violations);
    let Some(values) = merge(&mut violations, item(only(message, mask), embedding_dimension))
    else {
        return Err(violations.into_vec());
    };
    violations.finish(ItemPatch { mask: mask.clone(), values })
}

/// A path of which the name is wrong would remove what it names and change nothing else: it is told
/// by the attribute or the language that no path names.
fn check_named(message: &proto::Item, mask: &ItemMask, violations: &mut Violations) {
    let reason = "is not named by update_mask";
    if !mask.attributes.is_empty() {
        let names = message.attributes.iter().flat_map(|attributes| attributes.fields.keys());
        let unnamed = names.filter(|name| !mask.attributes.contains(name.as_str()));
        let unnamed = unnamed.take(limits::ATTRIBUTES);
        unnamed.for_each(|name| violations.add(attribute_path(name), reason));
    }
    if !mask.localized.is_empty() {
        let is_named =
            |tag: &str| LanguageTag::parse(tag).is_ok_and(|tag| mask.localized.contains(&tag));
        let unnamed = message.localized.keys().filter(|tag| !is_named(tag));
        let unnamed = unnamed.take(limits::LOCALIZED);
        unnamed.for_each(|tag| violations.add(localized_path(tag), reason));
    }
}

/// The message with nothing but what the mask names.
fn only(message: proto::Item, mask: &ItemMask) -> proto::Item {
    let mut kept = proto::Item { item_id: message.item_id, ..proto::Item::default() };
    for field in &mask.fields {
        match field {
            ItemField::Title => kept.title.clone_from(&message.title),
            ItemField::Content => kept.content.clone_from(&message.content),
            ItemField::Topics => kept.topics.clone_from(&message.topics),
            ItemField::Source => kept.source.clone_from(&message.source),
            ItemField::PublishedAt => kept.published_at = message.published_at,
            ItemField::Embedding => kept.embedding.clone_from(&message.embedding),
            ItemField::Attributes => kept.attributes.clone_from(&message.attributes),
            ItemField::Language => kept.language.clone_from(&message.language),
            ItemField::Hidden => kept.hidden = message.hidden,
            ItemField::ExpiresAt => kept.expires_at = message.expires_at,
            ItemField::Localized => kept.localized.clone_from(&message.localized),
        }
    }
    if !mask.attributes.is_empty() {
        kept.attributes = message.attributes;
    }
    if !mask.localized.is_empty() {
        kept.localized = message.localized;
    }
    kept
}

#[cfg(test)]
mod tests {
    use prost_types::Struct;
    use prost_types::Value;
    use prost_types::value::Kind;

    use super::*;
    use engine::domain::Item;
    use engine::domain::ItemId;

    fn mask(paths: &[&str]) -> Result<Option<ItemMask>, Vec<Violation>> {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        item_mask(Some(FieldMask { paths }))
    }

    fn text(title: &str) -> proto::LocalizedText {
        proto::LocalizedText { title: title.to_owned(), content: String::new() }
    }

    fn full() -> proto::Item {
        let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
        let fields = [("price", 3.0), ("old.price", 4.0)];
        let fields = fields.map(|(name, value)| (name.to_owned(), number(value)));
        proto::Item {
            item_id: "i".to_owned(),
            title: "Title".to_owned(),
            source: "press".to_owned(),
            hidden: true,
            attributes: Some(Struct { fields: fields.into() }),
            localized: [("de-at", "Titel"), ("fr", "Titre")]
                .map(|(tag, title)| (tag.to_owned(), text(title)))
                .into(),
            ..proto::Item::default()
        }
    }

    #[test]
    fn items_are_replaced_as_a_whole_without_a_mask_and_not_with_an_empty_one() {
        assert_eq!(item_mask(None), Ok(None));
        let violations = mask(&[]).unwrap_err();
        assert_eq!(violations[0].field, "update_mask");
        assert!(violations[0].reason.contains("leave it unset"), "{violations:?}");
    }

    #[test]
    fn a_patch_holds_what_its_mask_names_and_nothing_else() {
        let paths = ["title", "attributes.old.price", "attributes.gone", "localized.DE-AT"];
        let mask = mask(&paths).unwrap().unwrap();
        let mut message = full();
        message.attributes.as_mut().unwrap().fields.remove("price");
        message.localized.remove("fr");
        let patch = item_patch(message, &mask, 3).unwrap();
        let names: Vec<_> = patch.values.attributes.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["old.price"]);
        let tags: Vec<_> = patch.values.localized.keys().map(LanguageTag::as_str).collect();
        assert_eq!(tags, ["de-AT"]);
        assert_eq!((patch.values.title.as_str(), patch.values.source), ("Title", None));
    }

    #[test]
    fn an_attribute_or_a_language_that_a_mask_of_others_does_not_name_is_told() {
        let fields = |paths: &[&str]| -> Vec<String> {
            let refused = item_patch(full(), &mask(paths).unwrap().unwrap(), 3).err();
            refused.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
        };
        let misspelt = fields(&["attributes.prise", "attributes.old.price", "localized.fr"]);
        assert_eq!(misspelt, ["attributes[\"price\"]", "localized[\"de-at\"]"]);
        assert!(fields(&["attributes", "localized"]).is_empty());
        assert!(fields(&["hidden"]).is_empty(), "the whole item may be sent for other fields");
    }

    #[test]
    fn a_patch_of_all_fields_makes_the_item_that_an_upsert_makes() {
        let names = ItemField::ALL.map(ItemField::name);
        for paths in [&["*"][..], &names] {
            let patch = item_patch(full(), &mask(paths).unwrap().unwrap(), 3).unwrap();
            let before = Item { title: "old".to_owned(), ..Item::new(ItemId::parse("i").unwrap()) };
            assert_eq!(patch.applied_to(&before).unwrap(), item(full(), 3).unwrap());
        }
    }

    #[test]
    fn what_is_wrong_in_fields_that_are_not_named_does_not_matter() {
        let wrong = proto::Item { source: "\n".to_owned(), embedding: vec![1.0], ..full() };
        assert!(item_patch(wrong.clone(), &mask(&["title"]).unwrap().unwrap(), 3).is_ok());
        let named = mask(&["title", "source", "embedding"]).unwrap().unwrap();
        let violations = item_patch(wrong, &named, 3).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["source", "embedding"]);
    }

    #[test]
    fn a_path_that_names_no_field_is_told() {
        let bad = [
            "item_id",
            "",
            "Title",
            "title.x",
            "attributes.",
            "localized.",
            "localized.german",
            "embedding_is_computed",
            "topics.0",
        ];
        let violations = mask(&[&["title"], &bad[..]].concat()).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|one| one.field.clone()).collect();
        let expected: Vec<_> = (1..=bad.len()).map(|n| format!("update_mask.paths[{n}]")).collect();
        assert_eq!(fields, expected);
    }
}
