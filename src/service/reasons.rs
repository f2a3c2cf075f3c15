//! Reasons in words, for the user who sees the recommendation.

use engine::Reason;
use engine::ReasonKind;
use engine::View;
use engine::domain::LanguageTag;

/// A reason as a sentence, with what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ReasonInWords {
    pub text: String,
    pub reason: Reason,
    /// The causing item; empty without one.
    pub cause_id: String,
    pub cause_title: String,
}

/// The title of the causing item is that for readers of the language.
pub fn in_words(view: &View, reason: Reason, language: Option<&LanguageTag>) -> ReasonInWords {
    let cause_id = reason.item.and_then(|item| view.item_id(item)).unwrap_or_default().to_owned();
    let item = reason.item.and_then(|item| view.entry(item).item.as_ref());
    let cause_title = item.map_or_else(String::new, |item| item.title_in(language).to_owned());
    let cause = if cause_title.is_empty() { &cause_id } else { &cause_title };
    let text = text(&reason, Some(cause.as_str()).filter(|cause| !cause.is_empty()));
    ReasonInWords { text, reason, cause_id, cause_title }
}

fn text(reason: &Reason, cause: Option<&str>) -> String {
    use ReasonKind as Kind;
    let (topic, group) = (reason.topic.as_deref(), reason.group.as_deref());
    // `plain` where it is not known what or who.
    let about = |what: Option<&str>, before: &str, after: &str, plain: &str| match what {
        Some(name) => format!("{before}{name}{after}"),
        None => plain.to_owned(),
    };
    match reason.kind {
        Kind::ConsumedTogether => about(cause, "because you liked ", "", "goes with what you like"),
        Kind::SharedTaste => {
            about(cause, "people who like ", " as you do like it", "people with your taste like it")
        }
        Kind::SimilarContent => {
            about(cause, "similar to ", ", which you liked", "similar in content to what you like")
        }
        Kind::LikedTopic => about(topic, "you like ", "", "about what you like"),
        Kind::LikedSource => about(group, "from ", ", which you like", "from a source you like"),
        Kind::Popular => about(topic, "popular in ", "", "popular"),
        Kind::Trending => about(topic, "trending in ", "", "trending now"),
        Kind::PopularInCohort => {
            about(group, "popular in the group ", "", "popular with people like you")
        }
        Kind::PopularAtLocation => about(group, "popular in ", "", "popular where you are"),
        Kind::Attributes => about(group, "popular with ", "", "popular in this situation"),
        Kind::TimeOfWeek => about(topic, "many want ", " at this time", "many want it now"),
        Kind::OwnTimeOfWeek => {
            about(topic, "you like ", " at this time", "as you like it at this time")
        }
        Kind::Device => about(group, "popular on ", "", "popular on your device"),
        Kind::New => about(topic, "new in ", "", "new here"),
        Kind::Repeat => "you come back to it".to_owned(),
        Kind::SessionContent => {
            about(cause, "similar to ", ", which you just had", "similar to what you just had")
        }
        Kind::SessionTopic => match (topic, cause) {
            (Some(topic), Some(cause)) => format!("about {topic}, as {cause}, which you just had"),
            _ => "about what you just had".to_owned(),
        },
        Kind::Boosted => "promoted".to_owned(),
        Kind::BoostedByUser => "as you asked".to_owned(),
        Kind::Exploration => "something different".to_owned(),
        Kind::Pinned => "selected for you".to_owned(),
    }
}
