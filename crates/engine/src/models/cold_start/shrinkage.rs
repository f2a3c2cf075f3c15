//! Empirical Bayes over a hierarchy of groups.
//!
//! A group's share of an item is `theta = (k + M theta_parent) / (n + M)`, with `k`
//! of its `n` observations on the item: between the group's own rate and that of its
//! parent, and nearer to its own the more it has seen. `M` is estimated for each
//! level by the method of moments, from how far the groups of the level differ more
//! than chance explains.
//!
//! Under the Dirichlet-multinomial model with `rho = 1 / (M + 1)` and
//! `Q = sum theta_parent^2`, two observations of one group are of the same item with
//! probability `Q + rho (1 - Q)`, and one of them matches a draw from the parent
//! with probability `Q`. Both probabilities are estimated without bias from the
//! items the group has seen, so that no sum runs over the whole catalogue.
//! Source: Wilson 1986, Gelman et al., "Bayesian Data Analysis", section 5.

/// Pseudo-observations before anything was estimated, and the bounds of estimates.
pub const STRENGTH_DEFAULT: f32 = 50.0;
const STRENGTH_MIN: f64 = 2.0;
const STRENGTH_MAX: f64 = 10_000.0;

/// `(k + M parent) / (n + M)`.
pub fn shrunk(k: f32, n: f32, parent: f32, strength: f32) -> f32 {
    (k + strength * parent) / (n + strength)
}

/// Sums over the groups of one level.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments {
    /// Matches within groups above those with the parent, weighted.
    excess: f64,
    /// What the excess would be if every group consumed one item only, weighted.
    most: f64,
}

impl Moments {
    /// Adds a group: for each of its items, its observations of the item and the parent's
    /// share of it. Groups of less than two observations are ignored.
    pub fn add(&mut self, seen: impl Iterator<Item = (f64, f64)>) {
        let (mut n, mut pairs, mut with_parent) = (0.0, 0.0, 0.0);
        for (k, parent) in seen {
            n += k;
            pairs += k * (k - 1.0);
            with_parent += k * parent;
        }
        if n < 2.0 {
            return;
        }
        let (same, parent) = (pairs / (n * (n - 1.0)), with_parent / n);
        self.excess += n * (same - parent);
        self.most += n * (1.0 - parent);
    }

    /// The estimate of M; `None` when all groups were ignored.
    pub fn strength(&self) -> Option<f32> {
        if self.most <= 0.0 {
            return None;
        }
        let rho = (self.excess / self.most).clamp(1.0 / (STRENGTH_MAX + 1.0), 1.0);
        Some((1.0 / rho - 1.0).clamp(STRENGTH_MIN, STRENGTH_MAX) as f32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed;

    /// Groups that draw their items from a Polya urn: Dirichlet-multinomial with the
    /// given strength around even shares of ten items.
    fn estimated(strength: f64, groups: usize, draws: usize) -> f32 {
        let mut rng = seed::stream(3, seed::Purpose::Choose, b"urn");
        let mut moments = Moments::default();
        for _ in 0..groups {
            let mut seen = [0.0_f64; 10];
            for drawn in 0..draws {
                let own = drawn as f64 / (drawn as f64 + strength);
                let item = if seed::unit(&mut rng) < own {
                    let mut left = seed::unit(&mut rng) * drawn as f64;
                    (0..10)
                        .find(|&item| {
                            left -= seen[item];
                            left < 0.0
                        })
                        .unwrap_or(9)
                } else {
                    seed::below(&mut rng, 10)
                };
                seen[item] += 1.0;
            }
            moments.add(seen.into_iter().map(|k| (k, 0.1)));
        }
        moments.strength().unwrap()
    }

    #[test]
    fn the_strength_that_groups_were_drawn_with_is_found_again() {
        for strength in [5.0_f64, 30.0, 200.0] {
            let found = estimated(strength, 2_000, 60);
            let ratio = f64::from(found) / strength;
            assert!((0.75..1.35).contains(&ratio), "{strength}: {found}");
        }
    }

    #[test]
    fn groups_that_differ_by_chance_only_are_shrunk_strongly() {
        assert!(estimated(1e9, 500, 40) > 500.0);
        assert_eq!(Moments::default().strength(), None);
    }

    proptest! {
        #[test]
        fn a_shrunk_share_lies_between_the_parents_and_the_groups_own(
            n in 1.0..1_000.0_f32, part in 0.0..=1.0_f32, parent in 0.0..=1.0_f32,
            strength in 2.0..10_000.0_f32,
        ) {
            let share = shrunk(n * part, n, parent, strength);
            let (low, high) = (part.min(parent), part.max(parent));
            prop_assert!(share >= low - 1e-5 && share <= high + 1e-5, "{share}");
        }

        #[test]
        fn more_observations_bring_it_nearer_to_the_groups_own(
            n in 1.0..1_000.0_f32, more in 1.0..1_000.0_f32, part in 0.0..=1.0_f32,
            parent in 0.0..=1.0_f32, strength in 2.0..10_000.0_f32,
        ) {
            let distance = |n: f32| (shrunk(n * part, n, parent, strength) - part).abs();
            prop_assert!(distance(n + more) <= distance(n) + 1e-5);
        }

        #[test]
        fn an_estimate_is_within_its_bounds_whatever_was_seen(
            seen in prop::collection::vec((0.0..50.0_f64, 0.0..1.0_f64), 0..20),
        ) {
            let mut moments = Moments::default();
            moments.add(seen.into_iter());
            if let Some(strength) = moments.strength() {
                prop_assert!((2.0..=10_000.0).contains(&strength), "{strength}");
            }
        }
    }
}
