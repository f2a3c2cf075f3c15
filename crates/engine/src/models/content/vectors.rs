//! The term vectors of an item: of each of its languages, and of all together.
//!
//! - Items are compared by the language in which they are most alike. So an item in five languages is
//!   as similar to others as it would be in one of them, neither less nor more, and two items match
//!   that have one language in common.
//! - The latent space and the variety of a list need one vector: that of all together. In it each
//!   language weighs the same, however long its text is.
//! - An item in one language has one vector. Of several, each may have [`TERMS_MIN`] terms, and all
//!   together have no more than one item in one language, as far as that leaves each so many.
//!
//! Cost: 20 bytes for each term of each language, where there are several. All languages of two items
//! are compared in one pass over their terms.

use std::sync::Arc;

use crate::models::content::vector::SparseVector;
use crate::models::content::vector::VECTOR_TERMS;

/// Terms of each language, where an item has many.
const TERMS_MIN: usize = 16;

/// See the header of the module; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TermVectors {
    whole: SparseVector,
    /// By language; empty where the whole is of one.
    languages: Arc<[SparseVector]>,
    /// The terms of all languages, in rising order.
    terms: Arc<[Term]>,
}

/// A term of a language, which has a number here.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Term {
    id: u32,
    language: u32,
    weight: f32,
}

impl From<SparseVector> for TermVectors {
    fn from(whole: SparseVector) -> Self {
        Self { whole, languages: Arc::default(), terms: Arc::default() }
    }
}

impl TermVectors {
    /// Of the vectors of all languages.
    pub fn new(mut languages: Vec<SparseVector>) -> Self {
        languages.retain(|vector| !vector.is_empty());
        if languages.len() < 2 {
            return languages.pop().unwrap_or_default().into();
        }
        let terms = languages.iter().flat_map(|vector| vector.terms().iter().copied());
        let whole = SparseVector::new(terms.collect());
        let most = (VECTOR_TERMS / languages.len()).max(TERMS_MIN);
        let languages: Arc<[SparseVector]> =
            languages.iter().map(|vector| vector.shortened(most)).collect();
        let terms = (0..).zip(languages.iter()).flat_map(|(language, vector)| {
            vector.terms().iter().map(move |&(id, weight)| Term { id, language, weight })
        });
        let mut terms: Vec<Term> = terms.collect();
        terms.sort_by_key(|term| term.id);
        Self { whole, languages, terms: terms.into() }
    }

    /// Of all languages together.
    pub fn whole(&self) -> &SparseVector {
        &self.whole
    }

    /// Of each language by itself; never none.
    pub fn languages(&self) -> &[SparseVector] {
        match &*self.languages {
            [] => std::slice::from_ref(&self.whole),
            several => several,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// The greatest cosine of two languages, in [-1, 1]; 0 when either is empty.
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.terms.is_empty() || other.terms.is_empty() {
            return self.best(|own| other.best(|its| own.cosine(its)));
        }
        let (own, its) = (&*self.terms, &*other.terms);
        let width = other.languages.len();
        let mut cosines = vec![0.0_f32; self.languages.len() * width];
        let (mut l, mut r) = (0, 0);
        while l < own.len() && r < its.len() {
            let (id, other) = (own[l].id, its[r].id);
            if id != other {
                l += usize::from(id < other);
                r += usize::from(id > other);
                continue;
            }
            let is_same = |term: &&Term| term.id == id;
            let end = r + its[r..].iter().take_while(is_same).count();
            for mine in own[l..].iter().take_while(is_same) {
                for term in &its[r..end] {
                    let pair = mine.language as usize * width + term.language as usize;
                    cosines[pair] += mine.weight * term.weight;
                }
                l += 1;
            }
            r = end;
        }
        cosines.into_iter().fold(-1.0, f32::max).min(1.0)
    }

    /// The greatest score of a language.
    pub fn best(&self, score: impl Fn(&SparseVector) -> f32) -> f32 {
        let scores = self.languages().iter().map(score);
        scores.reduce(f32::max).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(terms: &[u32]) -> SparseVector {
        SparseVector::new(terms.iter().map(|&term| (term, 1.0)).collect())
    }

    #[test]
    fn an_item_in_several_languages_is_as_similar_as_in_the_best_of_them() {
        let (english, german, french) = (vector(&[1, 2]), vector(&[11, 12]), vector(&[21, 22]));
        let one = |of: &SparseVector| TermVectors::from(of.clone());
        let three = TermVectors::new(vec![english.clone(), german.clone(), french.clone()]);
        for other in [vector(&[1, 3]), vector(&[2, 12]), vector(&[22, 23, 24]), vector(&[40])] {
            let best = [&english, &german, &french].map(|own| own.cosine(&other));
            let best = best.into_iter().reduce(f32::max).unwrap();
            assert_eq!(three.cosine(&one(&other)), best);
            assert_eq!(one(&other).cosine(&three), best);
        }
        assert!((three.cosine(&three) - 1.0).abs() < 1e-6, "not more than one language gives");
        let german_and_french = TermVectors::new(vec![vector(&[31]), german]);
        assert!((three.cosine(&german_and_french) - 1.0).abs() < 1e-6);
        assert_eq!(three.cosine(&TermVectors::default()), 0.0);
    }

    fn several() -> impl Strategy<Value = TermVectors> {
        let term = (0..40_u32, 1..1_000_u32).prop_map(|(term, weight)| (term, weight as f32));
        let vector = prop::collection::vec(term, 0..20).prop_map(SparseVector::new);
        prop::collection::vec(vector, 1..6).prop_map(TermVectors::new)
    }

    proptest! {
        #[test]
        fn the_cosine_is_the_greatest_of_all_pairs_of_languages(
            left in several(),
            right in several(),
        ) {
            let pairs = left.best(|own| right.best(|its| own.cosine(its)));
            prop_assert_eq!(left.cosine(&right), pairs);
            prop_assert_eq!(right.cosine(&left), pairs);
        }
    }

    #[test]
    fn all_languages_weigh_the_same_together_however_long_they_are() {
        let long: Vec<u32> = (0..100).collect();
        let both = TermVectors::new(vec![vector(&long), vector(&[500]), vector(&[])]);
        let of = |terms: &[u32]| both.whole().dot(&vector(terms));
        assert!((of(&long) - of(&[500])).abs() < 1e-6);
        let alone = TermVectors::new(vec![SparseVector::default(), vector(&[3])]);
        assert_eq!(alone, TermVectors::from(vector(&[3])));
    }

    #[test]
    fn the_terms_of_many_languages_are_bounded() {
        let language = |n: u32| vector(&(n * 1_000..n * 1_000 + 200).collect::<Vec<_>>());
        let lens = |languages: u32| -> Vec<usize> {
            let vectors = TermVectors::new((0..languages).map(language).collect());
            vectors.languages().iter().map(SparseVector::len).collect()
        };
        assert_eq!(lens(1), [200]);
        assert_eq!(lens(2), [128; 2]);
        assert_eq!(lens(20), [TERMS_MIN; 20]);
    }
}
