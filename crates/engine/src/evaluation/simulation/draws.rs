//! Draws by name: what is drawn, and of whom.

use rand_chacha::ChaCha8Rng;

use crate::numeric::math;
use crate::seed;
use crate::seed::Purpose;

/// The stream of a name and some numbers.
pub fn stream(seed: u64, name: &str, of: &[u64]) -> ChaCha8Rng {
    let mut key = name.as_bytes().to_vec();
    for number in of {
        key.extend(number.to_le_bytes());
    }
    seed::stream(seed, Purpose::Simulation, &key)
}

/// One number in 0..1.
pub fn unit(seed: u64, name: &str, of: &[u64]) -> f64 {
    seed::unit(&mut stream(seed, name, of))
}

/// A number of the standard normal distribution (Box and Muller 1958).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - seed::unit(rng), seed::unit(rng));
    (-2.0 * math::ln(radius)).sqrt() * math::cos(2.0 * std::f64::consts::PI * angle)
}

/// As many standard normal numbers as asked for.
pub fn normals(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| normal(rng)).collect()
}
