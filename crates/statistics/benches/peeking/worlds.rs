//! Simulated users: what arrives between two looks, in two arms whose true effect is known.

use statistics::sequential::bounded::Sums;
use statistics::special::{math, normal};
use statistics::{Counts, Estimate, Pairs, Values, adjustment};

use crate::draws::Draws;

/// What users do.
#[derive(Clone, Copy)]
pub enum Users {
    /// Convert with this probability.
    Convert { rate: f64 },
    /// Two in a hundred buy, for log-normal amounts with deviation 1.5.
    Buy { cap: f64 },
    /// Six in ten buy, more if they bought more before; adjusted by what they bought before.
    BuyAsBefore { cap: f64, by_arm: bool },
    /// Click on what they see, some more than others; clicks per impression.
    Click { rate: f64 },
}

/// A setting of simulated experiments.
#[derive(Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub users: Users,
    /// Of the users, in the treatment.
    pub share: f64,
    pub looks: u64,
    pub users_per_look: u64,
    /// The true lift where power is measured, and its reciprocal.
    pub lift: f64,
}

/// The 99th percentile of amounts with deviation 1.5, and with deviation 1.
pub const CAP: f64 = 32.8;
const CAP_AS_BEFORE: f64 = 10.24;

const BUYERS: f64 = 0.02;
const BUYERS_AS_BEFORE: f64 = 0.6;

pub const SETTINGS: &[Setting] = &[
    rate("rate .01, 90/10", 0.01, 0.1, 100, 0.33),
    rate("rate .001, 50/50", 0.001, 0.5, 500, 0.32),
    rate("rate .001, 90/10", 0.001, 0.1, 500, 0.5),
    rate("rate .05, 50/50", 0.05, 0.5, 100, 0.09),
    rate("rate .05, 95/5", 0.05, 0.05, 100, 0.2),
    rate("rate .99, 90/10", 0.99, 0.1, 100, 0.0035),
    values("revenue without cap, 50/50", Users::Buy { cap: f64::INFINITY }, 0.5, 1_000, 0.4),
    values("revenue without cap, 90/10", Users::Buy { cap: f64::INFINITY }, 0.1, 1_000, 0.6),
    values("revenue capped, 50/50", Users::Buy { cap: CAP }, 0.5, 1_000, 0.3),
    values("revenue capped, 90/10", Users::Buy { cap: CAP }, 0.1, 1_000, 0.5),
    values(
        "revenue capped, CUPED, 50/50",
        Users::BuyAsBefore { cap: CAP_AS_BEFORE, by_arm: false },
        0.5,
        300,
        0.05,
    ),
    values(
        "revenue capped, CUPED, 90/10",
        Users::BuyAsBefore { cap: CAP_AS_BEFORE, by_arm: false },
        0.1,
        300,
        0.08,
    ),
    values(
        "revenue capped, Lin, 90/10",
        Users::BuyAsBefore { cap: CAP_AS_BEFORE, by_arm: true },
        0.1,
        300,
        0.08,
    ),
    values("clicks per impression, 90/10", Users::Click { rate: 0.05 }, 0.1, 300, 0.11),
];

const fn rate(
    name: &'static str,
    rate: f64,
    share: f64,
    users_per_look: u64,
    lift: f64,
) -> Setting {
    Setting { name, users: Users::Convert { rate }, share, looks: 1_000, users_per_look, lift }
}

const fn values(name: &'static str, users: Users, share: f64, looks: u64, lift: f64) -> Setting {
    Setting { name, users, share, looks, users_per_look: 100, lift }
}

impl Setting {
    /// Of the control.
    pub fn true_mean(&self) -> f64 {
        match self.users {
            Users::Convert { rate } | Users::Click { rate } => rate,
            Users::Buy { cap } => BUYERS * mean_amount(1.5, cap),
            Users::BuyAsBefore { cap, .. } => BUYERS_AS_BEFORE * mean_amount(1.0, cap),
        }
    }
}

