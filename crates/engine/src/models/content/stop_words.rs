//! English words that say nothing about a subject.
//!
//! - Sorted, in the form the tokenizer makes: lower case, and cut at apostrophes,
//!   so "don't" stands here as "don" and "we'll" as "ll".
//! - English only: in other languages the bound on document frequency drops the
//!   commonest words as soon as there are enough documents.

/// Bytes of the longest stop word: longer words are not looked up.
const BYTES_MAX: usize = 10;

#[rustfmt::skip]
const STOP_WORDS: [&str; 155] = [
    "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are",
    "aren", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "cannot", "could", "couldn", "did", "didn", "do", "does", "doesn",
    "doing", "don", "down", "during", "each", "etc", "few", "for", "from", "further", "had",
    "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "here", "hers", "herself",
    "him", "himself", "his", "how", "if", "in", "into", "is", "isn", "it", "its", "itself",
    "just", "ll", "may", "me", "might", "more", "most", "must", "mustn", "my", "myself", "no",
    "nor", "not", "now", "of", "off", "on", "once", "only", "or", "other", "our", "ours",
    "ourselves", "out", "over", "own", "per", "re", "same", "shall", "she", "should", "shouldn",
    "so", "some", "such", "than", "that", "the", "their", "theirs", "them", "themselves", "then",
    "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up",
    "upon", "us", "ve", "very", "via", "was", "wasn", "we", "were", "weren", "what", "when",
    "where", "which", "while", "who", "whom", "why", "will", "with", "within", "without", "won",
    "would", "wouldn", "you", "your", "yours", "yourself", "yourselves",
];

/// Where the words of each initial start in the table, and the end: every token
/// is looked up, and a fifth of the comparisons will do.
const STARTS: [u8; 27] = starts();

const fn starts() -> [u8; 27] {
    let mut starts = [0; 27];
    let mut number = 0;
    while number < STOP_WORDS.len() {
        let initial = STOP_WORDS[number].as_bytes()[0] - b'a';
        // Counts of words up to each initial are where the next one starts.
        let mut later = initial as usize + 1;
        while later < starts.len() {
            starts[later] = number as u8 + 1;
            later += 1;
        }
        number += 1;
    }
    starts
}

pub(crate) fn is_stop_word(word: &str) -> bool {
    let Some(initial @ b'a'..=b'z') = word.bytes().next() else {
        return false;
    };
    let at = usize::from(initial - b'a');
    let same_initial = usize::from(STARTS[at])..usize::from(STARTS[at + 1]);
    word.len() <= BYTES_MAX && STOP_WORDS[same_initial].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_bound_is_exact() {
        assert!(STOP_WORDS.is_sorted_by(|left, right| left < right));
        assert_eq!(STOP_WORDS.iter().map(|word| word.len()).max(), Some(BYTES_MAX));
    }

    #[test]
    fn stop_words_are_found_and_others_are_not() {
        assert!(STOP_WORDS.iter().all(|word| is_stop_word(word)));
        assert!(is_stop_word("the") && is_stop_word("yourselves") && is_stop_word("about"));
        assert!(
            !is_stop_word("theory")
                && !is_stop_word("")
                && !is_stop_word("zoo")
                && !is_stop_word("7")
                && !is_stop_word("é")
        );
    }
}
