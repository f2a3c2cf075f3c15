//! Identifiers, each a type of its own so that a user is never an item.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::limits;

/// Checks a text that names something: not empty, bounded, no control characters.
///
/// # Errors
/// A phrase that follows the field's name.
pub fn check_text(value: &str, bytes_max: usize) -> Result<(), String> {
    if value.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if value.len() > bytes_max {
        return Err(format!("must be at most {bytes_max} bytes long, is {}", value.len()));
    }
    if value.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// # Errors
            /// When the text is empty, over 256 bytes or holds control characters.
            pub fn parse(value: impl Into<String>) -> Result<Self, String> {
                let value = value.into();
                check_text(&value, limits::ID_BYTES)?;
                Ok(Self(value.into_boxed_str()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type!(
    /// The user a ranking is for, as the caller's backend names them.
    UserId
);
id_type!(
    /// Something that can be recommended.
    ItemId
);
id_type!(
    /// Idempotency key of an interaction: learnt from once, however often sent.
    EventId
);
id_type!(
    /// A visit, as the caller's backend delimits it.
    SessionId
);
id_type!(
    /// One answer of Personalize, or one selection of an arm.
    DecisionId
);
id_type!(
    /// Some arms that compete with each other, such as the layouts of a page.
    ArmSetName
);
id_type!(
    /// One of a few named choices.
    ArmName
);

/// An isolated catalogue, log partition, engine and model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(Box<str>);

impl NamespaceName {
    /// The namespace of requests that name none; it always exists.
    pub const DEFAULT: &'static str = "default";

    /// # Errors
    /// When the name is not 1 to 63 characters of `a-z`, `0-9` and `-`, the
    /// first of them a letter or digit.
    pub fn parse(value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = !value.is_empty()
            && value.len() <= limits::NAMESPACE_CHARS
            && !value.starts_with('-')
            && value.chars().all(allowed);
        if well_formed {
            Ok(Self(value.into_boxed_str()))
        } else {
            Err("must be 1 to 63 characters of a-z, 0-9 and '-', starting with a letter or digit"
                .to_owned())
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }
}

impl Default for NamespaceName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_longest_length_is_accepted_and_one_byte_more_is_refused() {
        assert!(UserId::parse("u".repeat(limits::ID_BYTES)).is_ok());
        assert!(UserId::parse("u".repeat(limits::ID_BYTES + 1)).is_err());
    }

    #[test]
    fn empty_ids_and_control_characters_are_refused() {
        for bad in ["", "a\0b", "line\nbreak", "\u{7f}", "\u{85}"] {
            assert!(ItemId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn namespace_names_are_lower_case_words() {
        for good in ["default", "a", "shop-2", "0x"] {
            assert!(NamespaceName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(NamespaceName::parse(bad).is_err(), "{bad}");
        }
    }
}
