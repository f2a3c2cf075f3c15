//! The language of a text, its stop words and its stemmer.
//!
//! - An item states its language, or it is detected from letter trigrams (Cavnar and
//!   Trenkle, "N-gram-based text categorization", 1994) where the text is long enough
//!   and the result reliable. Otherwise there is none.
//! - Stemming is Snowball's (Porter 2001), by the language; stop words are those of the
//!   Natural Language Toolkit, which has a list for every language here. They decide
//!   before stemming.
//! - Pure: the result is a function of the text.

use std::sync::LazyLock;

use rust_stemmers::Algorithm;
use rust_stemmers::Stemmer;
use whatlang::Lang;

use crate::models::content::fold::push_folded;

/// Bytes of a text at least for detection, and at most used.
const DETECTION_BYTES_MIN: usize = 80;
const DETECTION_BYTES_MAX: usize = 1_024;

struct Known {
    code: &'static str,
    lang: Lang,
    algorithm: Algorithm,
}

/// English is the first.
#[rustfmt::skip]
static KNOWN: [Known; 18] = [
    Known { code: "en", lang: Lang::Eng, algorithm: Algorithm::English },
    Known { code: "de", lang: Lang::Deu, algorithm: Algorithm::German },
    Known { code: "fr", lang: Lang::Fra, algorithm: Algorithm::French },
    Known { code: "es", lang: Lang::Spa, algorithm: Algorithm::Spanish },
    Known { code: "it", lang: Lang::Ita, algorithm: Algorithm::Italian },
    Known { code: "pt", lang: Lang::Por, algorithm: Algorithm::Portuguese },
    Known { code: "nl", lang: Lang::Nld, algorithm: Algorithm::Dutch },
    Known { code: "sv", lang: Lang::Swe, algorithm: Algorithm::Swedish },
    Known { code: "da", lang: Lang::Dan, algorithm: Algorithm::Danish },
    Known { code: "no", lang: Lang::Nob, algorithm: Algorithm::Norwegian },
    Known { code: "fi", lang: Lang::Fin, algorithm: Algorithm::Finnish },
    Known { code: "ru", lang: Lang::Rus, algorithm: Algorithm::Russian },
    Known { code: "hu", lang: Lang::Hun, algorithm: Algorithm::Hungarian },
    Known { code: "ro", lang: Lang::Ron, algorithm: Algorithm::Romanian },
    Known { code: "tr", lang: Lang::Tur, algorithm: Algorithm::Turkish },
    Known { code: "el", lang: Lang::Ell, algorithm: Algorithm::Greek },
    Known { code: "ar", lang: Lang::Ara, algorithm: Algorithm::Arabic },
    Known { code: "ta", lang: Lang::Tam, algorithm: Algorithm::Tamil },
];

/// Stop words by language, sorted.
static STOP_WORDS: LazyLock<Vec<Vec<String>>> =
    LazyLock::new(|| KNOWN.iter().map(|known| stop_terms(known.code)).collect());

/// The stop words of a language in the form that the tokenizer makes: folded, and cut at
/// apostrophes, so that "don't" is "don" and "t".
fn stop_terms(code: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for word in stop_words::lookup(code).unwrap_or_default() {
        let mut term = String::new();
        for c in word.chars() {
            if !push_folded(&mut term, c) {
                terms.push(std::mem::take(&mut term));
            }
        }
        terms.push(term);
    }
    terms.retain(|term| !term.is_empty());
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// A language that can be stemmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Language(usize);

impl Language {
    /// The language that the item states, or that is detected from its text. `None` also for one
    /// that is not supported.
    pub fn of(said: Option<&str>, title: &str, content: &str) -> Option<Self> {
        said.map_or_else(|| Self::detect(title, content), Self::named)
    }

    /// By the primary subtag of BCP 47.
    fn named(code: &str) -> Option<Self> {
        let code = if matches!(code, "nb" | "nn") { "no" } else { code };
        KNOWN.iter().position(|known| known.code == code).map(Self)
    }

    fn detect(title: &str, content: &str) -> Option<Self> {
        if title.len() + content.len() < DETECTION_BYTES_MIN {
            return None;
        }
        let mut text = format!("{title}\n{content}");
        text.truncate(text.floor_char_boundary(DETECTION_BYTES_MAX));
        let found = whatlang::detect(&text).filter(whatlang::Info::is_reliable)?;
        KNOWN.iter().position(|known| known.lang == found.lang()).map(Self)
    }

    pub fn stemmer(self) -> Stemmer {
        Stemmer::create(KNOWN[self.0].algorithm)
    }

    /// Whether a folded word is a stop word. Texts without a known language are treated as
    /// English: English words occur in texts of all languages.
    pub fn is_stop_word(language: Option<Self>, word: &str) -> bool {
        let Self(known) = language.unwrap_or(Self(0));
        STOP_WORDS[known].binary_search_by(|term| term.as_str().cmp(word)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<&'static str> {
        Language::of(None, "", text).map(|language| KNOWN[language.0].code)
    }

    #[test]
    fn every_language_has_stop_words_in_the_form_of_terms() {
        for (known, terms) in KNOWN.iter().zip(STOP_WORDS.iter()) {
            assert!(terms.len() > 40, "{} has {} stop words", known.code, terms.len());
            for term in terms {
                let mut folded = String::new();
                assert!(term.chars().all(|c| push_folded(&mut folded, c)), "{term}");
                assert_eq!(folded, *term);
            }
        }
    }

    #[test]
    fn words_of_content_are_no_stop_words_and_common_words_are() {
        let is_stop_word = |code, word| Language::is_stop_word(Language::named(code), word);
        for (code, word) in
            [("en", "the"), ("en", "don"), ("de", "fur"), ("fr", "etait"), ("el", "και")]
        {
            assert!(is_stop_word(code, word), "{word}");
        }
        for (code, word) in
            [("en", "theory"), ("en", "world"), ("de", "arbeit"), ("en", ""), ("en", "7")]
        {
            assert!(!is_stop_word(code, word), "{word}");
        }
        assert!(Language::is_stop_word(None, "about"), "without a language English is used");
    }

    #[test]
    fn the_language_is_the_stated_one_or_that_of_a_long_text() {
        let german = "Die Regierung hat gestern beschlossen, dass die Steuern für kleine \
                      Unternehmen im nächsten Jahr gesenkt werden sollen.";
        let french = "Le gouvernement a décidé hier que les impôts des petites entreprises \
                      seront réduits l'année prochaine, selon le ministre.";
        assert_eq!((of(german), of(french)), (Some("de"), Some("fr")));
        assert_eq!(of("Die Regierung"), None);
        assert_eq!(Language::of(Some("nb"), "", german).map(|it| KNOWN[it.0].code), Some("no"));
        assert_eq!(Language::of(Some("tlh"), "", german), None);
    }
}
