//! Characters to the letters of terms.
//!
//! - Case and Latin diacritics are folded, so that "Café", "CAFE" and "cafe" plus
//!   a combining accent are one term. Other scripts keep their marks: there they
//!   distinguish words.
//! - Not a full normalisation (NFKD): that needs tables this service has no other
//!   use for. Ligatures and full-width forms stay as they are.

/// What a character does to its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Letter,
    /// Is removed: accents, soft hyphens, zero-width marks.
    Nothing,
    /// Ends the token: Unicode word rules keep "o'clock", "node.js" and "a_b" whole.
    Separator,
}

/// Appends the folded form of `c` to `token`; false when `c` ends the token.
pub(crate) fn push_folded(token: &mut String, c: char) -> bool {
    if c.is_ascii() {
        let letter = c.is_ascii_alphanumeric();
        if letter {
            token.push(c.to_ascii_lowercase());
        }
        return letter;
    }
    match role(c) {
        Role::Separator => false,
        Role::Nothing => true,
        Role::Letter => {
            push_letter(token, c);
            true
        }
    }
}

/// Appends `c` in lower case without Latin diacritics.
pub(crate) fn push_letter(token: &mut String, c: char) {
    // Lower case may be several characters: "İ" gives "i" and a combining dot.
    for lower in c.to_lowercase() {
        match latin(lower) {
            Some(letters) => token.push_str(letters),
            None if role(lower) == Role::Nothing => {}
            None => token.push(lower),
        }
    }
}

fn role(c: char) -> Role {
    match c {
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => Role::Nothing,
        '·' | '\u{2010}'..='\u{206f}' => Role::Separator,
        _ => Role::Letter,
    }
}

/// The plain letters of a lower-case Latin letter with a diacritic.
fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ'..='ặ' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ'..='ệ' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ỉ'..='ị' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ọ'..='ợ' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ụ'..='ự' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' | 'ỳ'..='ỹ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut token = String::new();
        for c in text.chars() {
            push_folded(&mut token, c);
        }
        token
    }

    #[test]
    fn composed_and_decomposed_accents_fold_to_the_same_letters() {
        assert_eq!(folded("Café"), "cafe");
        assert_eq!(folded("Cafe\u{301}"), "cafe");
        assert_eq!(folded("İstanbul"), "istanbul");
        assert_eq!(folded("Straße"), "strasse");
        assert_eq!(folded("Łódź"), "lodz");
        assert_eq!(folded("Việt"), "viet");
    }

    #[test]
    fn other_scripts_keep_their_marks() {
        assert_eq!(folded("हिन्दी"), "हिन्दी");
        assert_eq!(folded("МОЙ"), "мой");
    }

    #[test]
    fn every_latin_range_holds_only_lower_case_forms_of_its_letter() {
        // A range with a wrong end would include another letter's forms.
        for c in ('\u{e0}'..='\u{24f}').chain('\u{1ea1}'..='\u{1ef9}') {
            if let Some(letters) = latin(c) {
                assert!(letters.is_ascii() && !letters.is_empty(), "{c}");
                assert_ne!(c, '÷');
                assert_ne!(c, '×');
            }
        }
        assert_eq!((latin('ặ'), latin('ẹ'), latin('ệ')), (Some("a"), Some("e"), Some("e")));
        assert_eq!((latin('ị'), latin('ọ'), latin('ợ')), (Some("i"), Some("o"), Some("o")));
        assert_eq!((latin('ụ'), latin('ự'), latin('ỳ')), (Some("u"), Some("u"), Some("y")));
    }
}
