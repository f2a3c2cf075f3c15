//! A catalogue item: mask of the optional fields, texts, attributes, embedding, language, texts
//! in other languages. A patch: what it names, then an item with the values.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::attributes;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_floats;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemId;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::LocalizedText;
use engine::domain::Timestamp;

const SOURCE: u8 = 1;
const PUBLISHED_AT: u8 = 1 << 1;
const LANGUAGE: u8 = 1 << 2;
const HIDDEN: u8 = 1 << 3;
const EXPIRES_AT: u8 = 1 << 4;
const LOCALIZED: u8 = 1 << 5;
const EMBEDDING_IS_COMPUTED: u8 = 1 << 6;
const KNOWN: u8 = (1 << 7) - 1;

pub fn put(out: &mut Vec<u8>, item: &Item, base: Timestamp) {
    let bit = |bit: u8, is_set: bool| if is_set { bit } else { 0 };
    out.push(
        bit(SOURCE, item.source.is_some())
            | bit(PUBLISHED_AT, item.published_at.is_some())
            | bit(LANGUAGE, item.language.is_some())
            | bit(HIDDEN, item.hidden)
            | bit(EXPIRES_AT, item.expires_at.is_some())
            | bit(LOCALIZED, !item.localized.is_empty())
            | bit(EMBEDDING_IS_COMPUTED, item.embedding_is_computed),
    );
    put_text(out, item.item_id.as_str());
    put_text(out, &item.title);
    put_text(out, &item.content);
    put_texts(out, &item.topics);
    if let Some(source) = &item.source {
        put_text(out, source);
    }
    if let Some(published_at) = item.published_at {
        put_time(out, published_at, base);
    }
    attributes::put(out, &item.attributes);
    put_floats(out, &item.embedding);
    if let Some(language) = &item.language {
        put_text(out, language);
    }
    if let Some(expires_at) = item.expires_at {
        put_time(out, expires_at, base);
    }
    if !item.localized.is_empty() {
        put_varint(out, item.localized.len() as u64);
        for (tag, text) in &item.localized {
            put_text(out, tag.as_str());
            put_text(out, &text.title);
            put_text(out, &text.content);
        }
    }
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<Item, Fault> {
    let mask = reader.byte()?;
    if mask & !KNOWN != 0 {
        let (found, known) = (mask.into(), KNOWN.into());
        return Err(Fault::TooNew { what: "fields of an item", found, known });
    }
    let has = |bit: u8| mask & bit != 0;
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(Item {
        item_id: reader.parsed(ItemId::parse)?,
        title: reader.text()?.to_owned(),
        content: reader.text()?.to_owned(),
        topics: reader.texts()?,
        source: has(SOURCE).then(|| reader.text().map(Box::from)).transpose()?,
        published_at: has(PUBLISHED_AT).then(|| reader.time(base)).transpose()?,
        attributes: attributes::read(reader)?,
        embedding: reader.floats()?,
        language: has(LANGUAGE).then(|| reader.text().map(Box::from)).transpose()?,
        expires_at: has(EXPIRES_AT).then(|| reader.time(base)).transpose()?,
        localized: if has(LOCALIZED) { read_localized(reader)? } else { BTreeMap::new() },
        hidden: has(HIDDEN),
        embedding_is_computed: has(EMBEDDING_IS_COMPUTED),
    })
}

fn read_localized(reader: &mut Reader<'_>) -> Result<BTreeMap<LanguageTag, LocalizedText>, Fault> {
    let mut localized = BTreeMap::new();
    // A tag and two texts take three bytes at least.
    for _ in 0..reader.count(3)? {
        let tag = language_tag(reader)?;
        let (title, content) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        localized.insert(tag, LocalizedText { title, content });
    }
    Ok(localized)
}

fn language_tag(reader: &mut Reader<'_>) -> Result<LanguageTag, Fault> {
    LanguageTag::parse(reader.text()?).map_err(Fault::Damaged)
}

pub fn put_patch(out: &mut Vec<u8>, patch: &ItemPatch, base: Timestamp) {
    let ItemPatch { mask: ItemMask { fields, attributes, localized }, values } = patch;
    put_varint(out, fields.len() as u64);
    fields.iter().for_each(|&field| out.push(number(field)));
    put_varint(out, attributes.len() as u64);
    attributes.iter().for_each(|name| put_text(out, name));
    put_varint(out, localized.len() as u64);
    localized.iter().for_each(|tag| put_text(out, tag.as_str()));
    put(out, values, base);
}

pub fn read_patch(reader: &mut Reader<'_>, base: Timestamp) -> Result<ItemPatch, Fault> {
    let mut fields = BTreeSet::new();
    for _ in 0..reader.count(1)? {
        fields.insert(field(reader.byte()?)?);
    }
    let mut attributes = BTreeSet::new();
    for _ in 0..reader.count(1)? {
        attributes.insert(Box::from(reader.text()?));
    }
    let mut localized = BTreeSet::new();
    for _ in 0..reader.count(1)? {
        localized.insert(language_tag(reader)?);
    }
    let mask = ItemMask { fields, attributes, localized };
    Ok(ItemPatch { mask, values: read(reader, base)? })
}

/// The number of a field, from 1.
fn number(field: ItemField) -> u8 {
    match field {
        ItemField::Title => 1,
        ItemField::Content => 2,
        ItemField::Topics => 3,
        ItemField::Source => 4,
        ItemField::PublishedAt => 5,
        ItemField::Embedding => 6,
        ItemField::Attributes => 7,
        ItemField::Language => 8,
        ItemField::Hidden => 9,
        ItemField::ExpiresAt => 10,
        ItemField::Localized => 11,
    }
}

fn field(found: u8) -> Result<ItemField, Fault> {
    let known = ItemField::ALL.into_iter().find(|&field| number(field) == found);
    let newest = ItemField::ALL.len() as u64;
    known.ok_or(Fault::TooNew { what: "field of an item", found: found.into(), known: newest })
}
