//! The language of a text, its stop words and its stemmer.
//!
//! - A language is said by the item, or found out from letter trigrams (Cavnar and
//!   Trenkle, "N-gram-based text categorization", 1994) where the text is long enough
//!   and the answer reliable; else there is none.
//! - Stemming is Snowball's (Porter 2001), by the language; stop words stand here in
//!   the form of terms: lower case, without Latin diacritics.
//! - Pure: what is found is a function of the text.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rust_stemmers::Algorithm;
use rust_stemmers::Stemmer;
use whatlang::Lang;

use crate::models::content::stop_words;

/// Bytes of a text at least whose language is asked for, and at most looked at.
const DETECTION_BYTES_MIN: usize = 80;
const DETECTION_BYTES_MAX: usize = 1_024;

struct Known {
    code: &'static str,
    lang: Lang,
    algorithm: Algorithm,
    /// Divided by spaces; English has a table of its own.
    stop_words: &'static str,
}

#[rustfmt::skip]
static KNOWN: [Known; 18] = [
    Known { code: "en", lang: Lang::Eng, algorithm: Algorithm::English, stop_words: "" },
    Known { code: "de", lang: Lang::Deu, algorithm: Algorithm::German, stop_words: GERMAN },
    Known { code: "fr", lang: Lang::Fra, algorithm: Algorithm::French, stop_words: FRENCH },
    Known { code: "es", lang: Lang::Spa, algorithm: Algorithm::Spanish, stop_words: SPANISH },
    Known { code: "it", lang: Lang::Ita, algorithm: Algorithm::Italian, stop_words: ITALIAN },
    Known { code: "pt", lang: Lang::Por, algorithm: Algorithm::Portuguese, stop_words: PORTUGUESE },
    Known { code: "nl", lang: Lang::Nld, algorithm: Algorithm::Dutch, stop_words: DUTCH },
    Known { code: "sv", lang: Lang::Swe, algorithm: Algorithm::Swedish, stop_words: SWEDISH },
    Known { code: "da", lang: Lang::Dan, algorithm: Algorithm::Danish, stop_words: DANISH },
    Known { code: "no", lang: Lang::Nob, algorithm: Algorithm::Norwegian, stop_words: NORWEGIAN },
    Known { code: "fi", lang: Lang::Fin, algorithm: Algorithm::Finnish, stop_words: FINNISH },
    Known { code: "ru", lang: Lang::Rus, algorithm: Algorithm::Russian, stop_words: RUSSIAN },
    // The bound on document frequency drops the commonest words of these.
    Known { code: "hu", lang: Lang::Hun, algorithm: Algorithm::Hungarian, stop_words: "" },
    Known { code: "ro", lang: Lang::Ron, algorithm: Algorithm::Romanian, stop_words: "" },
    Known { code: "tr", lang: Lang::Tur, algorithm: Algorithm::Turkish, stop_words: "" },
    Known { code: "el", lang: Lang::Ell, algorithm: Algorithm::Greek, stop_words: "" },
    Known { code: "ar", lang: Lang::Ara, algorithm: Algorithm::Arabic, stop_words: "" },
    Known { code: "ta", lang: Lang::Tam, algorithm: Algorithm::Tamil, stop_words: "" },
];

const GERMAN: &str = "aber alle allem allen aller alles als also am an auch auf aus bei beim bin \
    bis bist da damit dann das dass dein deine dem den denn der des dich die dies diese diesem \
    diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines er es etwas euch \
    euer fur gegen habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem \
    ihren ihrer im in ins ist ja jede jedem jeden jeder jedes jetzt kann kein keine keinen konnen \
    konnte man mehr mein meine mich mir mit nach nicht nichts noch nun nur ob oder ohne schon sehr \
    sein seine seinem seinen seiner sich sie sind so soll sollte sondern uber um und uns unser \
    unter vom von vor war waren warum was weil welche welcher wenn wer werde werden wie wieder \
    will wir wird wo wurde wurden zu zum zur zwischen";
const FRENCH: &str = "ai alors apres au aucun aussi autre aux avant avec avoir bien ce cela ces \
    cet cette ceux chaque ci comme comment dans de des deux donc dont du elle elles en encore \
    entre est et etaient etait ete etre eu fait il ils je jusque la le les leur leurs lui ma mais \
    me meme memes mes moi mon ne ni nos notre nous on ont ou par parce pas pendant peut peu plus \
    pour pourquoi qu quand que quel quelle quelles quels qui quoi sa sans se sera ses si son sont \
    sous sur ta te tes toi ton tous tout toute toutes tres tu un une vers vos votre vous";
const SPANISH: &str = "al algo algunos ante antes aqui asi aunque cada como con contra cual \
    cuando de del desde donde dos durante el ella ellas ellos en entre era eran es esa esas ese \
    eso esos esta estaba estado estan estar estas este esto estos fue fueron ha habia han hasta \
    hay la las le les lo los mas me mi mis mucho muy nada ni no nos nosotros nuestra nuestro o \
    otra otras otro otros para pero poco por porque que quien quienes se ser sera si sido sin \
    sobre son su sus tambien tanto te tiene tienen todo todos tu tus un una uno unos y ya yo";
