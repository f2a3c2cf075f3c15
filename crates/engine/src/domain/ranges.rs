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
        Err(out_of_range(value.into(), min.into(), max.into()))
    }
}

/// A phrase that names a range, whose ends belong to it, and the value that is not in it.
pub fn out_of_range(value: f64, min: f64, max: f64) -> String {
    format!("must be {} to {}, is {}", shortest(min), shortest(max), shortest(value))
}

/// A number with the fewest digits that tell it from others. One that came through f32 has
/// those of f32: 0.9, not 0.8999999761581421.
fn shortest(value: f64) -> String {
    let (narrow, is_long) = (value as f32, value.abs() >= 1e15);
    let is_narrow = f64::from(narrow) == value && (is_long || value.fract() != 0.0);
    match (is_narrow, is_long) {
        (true, true) => format!("{narrow:e}"),
        (true, false) => narrow.to_string(),
        (false, true) => format!("{value:e}"),
        (false, false) => value.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_told_as_it_was_given() {
        let told = |value| out_of_range(value, 1e-6, 0.5);
        assert_eq!(told(f64::from(0.9_f32)), "must be 0.000001 to 0.5, is 0.9");
        assert_eq!(told(0.9), "must be 0.000001 to 0.5, is 0.9");
        assert_eq!(told(-3.0), "must be 0.000001 to 0.5, is -3");
        assert_eq!(told(4_294_967_295.0), "must be 0.000001 to 0.5, is 4294967295");
        assert_eq!(told(f64::MAX), "must be 0.000001 to 0.5, is 1.7976931348623157e308");
        assert_eq!(told(f64::from(1e30_f32)), "must be 0.000001 to 0.5, is 1e30");
        assert!(told(f64::NAN).ends_with("is NaN"));
        assert!(told(f64::INFINITY).ends_with("is inf"));
    }
}
