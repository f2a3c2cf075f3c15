//! Caps on the number of items of one topic or source in a list.
//!
//! Labels are numbered when they are first seen, so a position needs no comparison of texts.

use std::collections::BTreeMap;

use crate::features::Candidate;

/// Numbers texts in the order they are first seen.
#[derive(Debug, Default)]
pub struct Labels<'a>(BTreeMap<&'a str, u32>);

impl<'a> Labels<'a> {
    pub fn number(&mut self, label: &'a str) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(label).or_insert(next)
    }

    /// Adds the numbers of an item's topics.
    pub fn number_topics(&mut self, item: &Candidate<'a>, numbers: &mut Vec<u32>) {
        let topics = item.entry.item.iter().flat_map(|item| &item.topics);
        numbers.extend(topics.map(|topic| self.number(topic)));
    }

    pub fn find(&self, label: &str) -> Option<u32> {
        self.0.get(label).copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Counts labels of the chosen, for one kind of label.
#[derive(Debug, Clone)]
pub struct Cap {
    /// From the share of the positions; ignored when no other candidate is left.
    soft: u32,
    /// From the requested number; never exceeded.
    hard: u32,
    taken: Vec<u32>,
}

impl Cap {
    /// A threshold of 0 and a number of 0 are no caps. At least one position is always allowed.
    pub fn new(threshold: f64, most: u32, positions: usize) -> Self {
        // A little more, so that 1 - 0.8 of ten positions are two and not one.
        let share = ((1.0 - threshold) * positions as f64 + 1e-9).floor() as u32;
        let hard = if most == 0 { u32::MAX } else { most };
        let soft = if threshold <= 0.0 { hard } else { share.max(1).min(hard) };
        Self { soft, hard, taken: Vec::new() }
    }

    /// Most items of one label, as long as others are left; 0: any number.
    pub fn share(&self) -> u32 {
        if self.is_none() { 0 } else { self.soft }
    }

    pub fn is_none(&self) -> bool {
        self.soft == u32::MAX
    }

    pub fn is_hard(&self) -> bool {
        self.hard != u32::MAX
    }

    /// Space that a label has left by the requested number.
    pub fn left(&self, label: u32) -> u32 {
        self.hard.saturating_sub(self.taken.get(label as usize).copied().unwrap_or(0))
    }

    pub fn allows(&self, labels: &[u32]) -> bool {
        self.below(labels, self.soft)
    }

    pub fn allows_at_most(&self, labels: &[u32]) -> bool {
        self.below(labels, self.hard)
    }

    fn below(&self, labels: &[u32], most: u32) -> bool {
        labels.iter().all(|&label| self.taken.get(label as usize).is_none_or(|&n| n < most))
    }

    pub fn take(&mut self, labels: &[u32]) {
        for &label in labels {
            let label = label as usize;
            if label >= self.taken.len() {
                self.taken.resize(label + 1, 0);
            }
            self.taken[label] += 1;
        }
    }
}
