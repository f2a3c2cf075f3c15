//! Text to terms.
//!
//! - Text is cut at ASCII white space, then into the words of Unicode (UAX 29),
//!   then at apostrophes, dots and underscores. Terms are in lower case, without
//!   Latin diacritics.
//! - A term has 2 to 40 characters. Stop words, numbers of more than four digits
//!   and numbers with separators (quantities, addresses) are dropped.
//! - Words of a text whose language is known are stemmed by its Snowball stemmer
//!   before their diacritics are dropped. Its stop words are dropped.
//! - Where no language is known, English plurals lose their ending by three rules (Harman, "How effective is
//!   suffixing?", 1991, the S-stemmer): "ies" gives "y", "es" gives "e", "s" goes.
//!   Departure: "ie" gives "y" too, so that "movie" meets "movies".
//!   It is sometimes wrong ("tennis" gives "tenni"), but always the same way.
//! - Scripts without spaces, where each character is a word to UAX 29, give
//!   overlapping pairs of characters, as Lucene's CJK analyzer does.
//!
//! Cost: no allocation per token; one buffer is reused.

use rust_stemmers::Stemmer;
use unicode_segmentation::UnicodeSegmentation;

use crate::models::content::fold::push_folded;
use crate::models::content::fold::push_letter;
use crate::models::content::language::Language;

/// Characters of a term at least and at most. Longer ones are encodings or
/// addresses and occur in one document only.
const TERM_CHARS_MIN: usize = 2;
const TERM_CHARS_MAX: usize = 40;
/// Digits of a number at most: years are subjects, amounts are not.
const NUMBER_DIGITS_MAX: usize = 4;
/// Shorter words keep their "s": "gas", "bus", "his".
const PLURAL_BYTES_MIN: usize = 4;
/// Shorter words keep their "ie": "pie" and "pies" give "pie", not "py".
const IE_BYTES_MIN: usize = 4;
/// Words that end like plurals but are not, or would become another word; sorted.
const NO_PLURALS: [&str; 3] = ["news", "series", "species"];

/// Namespace of topic terms. No word has a colon, so the two never meet.
const TOPIC_PREFIX: &str = "topic:";

/// Cuts text into terms with one buffer.
#[derive(Default)]
pub struct Tokenizer {
    token: String,
    /// The token with its diacritics, which stemmers need; empty where it has none.
    marked: String,
    language: Option<Language>,
    stemmer: Option<Stemmer>,
}

impl Tokenizer {
    /// For texts of a language.
    pub(crate) fn new(language: Option<Language>) -> Self {
        let stemmer = language.map(Language::stemmer);
        Self { token: String::new(), marked: String::new(), language, stemmer }
    }

    /// Calls `emit` with each term of `text`, in order, repetitions included.
    pub fn words(&mut self, text: &str, mut emit: impl FnMut(&str)) {
        self.token.clear();
        for chunk in text.split_ascii_whitespace() {
            // Most chunks of most texts. The rules of Unicode do not matter here: they join letters
            // over signs at which terms are cut anyway. They do join numbers.
            if chunk.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_digit()) {
                for letters in chunk.split(|c: char| !c.is_ascii_alphabetic()) {
                    self.token.push_str(letters);
                    self.token.make_ascii_lowercase();
                    self.finish(&mut emit);
                }
            } else {
                self.unicode_words(chunk, &mut emit);
            }
        }
    }

    fn unicode_words(&mut self, chunk: &str, emit: &mut impl FnMut(&str)) {
        let mut before: Option<(usize, char)> = None;
        for (start, word) in chunk.unicode_word_indices() {
            if let Some(c) = lone_character(word) {
                if let Some((end, first)) = before
                    && end == start
                {
                    push_letter(&mut self.token, first);
                    push_letter(&mut self.token, c);
                    self.finish(emit);
                }
                before = Some((start + word.len(), c));
                continue;
            }
            before = None;
            if is_quantity(word) {
                continue;
            }
            for c in word.chars() {
                let before = self.token.len();
                if !push_folded(&mut self.token, c) {
                    self.finish(emit);
                } else if self.stemmer.is_some() && self.token.len() > before {
                    self.marked.extend(c.to_lowercase());
                }
            }
            self.finish(emit);
        }
    }

    /// The topic as one term, "topic:science fiction"; `None` when nothing is left
    /// of it. Case, accents, spaces, hyphens and underscores are ignored. Other signs
    /// are kept, so that "C++" and "C#" are two topics.
    pub fn topic(&mut self, topic: &str) -> Option<&str> {
        self.token.clear();
        self.token.push_str(TOPIC_PREFIX);
        let words = topic.split(|c: char| c.is_whitespace() || c == '-' || c == '_');
        for word in words.filter(|word| !word.is_empty()) {
            if self.token.len() > TOPIC_PREFIX.len() {
                self.token.push(' ');
            }
            word.chars().for_each(|c| push_letter(&mut self.token, c));
        }
        (self.token.len() > TOPIC_PREFIX.len()).then_some(self.token.as_str())
    }

    fn finish(&mut self, emit: &mut impl FnMut(&str)) {
        if is_term(&self.token, self.language) {
            match &self.stemmer {
                Some(stemmer) => stem(stemmer, &self.marked, &mut self.token),
                None => strip_plural(&mut self.token),
            }
            emit(&self.token);
        }
        self.token.clear();
        self.marked.clear();
    }
}