/// The mean of a log-normal amount cut at `cap`.
fn mean_amount(deviation: f64, cap: f64) -> f64 {
    let square = deviation * deviation;
    let whole = math::exp(0.5 * square);
    if cap == f64::INFINITY {
        return whole;
    }
    let at = math::ln(cap);
    whole * normal::cdf((at - square) / deviation) + cap * normal::upper_tail(at / deviation)
}

/// Sums of one arm.
#[derive(Default)]
struct Arm {
    counts: Counts,
    values: Values,
    pairs: Pairs,
    bounded: Sums,
}

/// The running sums of an experiment.
pub struct World {
    setting: Setting,
    lift: f64,
    /// Control, treatment.
    arms: [Arm; 2],
}

impl World {
    pub fn new(setting: &Setting, lift: f64) -> Self {
        Self { setting: *setting, lift, arms: Default::default() }
    }

    /// The users until the next look.
    pub fn advance(&mut self, draws: &mut Draws) {
        if let Users::Convert { rate } = self.setting.users {
            return self.convert(rate, draws);
        }
        for _ in 0..self.setting.users_per_look {
            let treated = draws.happens(self.setting.share);
            let more = if treated { 1.0 + self.lift } else { 1.0 };
            self.arms[usize::from(treated)].add(self.setting.users, more, draws);
        }
    }

    /// Counts of all users at once: conversions of both arms, then the rest.
    fn convert(&mut self, rate: f64, draws: &mut Draws) {
        let (users, share) = (self.setting.users_per_look, self.setting.share);
        let in_control = (1.0 - share) * rate;
        let in_treatment = share * rate * (1.0 + self.lift);
        let control = draws.successes(users, in_control);
        let treatment = draws.successes(users - control, in_treatment / (1.0 - in_control));
        let rest = users - control - treatment;
        let treated = (share - in_treatment) / (1.0 - in_control - in_treatment);
        let treated = draws.successes(rest, treated);
        let of = |units, conversions| Counts { units: units + conversions, conversions };
        self.arms[0].counts.merge(&of(rest - treated, control));
        self.arms[1].counts.merge(&of(treated, treatment));
    }

    /// Control, treatment.
    pub fn estimates(&self) -> (Estimate, Estimate) {
        let [a, b] = &self.arms;
        match self.setting.users {
            Users::Convert { .. } => (a.counts.estimate(), b.counts.estimate()),
            Users::Buy { .. } => (a.values.estimate(), b.values.estimate()),
            Users::BuyAsBefore { by_arm: false, .. } => adjustment::cuped(&a.pairs, &b.pairs),
            Users::BuyAsBefore { .. } => adjustment::lin(&a.pairs, &b.pairs),
            Users::Click { .. } => (a.pairs.ratio(), b.pairs.ratio()),
        }
    }

    pub fn counts(&self) -> (&Counts, &Counts) {
        (&self.arms[0].counts, &self.arms[1].counts)
    }

    pub fn bounded(&self) -> (&Sums, &Sums) {
        (&self.arms[0].bounded, &self.arms[1].bounded)
    }
}

impl Arm {
    /// A user who does `more` times as often what the control's users do.
    fn add(&mut self, users: Users, more: f64, draws: &mut Draws) {
        match users {
            Users::Convert { .. } => unreachable!("conversions are counted for all users at once"),
            Users::Buy { cap } => {
                let buys = draws.happens(BUYERS * more);
                let amount = if buys { draws.amount(1.5, cap) } else { 0.0 };
                self.values.add(amount, cap);
                self.bounded.add(amount / cap);
            }
            Users::BuyAsBefore { cap, .. } => {
                let habit = draws.normal();
                let now = math::exp(0.8 * habit + 0.6 * draws.normal()).min(cap);
                let amount = if draws.happens(BUYERS_AS_BEFORE * more) { now } else { 0.0 };
                self.pairs.add(amount, math::exp(habit).min(cap));
            }
            Users::Click { rate } => {
                let eager = if draws.happens(0.5) { 1.5 } else { 0.5 };
                let mut impressions = 1;
                while draws.happens(0.8) && impressions < 40 {
                    impressions += 1;
                }
                let clicks = draws.successes(impressions, rate * more * eager);
                self.pairs.add(clicks as f64, impressions as f64);
            }
        }
    }
}
