//! Contexts, and features of arms, as vectors: a constant, the numbers as given, the attributes hashed.
//!
//! Text attributes, flags and list members count as `name=value`: each adds 1 or -1 at a
//! hashed index. A number adds its value at the index of its name. The sign is hashed,
//! too, so that collisions cancel on average (Weinberger et al. 2009).

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::domain::ArmContext;
use crate::domain::ArmFeatures;
use crate::domain::AttributeValue;
use crate::domain::limits;

/// Number of indices that attributes are hashed to.
const POSITIONS: usize = 64;

/// The shape of the vectors of an arm set: that of its first context, and that of the first
/// features of an arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub numbers: u32,
    pub attributes: bool,
}

impl Shape {
    /// `None` for an empty context.
    pub fn of(context: &ArmContext) -> Option<Self> {
        let numbers = u32::try_from(context.numbers.len()).ok()?;
        (!context.is_empty())
            .then_some(Self { numbers, attributes: !context.attributes.is_empty() })
    }

    /// The shape in which a selection is learnt; `None` where it has neither context nor features,
    /// or another form than the set's.
    pub fn of_selection(
        known: Option<Self>,
        context: &ArmContext,
        has_features: bool,
    ) -> Option<Self> {
        let own = || Self::of(context).unwrap_or_default();
        let shape = (has_features || !context.is_empty()).then(|| known.unwrap_or_else(own))?;
        shape.fits(context).then_some(shape)
    }

    /// Whether the given context fits this shape.
    pub fn fits(self, context: &ArmContext) -> bool {
        context.numbers.len() == self.numbers as usize
            && (self.attributes || context.attributes.is_empty())
    }

    /// Whether the given features of an arm are there and fit this shape.
    pub fn describes(&self, features: &ArmFeatures) -> bool {
        !features.is_empty() && self.fits(features)
    }

    pub fn dimension(self) -> usize {
        1 + self.numbers as usize + if self.attributes { POSITIONS } else { 0 }
    }

    /// The vector of a context that fits.
    pub fn vector(self, context: &ArmContext) -> Vec<f32> {
        let mut vector = Vec::with_capacity(self.dimension());
        vector.push(1.0);
        vector.extend(context.numbers.iter().map(|number| bounded(*number)));
        vector.resize(self.dimension(), 0.0);
        let positions = &mut vector[1 + self.numbers as usize..];
        if self.attributes {
            for (name, value) in context.attributes.iter() {
                add(positions, name, value);
            }
        }
        vector
    }
}

fn add(positions: &mut [f32], name: &str, value: &AttributeValue) {
    let mut put = |text: &str, size: f32| {
        let mut hasher = Xxh3::new();
        hasher.update(name.as_bytes());
        // No character of UTF-8 has this byte, so name and value are separated.
        hasher.update(&[0xff]);
        hasher.update(text.as_bytes());
        let hash = hasher.digest();
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        positions[hash as usize % POSITIONS] += sign * size;
    };
    match value {
        AttributeValue::Text(text) => put(text, 1.0),
        AttributeValue::Flag(flag) => put(if *flag { "true" } else { "false" }, 1.0),
        AttributeValue::List(list) => list.iter().for_each(|text| put(text, 1.0)),
        AttributeValue::Number(number) => {
            put("", bounded(*number as f32));
        }
    }
}

fn bounded(number: f32) -> f32 {
    let most = limits::CONTEXT_NUMBER;
    if number.is_nan() { 0.0 } else { number.clamp(-most, most) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::Attributes;

    fn context(numbers: &[f32], attributes: &[(&str, AttributeValue)]) -> ArmContext {
        let attributes: BTreeMap<_, _> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        ArmContext { numbers: numbers.to_vec(), attributes: Attributes::new(attributes).unwrap() }
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.to_owned())
    }

    #[test]
    fn a_vector_is_a_constant_the_numbers_and_the_hashed_attributes() {
        let given = context(
            &[0.5, -2.0],
            &[("device", text("phone")), ("age", AttributeValue::Number(3.5))],
        );
        let shape = Shape::of(&given).unwrap();
        let vector = shape.vector(&given);
        assert_eq!((vector.len(), shape.dimension()), (67, 67));
        assert_eq!(vector[..3], [1.0, 0.5, -2.0]);
        let mut sizes: Vec<f32> =
            vector[3..].iter().map(|v| v.abs()).filter(|v| *v > 0.0).collect();
        sizes.sort_by(f32::total_cmp);
        assert_eq!(sizes, [1.0, 3.5]);
    }

    #[test]
    fn values_and_names_are_distinguished() {
        let shape = Shape { numbers: 0, attributes: true };
        let of = |name, value| shape.vector(&context(&[], &[(name, value)]));
        assert_ne!(of("device", text("phone")), of("device", text("desktop")));
        assert_ne!(of("ab", text("c")), of("a", text("bc")));
        let both = AttributeValue::List(vec!["x".to_owned(), "y".to_owned()]);
        let sum: Vec<f32> =
            of("t", text("x")).iter().zip(of("t", text("y"))).map(|(x, y)| x + y).collect();
        assert_eq!(of("t", both)[1..], sum[1..]);
    }

    #[test]
    fn a_shape_fits_contexts_with_as_many_numbers_and_no_more_kinds() {
        let shape = Shape { numbers: 1, attributes: false };
        assert!(shape.fits(&context(&[0.0], &[])));
        assert!(!shape.fits(&context(&[], &[])));
        assert!(!shape.fits(&context(&[0.0], &[("a", text("b"))])));
        assert!(Shape { numbers: 0, attributes: true }.fits(&context(&[], &[])));
        assert_eq!(Shape::of(&ArmContext::default()), None);
    }
}
