//! Buckets of a layer: which are taken, and what an experiment gets when its share rises.
//!
//! An experiment keeps each bucket that it has until it stops, so a rising share moves no user who
//! is in it, and two live experiments of a layer have no user in common.

use crate::domain::BUCKETS;
use crate::domain::limits;

/// Half-open.
type Range = (u32, u32);

/// Buckets that none of these ranges has, in rising order.
fn free(taken: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut taken: Vec<Range> = taken.collect();
    taken.sort_unstable();
    let (mut free, mut reach) = (Vec::new(), 0);
    for (first, end) in taken.into_iter().chain([(BUCKETS, BUCKETS)]) {
        if first > reach {
            free.push((reach, first));
        }
        reach = reach.max(end);
    }
    free
}

fn size(ranges: &[Range]) -> u32 {
    ranges.iter().map(|(first, end)| end - first).sum()
}

/// The buckets of an experiment that has `own` and is to have so many in all; `others` are those of
/// the live experiments of its layer.
///
/// # Errors
/// How many it could have.
pub fn grown(
    own: &[Range],
    requested: u32,
    others: impl Iterator<Item = Range>,
) -> Result<Vec<Range>, u32> {
    let mut grown = own.to_vec();
    let mut missing = requested.saturating_sub(size(own));
    let free = free(others.chain(own.iter().copied()));
    if size(&free) < missing {
        return Err(size(own) + size(&free));
    }
    for (first, end) in free {
        let taken = missing.min(end - first);
        missing -= taken;
        match grown.last_mut() {
            Some(last) if taken > 0 && last.1 == first => last.1 += taken,
            _ if taken > 0 => grown.push((first, first + taken)),
            _ => break,
        }
    }
    if grown.len() > limits::BUCKET_RANGES { Err(size(own)) } else { Ok(grown) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_layer_says_how_much_is_left() {
        let others = || [(0, 600_000), (700_000, 900_000)].into_iter();
        assert_eq!(
            grown(&[], 200_000, others()).unwrap(),
            [(600_000, 700_000), (900_000, BUCKETS)]
        );
        assert_eq!(grown(&[], 200_001, others()), Err(200_000));
        let own = [(600_000, 650_000)];
        assert_eq!(grown(&own, 60_000, others()).unwrap(), [(600_000, 660_000)]);
        assert_eq!(grown(&own, 300_000, others()), Err(200_000));
    }

    proptest! {
        #[test]
        fn shares_that_rise_keep_every_bucket_and_never_overlap(
            steps in prop::collection::vec((0..4_usize, 1..400_000_u32), 1..30)
        ) {
            let mut experiments = vec![Vec::<Range>::new(); 4];
            for (number, requested) in steps {
                let before = experiments[number].clone();
                let others = experiments.iter().enumerate().filter(|(other, _)| *other != number);
                let others: Vec<Range> = others.flat_map(|(_, own)| own.clone()).collect();
                let Ok(after) = grown(&before, requested, others.into_iter()) else { continue };
                let has = |bucket: u32| after.iter().any(|(first, end)| (*first..*end).contains(&bucket));
                prop_assert!(before.iter().all(|(first, end)| has(*first) && has(end - 1)));
                prop_assert_eq!(size(&after), requested.max(size(&before)));
                experiments[number] = after;
                let mut all: Vec<Range> = experiments.concat();
                all.sort_unstable();
                prop_assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                prop_assert!(all.iter().all(|(first, end)| first < end && *end <= BUCKETS));
            }
        }
    }
}
