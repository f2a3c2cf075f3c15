//! What names something in a request: users, items, namespaces, pages.

use std::collections::HashSet;

use super::scalars::each;
use crate::proto;
use engine::domain::EventId;
use engine::domain::ItemId;
use engine::domain::NamespaceName;
use engine::domain::UserId;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

fn one<T>(field: &str, checked: Result<T, String>) -> Result<T, Vec<Violation>> {
    checked.map_err(|reason| vec![Violation::new(field, reason)])
}

/// # Errors
/// A violation of `user_id`.
pub fn user_id(text: &str) -> Result<UserId, Vec<Violation>> {
    one("user_id", UserId::parse(text))
}

/// The users of a merge: which one, and into which.
///
/// # Errors
/// Violations of `from_user_id` and `into_user_id`.
pub fn merged_users(
    message: &proto::MergeUsersRequest,
) -> Result<(UserId, UserId), Vec<Violation>> {
    let mut violations = Violations::default();
    let from = violations.take("from_user_id", UserId::parse(&*message.from_user_id));
    let into = violations.take("into_user_id", UserId::parse(&*message.into_user_id));
    if from.is_some() && from == into {
        violations.add("into_user_id", "must be another id than from_user_id");
    }
    match (from, into) {
        (Some(from), Some(into)) => violations.finish((from, into)),
        _ => Err(violations.into_vec()),
    }
}

/// # Errors
/// A violation of `item_id`.
pub fn item_id(text: &str) -> Result<ItemId, Vec<Violation>> {
    one("item_id", ItemId::parse(text))
}

/// Empty means that the stream names none.
///
/// # Errors
/// A violation of `producer_id`.
pub fn producer_id(text: &str) -> Result<String, Vec<Violation>> {
    let longest = limits::PRODUCER_ID_BYTES;
    if text.len() > longest {
        let reason = format!("must be at most {longest} bytes, is {}", text.len());
        return one("producer_id", Err(reason));
    }
    if !text.is_empty() {
        // What it becomes a part of must be an id.
        one("producer_id", EventId::parse(text))?;
    }
    Ok(text.to_owned())
}

/// Empty means the default namespace.
///
/// # Errors
/// A violation of `namespace`.
pub fn namespace(text: &str) -> Result<NamespaceName, Vec<Violation>> {
    if text.is_empty() {
        return Ok(NamespaceName::default());
    }
    one("namespace", NamespaceName::parse(text))
}

/// The namespace of a later message of a stream: empty, or that of the `first`.
///
/// # Errors
/// A violation of `namespace`.
pub fn namespace_again(text: &str, first: &NamespaceName) -> Result<(), Vec<Violation>> {
    if text.is_empty() || text == first.as_str() {
        return Ok(());
    }
    let reason = format!("must be empty or {first}, as in the first message of the stream");
    one("namespace", Err(reason))
}

/// The `item_ids` of a DeleteItems request, each once, in the order of their first
/// mention.
///
/// # Errors
/// A violation of `item_ids`, or of its first wrong entries.
pub fn deleted_item_ids(texts: Vec<String>) -> Result<Vec<ItemId>, Vec<Violation>> {
    if texts.len() > limits::DELETE_ITEMS {
        let most = limits::DELETE_ITEMS;
        return one("item_ids", Err(format!("must hold at most {most}, holds {}", texts.len())));
    }
    let mut ids = each("item_ids", texts, ItemId::parse)?;
    let mut seen = HashSet::with_capacity(ids.len());
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

/// Checks how many interactions or items a call without a stream holds in `field`.
///
/// # Errors
/// A violation of `field`.
pub fn batch(field: &str, count: usize) -> Result<(), Vec<Violation>> {
    let most = limits::BATCH_ITEMS;
    let reason = || format!("must hold at most {most} entries, holds {count}");
    one(field, if count <= most { Ok(()) } else { Err(reason()) })
}

/// 0 means the default.
///
/// # Errors
/// A violation of `page_size`.
pub fn page_size(size: u32) -> Result<usize, Vec<Violation>> {
    one("page_size", length(size, limits::PAGE_SIZE_DEFAULT, limits::PAGE_SIZE))
}

/// A requested length, where 0 stands for `default`.
pub(super) fn length(requested: u32, default: usize, most: usize) -> Result<usize, String> {
    match usize::try_from(requested) {
        Ok(0) => Ok(default),
        Ok(requested) if requested <= most => Ok(requested),
        _ => Err(format!("must be at most {most}, is {requested}")),
    }
}

/// What is listed by pages. A token of one listing is foreign to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Items,
    Namespaces,
    Experiments,
}

