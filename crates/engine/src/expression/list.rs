//! A literal list: its members as written, and the same as a set.
//!
//! `=` depends on order and repetition. Membership uses the set, in a logarithmic number of
//! comparisons.

use crate::expression::Literal;
use crate::expression::steps::step;

/// Equal when the members are, in order.
#[derive(Debug, Clone)]
pub struct List {
    members: Vec<Literal>,
    /// Members that are texts, in the order of these, each text once.
    texts: Vec<u32>,
    /// Members that are numbers, in rising order.
    numbers: Vec<f64>,
    /// Whether `false` and `true` are members.
    flags: [bool; 2],
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl List {
    pub fn new(members: Vec<Literal>) -> Self {
        let (mut texts, mut numbers, mut flags) = (Vec::new(), Vec::new(), [false; 2]);
        for (at, member) in (0..).zip(&members) {
            match member {
                Literal::Text(_) => texts.push(at),
                Literal::Number(number) => numbers.push(*number),
                Literal::Flag(flag) => flags[usize::from(*flag)] = true,
            }
        }
        texts.sort_by(|&a, &b| text(&members, a).cmp(text(&members, b)));
        texts.dedup_by(|a, b| text(&members, *a) == text(&members, *b));
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        Self { members, texts, numbers, flags }
    }

    /// In the order in which they were written.
    pub fn members(&self) -> &[Literal] {
        &self.members
    }

    pub fn has_text(&self, sought: &str) -> bool {
        let probe = |&at: &u32| {
            step();
            text(&self.members, at).cmp(sought)
        };
        self.texts.binary_search_by(probe).is_ok()
    }

    pub fn has_number(&self, sought: f64) -> bool {
        let probe = |number: &f64| {
            step();
            number.partial_cmp(&sought).unwrap_or(std::cmp::Ordering::Less)
        };
        self.numbers.binary_search_by(probe).is_ok()
    }

    pub fn has_flag(&self, sought: bool) -> bool {
        self.flags[usize::from(sought)]
    }
}

fn text(members: &[Literal], at: u32) -> &str {
    match &members[at as usize] {
        Literal::Text(text) => text,
        Literal::Number(_) | Literal::Flag(_) => "",
    }
}
