//! Flat, typed attributes of items, users, interactions and requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::ids::check_text;
use crate::domain::limits;

/// A value of an attribute. Numbers are finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AttributeValue {
    Text(String),
    Number(f64),
    Flag(bool),
    List(Vec<String>),
}

impl AttributeValue {
    /// Whether `self`, a stored value, satisfies `asked`, a filter's value: equal,
    /// or for lists on either side sharing a member.
    pub fn satisfies(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::List(have), Self::List(any)) => have.iter().any(|value| any.contains(value)),
            (Self::List(have), Self::Text(one)) => have.contains(one),
            (Self::Text(have), Self::List(any)) => any.contains(have),
            (have, one) => have == one,
        }
    }
}

/// Attributes by name, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes(BTreeMap<String, AttributeValue>);

impl Attributes {
    /// # Errors
    /// When there are over 64 attributes, they take more than 16 KiB, a name or text is too long, or
    /// a number is not finite; the reason names the attribute.
    pub fn new(values: BTreeMap<String, AttributeValue>) -> Result<Self, String> {
        let attributes = Self(values);
        attributes.check_size()?;
        for (name, value) in &attributes.0 {
            check_text(name, limits::ATTRIBUTE_NAME_BYTES)
                .map_err(|reason| format!("attribute name {name:?} {reason}"))?;
            check_value(value).map_err(|reason| format!("attribute {name:?} {reason}"))?;
        }
        Ok(attributes)
    }

    fn check_size(&self) -> Result<(), String> {
        if self.0.len() > limits::ATTRIBUTES {
            return Err(format!("must hold at most {} attributes", limits::ATTRIBUTES));
        }
        if self.bytes() > limits::ATTRIBUTES_BYTES {
            return Err(format!("must take at most {} bytes in all", limits::ATTRIBUTES_BYTES));
        }
        Ok(())
    }

    /// Bytes of all names and values.
    pub fn bytes(&self) -> usize {
        let of_value = |value: &AttributeValue| match value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Number(_) => size_of::<f64>(),
            AttributeValue::Flag(_) => 1,
            AttributeValue::List(list) => list.iter().map(String::len).sum(),
        };
        self.0.iter().map(|(name, value)| name.len() + of_value(value)).sum()
    }

    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// These, and those of `other` whose names are not among them, in the order of names, as
    /// far as there is space.
    #[must_use]
    pub fn completed_with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (name, value) in other.iter().filter(|(name, _)| !self.0.contains_key(*name)) {
            let _fits = all.set(name, value);
        }
        all
    }

    /// Gives an attribute a value that was checked.
    ///
    /// # Errors
    /// As [`Self::new`]; nothing is changed then.
    pub fn set(&mut self, name: &str, value: &AttributeValue) -> Result<(), String> {
        let before = self.0.insert(name.to_owned(), value.clone());
        self.check_size().inspect_err(|_reason| {
            match before {
                Some(before) => self.0.insert(name.to_owned(), before),
                None => self.0.remove(name),
            };
        })
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every attribute of `asked` is present and satisfied.
    pub fn satisfy(&self, asked: &Self) -> bool {
        asked.iter().all(|(name, value)| self.get(name).is_some_and(|have| have.satisfies(value)))
    }
}

fn check_value(value: &AttributeValue) -> Result<(), String> {
    let check_string = |text: &str| {
        if text.len() > limits::ATTRIBUTE_STRING_BYTES {
            return Err(format!("must be at most {} bytes", limits::ATTRIBUTE_STRING_BYTES));
        }
        Ok(())
    };
    match value {
        AttributeValue::Text(text) => check_string(text),
        AttributeValue::Number(number) if !number.is_finite() => Err("must be finite".to_owned()),
        AttributeValue::Number(_) | AttributeValue::Flag(_) => Ok(()),
        AttributeValue::List(list) if list.len() > limits::ATTRIBUTE_LIST => {
            Err(format!("must list at most {} values", limits::ATTRIBUTE_LIST))
        }
        AttributeValue::List(list) => list.iter().try_for_each(|text| check_string(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.to_owned())
    }

    fn one(name: &str, value: AttributeValue) -> Attributes {
        Attributes::new(BTreeMap::from([(name.to_owned(), value)])).unwrap()
    }

    #[test]
    fn a_list_of_a_filter_means_any_of_its_values() {
        let asked = one("lang", AttributeValue::List(vec!["de".into(), "fr".into()]));
        assert!(one("lang", text("fr")).satisfy(&asked));
        assert!(!one("lang", text("en")).satisfy(&asked));
        assert!(!Attributes::default().satisfy(&asked));
    }

    #[test]
    fn attributes_are_completed_by_missing_names_up_to_the_limit() {
        let numbered = |range: std::ops::Range<u32>, value: &str| {
            let values = range.map(|number| (format!("a{number:03}"), text(value)));
            Attributes::new(values.collect()).unwrap()
        };
        let (own, other) = (numbered(1..61, "own"), numbered(0..20, "other"));
        let both = own.completed_with(&other);
        assert_eq!(both.get("a005"), Some(&text("own")));
        assert_eq!(both.get("a000"), Some(&text("other")));
        assert_eq!(both.iter().count(), 61);
        let most = own.completed_with(&numbered(100..120, "other"));
        assert_eq!(most.iter().count(), limits::ATTRIBUTES);
        assert!(most.get("a103").is_some() && most.get("a104").is_none());
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let values = BTreeMap::from([("price".to_owned(), AttributeValue::Number(bad))]);
            assert!(Attributes::new(values).is_err());
        }
    }
}
