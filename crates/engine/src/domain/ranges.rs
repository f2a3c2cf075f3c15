//! Checks that several groups of settings share: numbers within a range, half-lives that
//! are counted in events.

/// Fewest events of a half-life: with less, nothing is ever learnt.
const HALF_LIFE_MIN: u32 = 16;

/// # Errors
/// A phrase that names the range; both ends belong to it.
pub fn within_range(value: f32, (min, max): (f32, f32)) -> Result<f32, String> {
    if value >= min && value <= max {
        Ok(value)
    } else {
        Err(format!("must lie in {min}..={max}, is {value}"))
    }
}

/// # Errors
/// When it is neither 0 nor long enough to learn anything.
pub fn check_half_life(events: u32) -> Result<u32, String> {
    if events == 0 || events >= HALF_LIFE_MIN {
        return Ok(events);
    }
    Err(format!("must be 0 or at least {HALF_LIFE_MIN}, is {events}"))
}
