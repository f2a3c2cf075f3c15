//! What records hold: items, changes of users and events, described field by field.

use std::collections::BTreeMap;

use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::AttributesChange;
use engine::domain::InteractionContext;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LanguageTag;
use engine::domain::LocalizedText;
use engine::domain::Mute;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::Timestamp;
use engine::domain::UserBoost;
use engine::domain::UserId;

use super::Answer;
use super::Kind;

/// An item of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Described(pub(super) Item);

impl Described {
    pub fn new(id: &str) -> Self {
        Self(Item::new(item_id(id)))
    }

    pub fn titled(mut self, title: &str) -> Self {
        self.0.title = title.to_owned();
        self
    }

    pub fn topic(mut self, topic: &str) -> Self {
        self.0.topics.push(topic.into());
        self
    }

    pub fn source(mut self, source: &str) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attach(name, AttributeValue::Text(value.to_owned()));
        self
    }

    pub fn number(mut self, name: &str, value: f64) -> Self {
        self.attach(name, AttributeValue::Number(value));
        self
    }

    fn attach(&mut self, name: &str, value: AttributeValue) {
        let own = self.0.attributes.iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let values: BTreeMap<_, _> = own.chain([(name.to_owned(), value)]).collect();
        self.0.attributes = Attributes::new(values).expect("short attributes");
    }

    pub fn published(mut self, at: Timestamp) -> Self {
        self.0.published_at = Some(at);
        self
    }

    pub fn hidden(mut self, hidden: bool) -> Self {
        self.0.hidden = hidden;
        self
    }

    pub fn expires(mut self, at: Timestamp) -> Self {
        self.0.expires_at = Some(at);
        self
    }

    pub fn language(mut self, tag: &str) -> Self {
        self.0.language = Some(tag.into());
        self
    }

    /// The item in another language.
    pub fn in_language(mut self, tag: &str, title: &str) -> Self {
        let tag = LanguageTag::parse(tag).expect("a tag");
        let text = LocalizedText { title: title.to_owned(), content: String::new() };
        self.0.localized.insert(tag, text);
        self
    }

    /// The title for readers of a language.
    pub fn title_in(&self, tag: &str) -> &str {
        self.0.title_in(Some(&LanguageTag::parse(tag).expect("a tag")))
    }

    pub fn embedded(mut self, embedding: Vec<f32>) -> Self {
        self.0.embedding = embedding;
        self
    }
}

/// A change of what is set for a user.
#[derive(Debug, Clone, Default)]
pub struct SetFor {
    pub(super) attributes: AttributesChange,
    pub(super) rules: RulesChange,
}

impl SetFor {
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        let values = [(name.to_owned(), AttributeValue::Text(value.to_owned()))];
        self.attributes.set = Attributes::new(values.into()).expect("short attributes");
        self
    }

    pub fn block_item(mut self, id: &str) -> Self {
        self.rules.blocked_items.add.push(id.into());
        self
    }

    pub fn block_source(mut self, source: &str) -> Self {
        self.rules.blocked_sources.add.push(source.into());
        self
    }

    pub fn block_topic(mut self, topic: &str) -> Self {
        self.rules.blocked_topics.add.push(topic.into());
        self
    }

    pub fn unblock_topic(mut self, topic: &str) -> Self {
        self.rules.blocked_topics.remove.push(topic.into());
        self
    }

    pub fn mute_topic(mut self, topic: &str, until: Option<Timestamp>) -> Self {
        let target = RuleTarget::Topic(topic.into());
        self.rules.mutes.add.push(Mute { target, until });
        self
    }

    pub fn mute_source(mut self, source: &str) -> Self {
        let target = RuleTarget::Source(source.into());
        self.rules.mutes.add.push(Mute { target, until: None });
        self
    }

    pub fn boost_topic(mut self, topic: &str, addend: f64) -> Self {
        let (target, change) = (RuleTarget::Topic(topic.into()), ScoreChange::Add(addend));
        self.rules.boosts.add.push(UserBoost { target, change, until: None });
        self
    }

    pub fn profiled(mut self, is_profiled: bool) -> Self {
        self.rules.non_profiled = Some(!is_profiled);
        self
    }
}

/// What a user does with an item.
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) user: String,
    pub(super) item: String,
    pub(super) kind: Kind,
    pub(super) value: Option<f32>,
    pub(super) at: Option<Timestamp>,
    pub(super) answer: Option<String>,
    pub(super) context: InteractionContext,
}

impl Event {
    pub fn of(user: &str, item: &str, kind: Kind) -> Self {
        let (user, item) = (user.to_owned(), item.to_owned());
        let context = InteractionContext::default();
        Self { user, item, kind, value: None, at: None, answer: None, context }
    }

    pub fn value(self, value: f32) -> Self {
        Self { value: Some(value), ..self }
    }

    /// When the client says that it happened; without this, now.
    pub fn at(self, at: Timestamp) -> Self {
        Self { at: Some(at), ..self }
    }

    pub fn to(self, answer: &Answer) -> Self {
        Self { answer: Some(answer.decision_id.clone()), ..self }
    }

    pub fn topic(mut self, topic: &str) -> Self {
        self.context.topics.push(topic.into());
        self
    }

    pub fn source(mut self, source: &str) -> Self {
        self.context.source = Some(source.into());
        self
    }

    pub fn device(mut self, device: &str) -> Self {
        self.context.device_type = Some(device.into());
        self
    }

    pub fn in_context(mut self, name: &str, value: &str) -> Self {
        self.context.attributes = text_attribute(name, value);
        self
    }

    pub fn location(mut self, location: &str) -> Self {
        self.context.location = Some(location.into());
        self
    }
}

/// One attribute that is a text.
pub fn text_attribute(name: &str, value: &str) -> Attributes {
    let value = AttributeValue::Text(value.to_owned());
    Attributes::new([(name.to_owned(), value)].into()).expect("within the limits")
}

pub fn item_id(id: &str) -> ItemId {
    ItemId::parse(id).expect("an id")
}

pub fn user_id(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}
