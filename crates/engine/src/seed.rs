//! Named, portable random streams: one per purpose and key, so an extra draw in one stream
//! changes no other stream. ChaCha gives the same numbers on every platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Choosing items for a position of a list, keyed by the decision id.
    Choose,
    /// Exploring candidates of a retrieval, keyed by the decision id.
    Retrieve,
    /// New items of a retrieval, keyed by the decision id.
    Newcomers,
    /// Negatives of the prequential test, keyed by the record's sequence.
    Negatives,
    /// The random sketch for the latent space of content.
    Latent,
    /// The origin of the list that is shown, keyed by the decision id.
    Takeover,
    /// Selecting an arm, keyed by the decision id.
    SelectArm,
    /// Whether a bandit keeps a round of a log, keyed by the round.
    ArmReplay,
    /// The variant of a list, keyed by the decision id.
    Experiment,
    /// People and items of a simulation and what people do, keyed by what is drawn of whom.
    Simulation,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Choose => "choose",
            Self::Retrieve => "retrieve",
            Self::Newcomers => "newcomers",
            Self::Negatives => "negatives",
            Self::Latent => "latent",
            Self::Takeover => "takeover",
            Self::SelectArm => "select_arm",
            Self::ArmReplay => "arm_replay",
            Self::Experiment => "experiment",
            Self::Simulation => "simulation",
        }
    }
}

/// The stream of a purpose and a key under the namespace's seed.
pub fn stream(seed: u64, purpose: Purpose, key: &[u8]) -> ChaCha8Rng {
    let purpose = xxh3_64_with_seed(purpose.name().as_bytes(), seed);
    ChaCha8Rng::seed_from_u64(xxh3_64_with_seed(key, purpose))
}

/// A number below `bound`, by multiplication; the bias is below 2^-32.
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    use rand_chacha::rand_core::Rng;
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// A number in 0..1 with 53 random bits.
pub fn unit(rng: &mut ChaCha8Rng) -> f64 {
    use rand_chacha::rand_core::Rng;
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_key_and_repeat_for_the_same() {
        let first = |purpose, key: &[u8]| below(&mut stream(7, purpose, key), usize::MAX);
        assert_eq!(first(Purpose::Choose, b"a"), first(Purpose::Choose, b"a"));
        assert_ne!(first(Purpose::Choose, b"a"), first(Purpose::Choose, b"b"));
        assert_ne!(first(Purpose::Choose, b"a"), first(Purpose::Retrieve, b"a"));
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut rng = stream(1, Purpose::Negatives, b"k");
        assert!((0..1_000).all(|_| below(&mut rng, 3) < 3));
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&unit(&mut rng))));
    }
}
