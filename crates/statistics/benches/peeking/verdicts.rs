//! Every verdict that the crate can give, and those it does not give, on simulated experiments.

use statistics::guardrail::{self, Good, Margin, State};
use statistics::sequential::{self, ConversionPlan, Plan, bounded};
use statistics::special::normal;
use statistics::{Comparison, Effect, Estimate, Interval, Level, Verdict, fixed};

use crate::draws::Draws;
use crate::worlds::{Setting, Users, World};

const LEVEL: Level = Level::FIVE_PERCENT;
/// What guardrails of the simulation may lose.
const MARGIN: f64 = 0.1;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The fixed test at every look.
    Naive,
    /// The asymptotic sequence of the difference, without guard.
    UnguardedDifference,
    /// The same of the lift by the delta method.
    UnguardedLift,
    /// [`sequential::means`], tuned for what others tune for.
    SequentialUnplanned,
    /// The same, tuned for the units there are in the end.
    Sequential,
    /// [`sequential::conversions`].
    Conversions,
    /// [`bounded::means`].
    Bounded,
    /// [`fixed::rates`] or [`fixed::means`], once at the end.
    Fixed,
}

impl Judge {
    pub fn of(setting: &Setting) -> Vec<Self> {
        let exact = match setting.users {
            Users::Convert { .. } => Some(Self::Conversions),
            Users::Buy { cap } if cap.is_finite() => Some(Self::Bounded),
            _ => None,
        };
        let others = [Self::Naive, Self::UnguardedDifference, Self::UnguardedLift];
        let sequential = [Self::SequentialUnplanned, Self::Sequential];
        others.into_iter().chain(sequential).chain(exact).chain([Self::Fixed]).collect()
    }
}

/// How often, out of all experiments.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub higher: u64,
    pub lower: u64,
    /// At some look at which it might decide, the interval did not contain the true difference.
    pub without_difference: u64,
    /// The same of the lift.
    pub without_lift: u64,
}

impl Tally {
    pub fn add(self, other: Self) -> Self {
        Self {
            higher: self.higher + other.higher,
            lower: self.lower + other.lower,
            without_difference: self.without_difference + other.without_difference,
            without_lift: self.without_lift + other.without_lift,
        }
    }
}

/// The plans of an experiment: what is known before it starts.
struct Plans {
    difference: f64,
    lift: f64,
    units: u64,
    unplanned: Plan,
    plan: Plan,
    conversions: ConversionPlan,
    /// The same around the true split of conversions: whether their interval contains it.
    true_conversions: ConversionPlan,
    bounded: bounded::BoundedPlan,
}

impl Plans {
    fn new(setting: &Setting, lift: f64) -> Self {
        let units = setting.looks * setting.users_per_look;
        let mean = setting.true_mean();
        let converted = (units as f64 * mean) as u64;
        let treated = setting.share * (1.0 + lift);
        let conversions =
            |share| ConversionPlan::new(LEVEL, share, converted).expect("a valid parameter");
        let cap = match setting.users {
            Users::Buy { cap } if cap.is_finite() => cap,
            _ => 1.0,
        };
        // About what capped amounts of one buyer in fifty give.
        let surprise = 0.0006 * units as f64 * setting.share.min(1.0 - setting.share);
        Self {
            difference: mean * lift,
            lift,
            units,
            unplanned: Plan::new(LEVEL, sequential::UNITS_UNPLANNED).expect("a valid parameter"),
            plan: Plan::new(LEVEL, units).expect("a valid parameter"),
            conversions: conversions(setting.share),
            true_conversions: conversions(treated / (treated + 1.0 - setting.share)),
            bounded: bounded::BoundedPlan::new(LEVEL, cap, surprise).expect("a valid parameter"),
        }
    }
}

/// What a judge says at a look, if it may decide.
struct Opinion {
    verdict: Verdict,
    /// Whether the interval of the difference contains the truth; of what has no interval, true.
    has_difference: bool,
    has_lift: bool,
}

/// Follows one experiment to its end: a tally for each judge.
pub fn experiment(setting: &Setting, lift: f64, judges: &[Judge], mut draws: Draws) -> Vec<Tally> {
    let plans = Plans::new(setting, lift);
    let mut world = World::new(setting, lift);
    let mut tallies = vec![Tally::default(); judges.len()];
    for look in 1..=setting.looks {
        world.advance(&mut draws);
        let estimates = world.estimates();
        for (judge, tally) in judges.iter().zip(&mut tallies) {
            let at_end = look == setting.looks;
            let opinion = opinion(*judge, &world, &estimates, &plans, at_end);
            let Some(opinion) = opinion else { continue };
            // The first decision stands.
            if tally.higher + tally.lower == 0 {
                tally.higher += u64::from(opinion.verdict == Verdict::Higher);
                tally.lower += u64::from(opinion.verdict == Verdict::Lower);
            }
            tally.without_difference |= u64::from(!opinion.has_difference);
            tally.without_lift |= u64::from(!opinion.has_lift);
        }
    }
    tallies
}

