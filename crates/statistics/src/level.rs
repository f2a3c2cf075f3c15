//! Parameters of tests: checked when they are made, so that no computation has to.

/// A parameter that is no number of its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{name} must be {range}, not {found}")]
pub struct ParameterError {
    pub name: &'static str,
    pub range: &'static str,
    pub found: f64,
}

/// The probability of a wrong decision that is accepted: alpha.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Level(f64);

impl Level {
    pub const FIVE_PERCENT: Self = Self(0.05);
    /// For alarms that stop an experiment's results: one false one in a thousand experiments.
    pub const ONE_PER_MILLE: Self = Self(0.001);

    /// From 1e-12 up to a quarter.
    pub fn new(alpha: f64) -> Result<Self, ParameterError> {
        let name = "the level";
        within(alpha, 1e-12, 0.25).then_some(Self(alpha)).ok_or(ParameterError {
            name,
            range: "from 1e-12 to 0.25",
            found: alpha,
        })
    }

    #[must_use]
    pub fn alpha(self) -> f64 {
        self.0
    }

    /// Bonferroni: each of `parts` tests at this level keeps the whole at the present one.
    #[must_use]
    pub fn divided(self, parts: usize) -> Self {
        Self((self.0 / parts.max(1) as f64).max(1e-12))
    }

    /// `ln(1 / alpha)`: the logarithm of an e-value that decides.
    #[must_use]
    pub fn evidence(self) -> f64 {
        -crate::special::math::ln(self.0)
    }
}

/// Also false for NaN.
pub fn within(x: f64, least: f64, most: f64) -> bool {
    x >= least && x <= most
}

/// A share between 0 and 1, both excluded.
pub fn share(name: &'static str, x: f64) -> Result<f64, ParameterError> {
    let inside = x > 0.0 && x < 1.0;
    inside.then_some(x).ok_or(ParameterError { name, range: "between 0 and 1", found: x })
}

/// A finite number above 0.
pub fn positive(name: &'static str, x: f64) -> Result<f64, ParameterError> {
    let fits = x > 0.0 && x.is_finite();
    fits.then_some(x).ok_or(ParameterError { name, range: "above 0", found: x })
}
