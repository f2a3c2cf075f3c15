//! A catalogue item: mask of the optional fields, texts, attributes, embedding, language.

use super::attributes;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_floats;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_time;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::Timestamp;

const SOURCE: u8 = 1;
const PUBLISHED_AT: u8 = 1 << 1;
const LANGUAGE: u8 = 1 << 2;

pub fn put(out: &mut Vec<u8>, item: &Item, base: Timestamp) {
    let source = if item.source.is_some() { SOURCE } else { 0 };
    let published_at = if item.published_at.is_some() { PUBLISHED_AT } else { 0 };
    let language = if item.language.is_some() { LANGUAGE } else { 0 };
    out.push(source | published_at | language);
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
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<Item, Fault> {
    let mask = reader.byte()?;
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
    })
}
