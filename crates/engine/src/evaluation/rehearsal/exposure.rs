//! Who gets the positions: shares by topic and by source.

use crate::evaluation::rehearsal::facts::Names;

/// Labels that are told by name.
const TOLD: usize = 20;

/// Positions by label, now and proposed.
#[derive(Debug, Default)]
pub struct Positions {
    by_label: Vec<[f64; 2]>,
    all: [f64; 2],
}

/// The share of the positions that a label has.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelShare {
    /// `None`: of items without any.
    pub name: Option<Box<str>>,
    pub now: f64,
    pub proposed: f64,
}

impl LabelShare {
    pub fn change(&self) -> f64 {
        self.proposed - self.now
    }
}

/// Shares of the positions; all together are 1. An item with several topics has its position in equal parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposure {
    /// The labels whose shares change most.
    pub labels: Vec<LabelShare>,
    /// What all others have, now and proposed.
    pub rest: [f64; 2],
}

impl Positions {
    /// An item took a position of a list: `side` 0 is now, 1 is proposed.
    pub fn add(&mut self, side: usize, labels: &[u32]) {
        self.all[side] += 1.0;
        for &label in labels {
            let label = label as usize;
            if label >= self.by_label.len() {
                self.by_label.resize(label + 1, [0.0; 2]);
            }
            self.by_label[label][side] += 1.0 / labels.len() as f64;
        }
    }

    /// `none`: the label of items without any.
    pub fn shares(&self, names: &Names, none: u32) -> Exposure {
        let share = |positions: &[f64; 2]| {
            let of = |side: usize| {
                if self.all[side] > 0.0 { positions[side] / self.all[side] } else { 0.0 }
            };
            [of(0), of(1)]
        };
        let (mut labels, mut rest) = (Vec::new(), [0.0; 2]);
        for (label, positions) in (0..).zip(&self.by_label) {
            let [now, proposed] = share(positions);
            match names.name(label) {
                None if label != none => rest = [rest[0] + now, rest[1] + proposed],
                name if positions.iter().any(|&count| count > 0.0) => {
                    labels.push(LabelShare { name: name.map(Into::into), now, proposed });
                }
                _ => {}
            }
        }
        let by_change = |a: &LabelShare, b: &LabelShare| {
            let most = b.change().abs().total_cmp(&a.change().abs());
            most.then(b.now.total_cmp(&a.now)).then(a.name.cmp(&b.name))
        };
        labels.sort_by(by_change);
        for label in labels.drain(TOLD.min(labels.len())..) {
            rest = [rest[0] + label.now, rest[1] + label.proposed];
        }
        Exposure { labels, rest }
    }
}