const ITALIAN: &str = "ad agli ai al alla alle allo anche avere aveva che chi ci come con contro \
    cui da dagli dai dal dalla dalle dei degli del della delle dello di dopo dove due ed era \
    erano essere fra gia gli ha hanno ho il in io la le lei li lo loro lui ma mi mia mio molto ne \
    nei negli nel nella nelle nello noi non nostra nostro ogni per perche piu poi prima qual \
    quale quali quando quanto quella quelle quelli quello questa queste questi questo se sei \
    senza si sia sono su sua sue sugli sui sul sulla sulle suo suoi tra tu tutti tutto un una uno \
    vi voi";
const PORTUGUESE: &str = "ao aos apos aquela aquele as ate cada com como da das de dela dele \
    deles depois do dos ela elas ele eles em entre era eram essa esse esta estao estar estava \
    estas este estes eu foi foram ha isso isto ja la lhe mais mas me mesmo meu meus minha muito \
    na nao nas nem no nos nossa nosso num numa os ou para pela pelas pelo pelos por porque qual \
    quando que quem sao se sem ser sera seu seus so sob sobre sua suas tambem te tem tinha tu um \
    uma umas uns voce";
const DUTCH: &str = "aan al alle alles als altijd andere ben bij daar dan dat de der deze die dit \
    doch doen door dus een en er ge geen haar had heb hebben heeft hem het hier hij hoe hun iets \
    ik in is ja je kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of \
    om omdat ons onze ook op over reeds te tegen toch toen tot uit uw van veel voor want waren \
    was wat we werd wezen wie wij wil worden wordt zal ze zei zelf zich zij zijn zo zonder zou";
const SWEDISH: &str = "alla allt att av blev bli blir de dem den denna deras dess dessa det detta \
    dig din dina dit ditt du efter ej eller en er ett fran for han hade har har henne hennes hon \
    honom hur har icke in ingen inom inte jag kan kunde man med mellan men mig min mina mot mycket \
    nagon nagot nar ni nu och om oss pa sa samma sedan sig sin sina sitta sjalv som till under \
    upp ut utan vad var vara varfor vart vem vi vid vilka vilken vill";
const DANISH: &str = "ad af alle alt anden at blev blive bliver da de dem den denne der deres det \
    dette dig din disse dog du efter eller en end er et for fra ham han hans har havde have hende \
    hendes her hos hun hvad hvis hvor i ikke ind jeg jer jo kan kunne man mange med meget men mig \
    min mine mit mod nar noget nogle nu og ogsa om op os over pa sa selv sig sin sine sit skal \
    skulle som til ud under var vi vil ville vor vaere vaeret";
const NORWEGIAN: &str = "alle at av bare begge ble blei bli blir da de deg dei dem den denne der \
    dere deres det dette di din disse du eller en enn er et ett etter for fra ha hadde han hans \
    har henne hennes her hun hva hvem hver hvis hvor hvordan hvorfor i ikke ingen inn ja jeg kan \
    kom kun kunne man mange med meg men mer min mitt mot na nar noe noen og ogsa om opp oss over \
    pa sa samme seg selv si sin sine sitt skal skulle som til ut uten var vart ved vi vil ville \
    vare vaere vaert";
const FINNISH: &str = "ei eivat en enka ette etta han hanen he heidan ja jo joka jos jotka kanssa \
    keta kuin kuka kun me meidan mika minun mina mita mukaan mutta myos ne niin niita niiden \
    noin nyt olemme olen olet oli olin olisi olivat olla ollut on ovat se sen sina sita siella \
    siina silla sita taa tai tama tassa te teidan tuo vaan vai vaikka yli";
const RUSSIAN: &str = "без бы был была были было быть вам вас весь во вот все всего всех вы где да \
    даже для до его ее если есть еще же за здесь из или им их как ко когда кто ли либо мне может \
    мы на надо наш не него нее нет ни них но ну об однако он она они оно от очень по под при со \
    так также такой там те тем то того тоже той только том ты уже хотя чего чей чем что чтобы чье \
    эта эти это этот";

static STOP_WORDS: LazyLock<Vec<BTreeSet<&'static str>>> = LazyLock::new(|| {
    KNOWN.iter().map(|known| known.stop_words.split_ascii_whitespace().collect()).collect()
});

/// A language that can be stemmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Language(usize);

impl Language {
    /// The language that the item says, or that its text shows. `None` also for one
    /// that is not known here.
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

    /// Whether a folded word says nothing about a subject. Texts of no known language
    /// are taken for English here: its words are in all of them.
    pub fn is_stop_word(language: Option<Self>, word: &str) -> bool {
        match language {
            Some(Self(place)) if place > 0 => STOP_WORDS[place].contains(word),
            _ => stop_words::is_stop_word(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::content::fold::push_letter;

    fn of(text: &str) -> Option<&'static str> {
        Language::of(None, "", text).map(|language| KNOWN[language.0].code)
    }

    #[test]
    fn stop_words_stand_in_the_form_of_terms() {
        assert_eq!(KNOWN[0].code, "en");
        for word in STOP_WORDS.iter().flatten() {
            let mut folded = String::new();
            word.chars().for_each(|c| push_letter(&mut folded, c));
            assert_eq!(folded, *word);
        }
    }

    #[test]
    fn the_language_is_what_is_said_or_what_a_long_text_shows() {
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