/// The character of a word of one character that is not ASCII.
fn lone_character(word: &str) -> Option<char> {
    // The longest character has four bytes: most words are excluded by length.
    if word.len() > 4 || word.is_ascii() {
        return None;
    }
    let mut chars = word.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn is_quantity(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_digit)
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b".,;'".contains(byte))
        && !bytes.iter().all(u8::is_ascii_digit)
}

/// Replaces the token by its stem, unless too little is left of it.
fn stem(stemmer: &Stemmer, marked: &str, token: &mut String) {
    let whole = if marked.is_empty() { token.as_str() } else { marked };
    let stem = stemmer.stem(whole).into_owned();
    if stem.chars().count() >= TERM_CHARS_MIN {
        token.clear();
        stem.chars().for_each(|c| push_letter(token, c));
    }
}

fn is_term(token: &str, language: Option<Language>) -> bool {
    if token.len() < TERM_CHARS_MIN {
        return false;
    }
    let chars = if token.is_ascii() { token.len() } else { token.chars().count() };
    let number = || token.bytes().all(|byte| byte.is_ascii_digit());
    (TERM_CHARS_MIN..=TERM_CHARS_MAX).contains(&chars)
        && !(token.len() > NUMBER_DIGITS_MAX && number())
        && !Language::is_stop_word(language, token)
}

