//! Tags of languages, as BCP 47 has them.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::limits;

/// Letters and digits of a subtag.
const SUBTAG_CHARS: usize = 8;

/// A well-formed tag such as `de` or `pt-BR`, in the usual case: languages in lower case, scripts
/// with a capital, regions in capitals. So two tags of one language are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LanguageTag(Box<str>);

impl LanguageTag {
    /// # Errors
    /// The reason, for a text that is no tag.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_subtag = |part: &str| {
            (1..=SUBTAG_CHARS).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let primary = text.split('-').next().unwrap_or_default();
        let is_language = matches!(primary.len(), 2 | 3)
            && primary.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !is_language || text.len() > limits::LANGUAGE_BYTES || !text.split('-').all(is_subtag) {
            return Err("must be a BCP 47 language tag such as \"en\" or \"pt-BR\"".to_owned());
        }
        let mut tag = text.to_ascii_lowercase();
        let mut start = primary.len() + 1;
        for part in text.split('-').skip(1) {
            let letters = &mut tag[start..start + part.len()];
            match part.len() {
                2 => letters.make_ascii_uppercase(),
                4 => letters[..1].make_ascii_uppercase(),
                _ => {}
            }
            start += part.len() + 1;
        }
        Ok(Self(tag.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language without script and region.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// Whether this is the other one, or says more than it: `pt-BR` says more than `pt`.
    fn extends(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&*other.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The tag of a text for a reader of this language, among those of several texts, in order:
    /// this one, else the longest that this one extends, such as `pt` for `pt-BR`.
    pub fn lookup<'a, T>(
        &self,
        texts: impl Iterator<Item = (&'a Self, T)>,
    ) -> Option<(&'a Self, T)> {
        let fitting = texts.filter(|(tag, _)| self.extends(tag));
        fitting.max_by_key(|(tag, _)| tag.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_form_whatever_its_case() {
        for (text, tag) in [
            ("DE", "de"),
            ("pt-br", "pt-BR"),
            ("ZH-HANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-1901", "de-1901"),
            ("gsw", "gsw"),
        ] {
            assert_eq!(LanguageTag::parse(text).unwrap().as_str(), tag);
        }
        for bad in
            ["", "e", "engl", "1a", "de-", "-de", "de--AT", "de_AT", "dé", "de-Österreich", "de at"]
        {
            assert!(LanguageTag::parse(bad).is_err(), "{bad:?}");
        }
        assert!(LanguageTag::parse(&format!("de{}", "-abcdefgh".repeat(4))).is_err());
    }

    #[test]
    fn a_reader_gets_their_tag_else_the_longest_that_it_extends() {
        let tags = ["zh", "zh-Hant", "zh-Hans-CN", "z"].map(|tag| LanguageTag(tag.into()));
        let of = |text: &str| {
            let texts = tags.iter().map(|tag| (tag, ()));
            let found = LanguageTag::parse(text).unwrap().lookup(texts);
            found.map(|(tag, ())| tag.as_str().to_owned())
        };
        assert_eq!(of("zh-Hant-TW").as_deref(), Some("zh-Hant"));
        assert_eq!(of("zh-Hans-CN").as_deref(), Some("zh-Hans-CN"));
        assert_eq!(of("zh-Hans").as_deref(), Some("zh"));
        assert_eq!(of("zha"), None);
    }
}
