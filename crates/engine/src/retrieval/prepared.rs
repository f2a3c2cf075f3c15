//! The values of a filter, sorted once per request, so that the check of an item takes few
//! comparisons, however many values there are.

use crate::domain::AttributeValue;
use crate::domain::Item;
use crate::domain::limits;
use crate::retrieval::filter::Filter;

/// Values of a filter, each list sorted.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    topics: Vec<&'a str>,
    sources: Vec<&'a str>,
    attributes: Vec<(&'a str, Any<'a>)>,
}

/// The condition on an attribute.
#[derive(Debug, Clone)]
enum Any<'a> {
    /// One of these texts.
    Of(Vec<&'a str>),
    This(&'a AttributeValue),
}

impl<'a> Prepared<'a> {
    pub fn new(filter: &'a Filter) -> Self {
        let any = |value: &'a AttributeValue| match value {
            AttributeValue::List(list) => Any::Of(sorted(list.iter().map(String::as_str))),
            one => Any::This(one),
        };
        Self {
            topics: sorted(filter.topics.iter().map(AsRef::as_ref)),
            sources: sorted(filter.sources.iter().map(AsRef::as_ref)),
            attributes: filter.attributes.iter().map(|(name, value)| (name, any(value))).collect(),
        }
    }

    /// Whether the item has any of the topics, or the filter has none.
    pub fn topics_fit(&self, item: &Item) -> bool {
        self.topics.is_empty() || item.topics.iter().any(|topic| has(&self.topics, topic))
    }

    /// The same for its source.
    pub fn source_fits(&self, item: &Item) -> bool {
        self.sources.is_empty() || item.source.as_ref().is_some_and(|one| has(&self.sources, one))
    }

    /// Whether the item has every attribute of the filter.
    pub fn attributes_fit(&self, item: &Item) -> bool {
        self.attributes.iter().all(|(name, any)| {
            item.attributes.get(name).is_some_and(|have| match (any, have) {
                (Any::This(required), have) => have.satisfies(required),
                (Any::Of(texts), AttributeValue::Text(one)) => has(texts, one),
                (Any::Of(texts), AttributeValue::List(list)) => {
                    list.iter().any(|one| has(texts, one))
                }
                (Any::Of(_), AttributeValue::Number(_) | AttributeValue::Flag(_)) => false,
            })
        })
    }
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut sorted: Vec<&str> = texts.collect();
    sorted.sort_unstable();
    sorted
}

fn has(sorted: &[&str], text: &str) -> bool {
    sorted.binary_search(&text).is_ok()
}

/// Comparisons of a binary search among this many values.
fn search(values: usize) -> usize {
    (usize::BITS - values.leading_zeros()) as usize + 1
}

impl Filter {
    /// Most steps for one item, as expressions count them ([`limits::EXPRESSION_STEPS`]).
    pub fn cost(&self) -> usize {
        let any = |values: usize, of: usize| if values == 0 { 0 } else { of * search(values) };
        let attribute = |value: &AttributeValue| match value {
            AttributeValue::List(list) => limits::ATTRIBUTE_LIST * search(list.len()),
            AttributeValue::Text(_) => limits::ATTRIBUTE_LIST,
            AttributeValue::Number(_) | AttributeValue::Flag(_) => 1,
        };
        let attributes = self.attributes.iter();
        any(self.topics.len(), limits::TOPICS)
            + any(self.sources.len(), 1)
            + any(self.exclude.len(), 1)
            + attributes.map(|(_, one)| search(limits::ATTRIBUTES) + attribute(one)).sum::<usize>()
            + self.expression.as_ref().map_or(0, |expression| expression.cost())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::Attributes;
    use crate::domain::ItemId;

    fn attribute() -> impl Strategy<Value = AttributeValue> {
        prop_oneof![
            "[a-c]".prop_map(AttributeValue::Text),
            (0..3_u8).prop_map(|number| AttributeValue::Number(number.into())),
            any::<bool>().prop_map(AttributeValue::Flag),
            prop::collection::vec("[a-c]", 0..3).prop_map(AttributeValue::List),
        ]
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        let values = prop::collection::btree_map("[ab]", attribute(), 0..3);
        values.prop_map(|values: BTreeMap<_, _>| Attributes::new(values).unwrap())
    }

    fn labels() -> impl Strategy<Value = Vec<Box<str>>> {
        prop::collection::vec("[a-d]".prop_map(Box::from), 0..4)
    }

    proptest! {
        #[test]
        fn an_item_fits_as_if_every_value_were_compared(
            (have, required) in (attributes(), attributes()),
            (topics, required_topics) in (labels(), labels()),
            (source, sources) in (prop::option::of("[a-d]"), labels()),
        ) {
            let item = Item { topics: topics.clone(), source: source.clone().map(Box::from), attributes: have.clone(), ..Item::new(ItemId::parse("a").unwrap()) };
            let filter = Filter {
                topics: required_topics.clone(),
                sources: sources.clone(),
                attributes: required.clone(),
                ..Filter::default()
            };
            let prepared = Prepared::new(&filter);
            prop_assert_eq!(prepared.attributes_fit(&item), have.satisfy(&required));
            let shares = topics.iter().any(|topic| required_topics.contains(topic));
            prop_assert_eq!(prepared.topics_fit(&item), required_topics.is_empty() || shares);
            let is_one = source.is_some_and(|source| sources.contains(&source.into()));
            prop_assert_eq!(prepared.source_fits(&item), sources.is_empty() || is_one);
        }
    }
}