fn strip_plural(token: &mut String) {
    if token.len() < PLURAL_BYTES_MIN
        || !token.is_ascii()
        || NO_PLURALS.binary_search(&token.as_str()).is_ok()
    {
        return;
    }
    let no_plural = ["aes", "ees", "oes", "us", "ss"];
    if token.ends_with('s') && !no_plural.iter().any(|ending| token.ends_with(ending)) {
        token.pop();
    }
    let ie = token.ends_with("ie") && !token.ends_with("eie") && !token.ends_with("aie");
    if ie && token.len() >= IE_BYTES_MIN {
        token.truncate(token.len() - "ie".len());
        token.push('y');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        Tokenizer::default().words(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_lower_case_without_accents_and_stop_words() {
        assert_eq!(words("The CAFÉ of the Naïve"), ["cafe", "naive"]);
        assert_eq!(words("John's dog didn't bark; we'll see."), ["john", "dog", "bark", "see"]);
        assert_eq!(words("l’homme node.js snake_case"), ["homme", "node", "js", "snake", "case"]);
    }

    #[test]
    fn plurals_and_their_singular_give_one_term() {
        assert_eq!(words("stories story"), ["story", "story"]);
        assert_eq!(words("movies movie houses house"), ["movy", "movy", "house", "house"]);
        assert_eq!(words("skies sky pies pie"), ["sky", "sky", "pie", "pie"]);
        assert_eq!(
            words("cats heroes virus glass news gas"),
            ["cat", "heroes", "virus", "glass", "news", "gas"]
        );
    }

    #[test]
    fn words_of_a_language_are_stemmed_and_its_stop_words_are_dropped() {
        let stems = |language, text: &str| {
            let mut words = Vec::new();
            let language = Language::of(Some(language), "", "");
            Tokenizer::new(language).words(text, |word| words.push(word.to_owned()));
            words
        };
        assert_eq!(stems("de", "Häuser und das Haus"), ["haus", "haus"]);
        assert_eq!(stems("fr", "les chanteuses chanteuse"), ["chanteux", "chanteux"]);
        assert_eq!(stems("en", "the running runs"), ["run", "run"]);
        assert_eq!(stems("es", "Canciones de la canción"), ["cancion", "cancion"]);
    }

    #[test]
    fn short_numbers_stay_and_quantities_go() {
        assert_eq!(words("1984 90210 3.14 1,000,000 4k mp3 7"), ["1984", "4k", "mp3"]);
    }

    #[test]
    fn too_long_words_are_dropped_whole() {
        assert_eq!(words(&"x".repeat(40)).len(), 1);
        assert!(words(&"x".repeat(41)).is_empty());
        assert!(words("a b c").is_empty());
    }

    #[test]
    fn scripts_without_spaces_give_overlapping_pairs() {
        assert_eq!(words("机器学习"), ["机器", "器学", "学习"]);
        assert_eq!(words("机器 学习"), ["机器", "学习"]);
        assert_eq!(words("中"), Vec::<String>::new());
        assert_eq!(words("기계 학습"), ["기계", "학습"]);
    }

    #[test]
    fn a_topic_is_one_term_whatever_its_spelling() {
        let mut tokenizer = Tokenizer::default();
        for spelling in ["Science Fiction", " science-fiction ", "SCIENCE_FICTION"] {
            assert_eq!(tokenizer.topic(spelling), Some("topic:science fiction"));
        }
        assert_eq!(tokenizer.topic("C++"), Some("topic:c++"));
        assert_eq!(tokenizer.topic(" - "), None);
        assert_eq!(tokenizer.topic(""), None);
    }

    #[test]
    fn the_fast_path_for_plain_letters_gives_the_same_terms_as_unicode() {
        for text in ["Don't", "a.b:c_d", "(Hello,world)", "e.g.", "--", "x", "rock'n'roll;Ends."] {
            let mut expected = Vec::new();
            Tokenizer::default().unicode_words(text, &mut |word| expected.push(word.to_owned()));
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn no_part_of_a_topic_is_joined_to_the_words_after_it() {
        let mut tokenizer = Tokenizer::default();
        let mut found = Vec::new();
        tokenizer.topic("Fruit");
        tokenizer.words("fruit", |word| found.push(word.to_owned()));
        assert_eq!(found, ["fruit"]);
    }

    proptest! {
        #[test]
        fn any_text_gives_terms_within_their_bounds(text in any::<String>()) {
            for word in words(&text) {
                let chars = word.chars().count();
                prop_assert!((TERM_CHARS_MIN..=TERM_CHARS_MAX).contains(&chars), "{:?}", word);
                prop_assert!(!word.contains(':'));
            }
            prop_assert!(Tokenizer::default().topic(&text).is_none_or(|topic| topic.len() > 6));
        }

        #[test]
        fn any_plain_letters_give_what_unicode_gives(text in "[a-zA-Z!-/:-@\\[-`{-~]{0,30}") {
            let mut expected = Vec::new();
            Tokenizer::default().unicode_words(&text, &mut |word| expected.push(word.to_owned()));
            prop_assert_eq!(words(&text), expected);
        }

        #[test]
        fn cutting_a_text_at_a_space_changes_no_term(
            left in "[\\PC ]{0,40}",
            right in "[\\PC ]{0,40}",
        ) {
            let mut parts = words(&left);
            parts.append(&mut words(&right));
            prop_assert_eq!(words(&format!("{left} \n {right}")), parts);
        }
    }
}