impl Listing {
    /// First character of the listing's tokens. Not a hexadecimal digit.
    const fn mark(self) -> char {
        match self {
            Self::Items => 'i',
            Self::Namespaces => 'n',
            Self::Experiments => 'x',
        }
    }
}

/// The token of the page after `last_key`, the last key of a page: the listing's
/// mark and the key in hexadecimal digits, so that nobody takes it for a key.
pub fn next_page_token(listing: Listing, last_key: &str) -> String {
    let digit = |nibble: u8| char::from(HEX_DIGITS[usize::from(nibble)]);
    let bytes = last_key.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    std::iter::once(listing.mark()).chain(bytes).collect()
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The key after which the page starts; empty asks for the first page.
///
/// # Errors
/// A violation of `page_token` when [`next_page_token`] cannot have made it.
pub fn page_token(listing: Listing, token: &str) -> Result<Option<String>, Vec<Violation>> {
    if token.is_empty() {
        return Ok(None);
    }
    let key = token.strip_prefix(listing.mark()).and_then(unhex);
    let reason = "must be the next_page_token of an earlier answer to this call, or empty";
    one("page_token", key.ok_or(reason.to_owned())).map(Some)
}

/// `None` for what is not the hexadecimal form of a key.
fn unhex(digits: &str) -> Option<String> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() || pairs.len() > limits::ID_BYTES {
        return None;
    }
    let nibble = |digit: u8| HEX_DIGITS.iter().position(|known| *known == digit);
    let byte = |pair: &[u8; 2]| u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok();
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_namespace_is_the_default_one() {
        assert!(namespace("").unwrap().is_default());
        assert_eq!(namespace("shop-2").unwrap().as_str(), "shop-2");
        assert_eq!(namespace("Shop").unwrap_err()[0].field, "namespace");
    }

    #[test]
    fn a_stream_stays_in_the_namespace_of_its_first_message() {
        let first = namespace("").unwrap();
        assert!(namespace_again("", &first).is_ok());
        assert!(namespace_again("default", &first).is_ok());
        assert_eq!(namespace_again("shop", &first).unwrap_err()[0].field, "namespace");
    }

    #[test]
    fn wrong_ids_are_named() {
        assert_eq!(user_id("").unwrap_err()[0].field, "user_id");
        assert_eq!(item_id(&"x".repeat(257)).unwrap_err()[0].field, "item_id");
        let ids = vec!["a".to_owned(), String::new()];
        assert_eq!(deleted_item_ids(ids).unwrap_err()[0].field, "item_ids[1]");
        let many = vec!["a".to_owned(); limits::DELETE_ITEMS + 1];
        assert_eq!(deleted_item_ids(many).unwrap_err()[0].field, "item_ids");
    }

    #[test]
    fn page_sizes_have_a_default_and_a_bound() {
        assert_eq!(page_size(0), Ok(limits::PAGE_SIZE_DEFAULT));
        assert_eq!(page_size(1_000), Ok(1_000));
        assert!(page_size(1_001).is_err());
        assert!(page_size(u32::MAX).is_err());
    }

    #[test]
    fn a_page_token_gives_its_key_back_to_its_own_listing() {
        for key in ["a", "ä/☃", &"x".repeat(limits::ID_BYTES)] {
            let token = next_page_token(Listing::Items, key);
            assert_eq!(page_token(Listing::Items, &token), Ok(Some(key.to_owned())));
            assert!(page_token(Listing::Namespaces, &token).is_err());
        }
        assert_eq!(page_token(Listing::Items, ""), Ok(None));
    }

    #[test]
    fn foreign_page_tokens_are_refused() {
        let long = format!("i{}", "61".repeat(limits::ID_BYTES + 1));
        for bad in ["i", "i6", "i6G", "iAB", "61", "iff", "i6☃", "☃", "i 61", &long] {
            let violations = page_token(Listing::Items, bad).unwrap_err();
            assert_eq!(violations[0].field, "page_token", "{bad}");
        }
    }
}
