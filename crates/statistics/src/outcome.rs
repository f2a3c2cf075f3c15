//! What a comparison of two arms says: effect, whether it may decide, what is missing.
//!
//! Invariants: every number is finite; an interval contains its value; intervals of difference and
//! lift leave 0 out exactly when the verdict is `Higher` or `Lower`. An interval that would say more
//! than the verdict is extended to 0, which keeps its coverage.

/// One of the two arms compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    Control,
    Treatment,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    #[must_use]
    pub fn around(value: f64, half_width: f64) -> Self {
        Self { low: value - half_width, high: value + half_width }
    }

    #[must_use]
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    #[must_use]
    pub fn extended_to(&self, x: f64) -> Self {
        Self { low: self.low.min(x), high: self.high.max(x) }
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// An estimated effect of the treatment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    pub value: f64,
    pub interval: Interval,
}

/// What stands between the data and a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Users whose window is complete.
    Units { arm: Arm, has: u64, needs: u64 },
    /// Conversions of a rate.
    Conversions { arm: Arm, has: u64, needs: u64 },
    /// Units that did not convert: a rate near 1 is as hard to tell as one near 0.
    WithoutConversion { arm: Arm, has: u64, needs: u64 },
    /// Units with a value other than 0.
    NonZero { arm: Arm, has: u64, needs: u64 },
    /// All values are equal.
    Variation,
    /// Relative change has no meaning from a mean of 0 or below.
    PositiveMean { arm: Arm },
    /// A sum is infinite or no number.
    FiniteSums { arm: Arm },
}

/// What may be said of the treatment against the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// See `missing`.
    NotEnoughYet,
    /// The data may decide and do not.
    NoDifferenceShown,
    Higher,
    Lower,
}

/// The comparison of a treatment with a control.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Treatment less control.
    pub difference: Option<Effect>,
    /// Treatment over control, less 1; none where the means are not above 0.
    pub lift: Option<Effect>,
    /// Fieller's interval of the lift, for display next to a difference; none where it is unbounded.
    pub lift_by_fieller: Option<Interval>,
    /// Of no difference; 1 before the data may decide.
    pub p_value: Option<f64>,
    /// The logarithm of the evidence against no difference, for tests that are looked at often; 0
    /// before the data may decide.
    pub ln_e_value: Option<f64>,
    /// Nothing: the data may decide.
    pub missing: Vec<Missing>,
}

impl Comparison {
    /// Of arms that give no effect at all.
    pub(crate) fn nothing(missing: Vec<Missing>) -> Self {
        Self {
            difference: None,
            lift: None,
            lift_by_fieller: None,
            p_value: None,
            ln_e_value: None,
            missing,
        }
    }

    #[must_use]
    pub fn may_decide(&self) -> bool {
        self.missing.is_empty()
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.difference {
            Some(effect) if self.may_decide() => side(&effect.interval),
            _ => Verdict::NotEnoughYet,
        }
    }

    /// Lets intervals and evidence say what the verdict says and no more.
    pub(crate) fn in_agreement(mut self) -> Self {
        let effects = [self.difference, self.lift];
        let mut sides = effects.iter().flatten().map(|effect| side(&effect.interval));
        let first = sides.next().unwrap_or(Verdict::NotEnoughYet);
        let decided = self.may_decide()
            && first != Verdict::NoDifferenceShown
            && sides.all(|other| other == first);
        if !decided {
            for effect in [&mut self.difference, &mut self.lift].into_iter().flatten() {
                effect.interval = effect.interval.extended_to(0.0);
            }
            self.lift_by_fieller = self.lift_by_fieller.map(|it| it.extended_to(0.0));
        }
        if !self.may_decide() {
            self.p_value = self.p_value.map(|_| 1.0);
            self.ln_e_value = self.ln_e_value.map(|_| 0.0);
        }
        self
    }
}

fn side(interval: &Interval) -> Verdict {
    if interval.low > 0.0 {
        Verdict::Higher
    } else if interval.high < 0.0 {
        Verdict::Lower
    } else {
        Verdict::NoDifferenceShown
    }
}
