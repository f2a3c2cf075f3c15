//! Which of a million buckets a unit falls into under a salt.
//!
//! SHA-256 over `salt:unit`, the first 8 bytes as a number, multiplied by the number of buckets, the
//! upper half. Every language has SHA-256 in its standard library, so a caller can compute it
//! itself; `docs/experiments.md` has clients and vectors. Salts do not contain a colon, so no two
//! pairs give the same text.

use sha2::Digest;
use sha2::Sha256;
use sha2::block_api::compress256;

use crate::domain::BUCKETS;

/// Bytes of a text that fits into one block with its padding and its length.
const ONE_BLOCK: usize = 55;
/// The state that SHA-256 begins with (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What the salt of a layer begins with. A slash is in no salt of an experiment.
const LAYER: &str = "layer/";

/// The bucket of a unit under a salt: below [`BUCKETS`], uniform and independent between salts.
#[must_use]
pub fn bucket(salt: &str, unit: &str) -> u32 {
    scaled(hash_head(["", salt, ":", unit]))
}

/// The bucket of a user in a layer.
#[must_use]
pub fn layer_bucket(layer: &str, user: &str) -> u32 {
    scaled(hash_head([LAYER, layer, ":", user]))
}

fn scaled(hash_head: u64) -> u32 {
    let scaled = u128::from(hash_head) * u128::from(BUCKETS);
    (scaled >> 64) as u32
}

/// The first 8 bytes of the hash of a text in parts. Most fit into one block, which needs no buffer.
fn hash_head(parts: [&str; 4]) -> u64 {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    if length > ONE_BLOCK {
        let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
        let hash = hash.finalize();
        let (head, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        return u64::from_be_bytes(*head);
    }
    let mut block = [0; 64];
    let mut reach = 0;
    for part in parts {
        block[reach..reach + part.len()].copy_from_slice(part.as_bytes());
        reach += part.len();
    }
    block[length] = 0x80;
    block[ONE_BLOCK + 1..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    u64::from(state[0]) << 32 | u64::from(state[1])
}

#[cfg(test)]
mod tests {
    use statistics::special::gamma;

    use super::*;

    const USERS: u32 = 1_000_000;

    #[test]
    fn the_vectors_of_the_documentation_hold() {
        let vectors = [
            (("new-ranker", "ada"), 30802),
            (("new-ranker", "user-42"), 450457),
            (("layer/default", "ada"), 313930),
            (("new-ranker", "j\u{fc}rgen"), 99194),
            (("new-ranker", ""), 309470),
        ];
        for ((salt, unit), expected) in vectors {
            assert_eq!(bucket(salt, unit), expected, "{salt}:{unit}");
        }
        assert_eq!(layer_bucket("default", "ada"), 313930);
    }

    #[test]
    fn texts_of_one_block_and_of_more_have_the_hash_of_the_standard() {
        for length in 0..200 {
            let unit = "u".repeat(length);
            let hash = Sha256::digest(format!("salt:{unit}"));
            let head = u64::from_be_bytes(*hash.first_chunk().unwrap());
            assert_eq!(hash_head(["", "salt", ":", &unit]), head, "{length} bytes");
        }
    }

    #[test]
    fn a_million_users_spread_evenly_and_independently_between_salts() {
        let mut single = [0_u32; 100];
        let mut pairs = [0_u32; 100];
        for number in 0..USERS {
            let user = format!("user-{number}");
            let (here, there) = (bucket("a", &user), bucket("b", &user));
            single[(here / (BUCKETS / 100)) as usize] += 1;
            pairs[(here / (BUCKETS / 10) * 10 + there / (BUCKETS / 10)) as usize] += 1;
        }
        for counts in [single, pairs] {
            let expected = f64::from(USERS) / 100.0;
            let off = |count: &u32| (f64::from(*count) - expected) * (f64::from(*count) - expected);
            let distance = counts.iter().map(off).sum::<f64>() / expected;
            let p = gamma::chi_square_tail(distance, 99.0);
            assert!(p > 0.001 && p < 0.999, "{p}");
        }
    }
}