fn opinion(
    judge: Judge,
    world: &World,
    (a, b): &(Estimate, Estimate),
    plans: &Plans,
    at_end: bool,
) -> Option<Opinion> {
    let units = (a.units + b.units) as f64;
    let z = normal::upper_quantile(0.5 * LEVEL.alpha());
    match judge {
        Judge::Naive => by_difference(a, b, z, plans),
        Judge::UnguardedDifference => {
            by_difference(a, b, plans.unplanned.boundary().multiplier(units), plans)
        }
        Judge::UnguardedLift => {
            let lift = fixed::lift_by_delta(a, b, LEVEL)?;
            let times = plans.unplanned.boundary().multiplier(units) / z;
            let half_width = 0.5 * times * lift.interval.width();
            let opinion = by_interval(Interval::around(lift.value, half_width), plans.lift)?;
            Some(Opinion { has_lift: opinion.has_difference, has_difference: true, ..opinion })
        }
        Judge::SequentialUnplanned => {
            by_comparison(&sequential::means(a, b, &plans.unplanned), plans)
        }
        Judge::Sequential => by_comparison(&sequential::means(a, b, &plans.plan), plans),
        Judge::Conversions => Some(by_conversions(world, plans, at_end)),
        Judge::Bounded => {
            let (control, treatment) = world.bounded();
            // Its roots cost more than everything else: a hundred looks.
            let due = at_end || control.units * 100 % plans.units < 10_000;
            due.then(|| by_comparison(&bounded::means(control, treatment, &plans.bounded), plans))?
        }
        Judge::Fixed if !at_end => None,
        Judge::Fixed => {
            let (control, treatment) = world.counts();
            let is_rate = control.units > 0;
            let comparison = if is_rate {
                fixed::rates(control, treatment, LEVEL)
            } else {
                fixed::means(a, b, LEVEL)
            };
            by_comparison(&comparison, plans)
        }
    }
}

/// Verdict and lift by evidence at every look; the interval of the difference, whose roots cost
/// more, at the end.
fn by_conversions(world: &World, plans: &Plans, at_end: bool) -> Opinion {
    let (control, treatment) = world.counts();
    let shows = |plan: &ConversionPlan| {
        let found = sequential::ln_e_value_of_conversions(control, treatment, plan);
        found >= LEVEL.evidence()
    };
    let conversions = (treatment.conversions + control.conversions).max(1) as f64;
    let verdict = if !shows(&plans.conversions) {
        Verdict::NoDifferenceShown
    } else if treatment.conversions as f64 > conversions * plans.conversions.share() {
        Verdict::Higher
    } else {
        Verdict::Lower
    };
    let at_end = at_end.then(|| sequential::conversions(control, treatment, &plans.conversions));
    let difference = at_end.and_then(|comparison| comparison.difference);
    let has_difference = difference.is_none_or(|it| it.interval.contains(plans.difference));
    Opinion { verdict, has_difference, has_lift: !shows(&plans.true_conversions) }
}

fn by_difference(a: &Estimate, b: &Estimate, multiplier: f64, plans: &Plans) -> Option<Opinion> {
    let error = (a.variance + b.variance).sqrt();
    let interval = Interval::around(b.mean - a.mean, multiplier * error);
    if error > 0.0 { by_interval(interval, plans.difference) } else { None }
}

fn by_interval(interval: Interval, truth: f64) -> Option<Opinion> {
    let verdict = if interval.low > 0.0 {
        Verdict::Higher
    } else if interval.high < 0.0 {
        Verdict::Lower
    } else {
        Verdict::NoDifferenceShown
    };
    let has_difference = interval.contains(truth);
    let is_finite = interval.width().is_finite();
    is_finite.then_some(Opinion { verdict, has_difference, has_lift: true })
}

fn by_comparison(comparison: &Comparison, plans: &Plans) -> Option<Opinion> {
    let contains = |effect: Option<Effect>, truth: f64| {
        effect.is_none_or(|effect| effect.interval.contains(truth))
    };
    comparison.may_decide().then(|| Opinion {
        verdict: comparison.verdict(),
        has_difference: contains(comparison.difference, plans.difference),
        has_lift: contains(comparison.lift, plans.lift),
    })
}

/// A true loss of exactly the margin, where each answer is wrong: `higher` counts `Safe`, `lower`
/// counts `Harmed`.
pub fn guardrail(setting: &Setting, mut draws: Draws) -> Tally {
    let plan = Plan::new(LEVEL, sequential::UNITS_UNPLANNED).expect("a valid parameter");
    let margin = Margin::new(Good::Higher, MARGIN).expect("a valid parameter");
    let mut world = World::new(setting, -MARGIN);
    let mut tally = Tally::default();
    for _ in 0..setting.looks {
        world.advance(&mut draws);
        let (a, b) = world.estimates();
        match guardrail::sequential(&a, &b, &margin, &plan).state {
            State::Safe => tally.higher = 1,
            State::Harmed => tally.lower = 1,
            State::NotEnoughYet | State::Open => {}
        }
    }
    tally
}
