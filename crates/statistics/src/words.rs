//! Numbers and verdicts in words, the same wherever a result is told.

use crate::outcome::{Arm, Comparison, Effect, Missing, Verdict};

/// A whole number in groups of three digits.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, with enough digits for a small one.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{} %", rounded(100.0 * share))
}

/// The same with its sign.
#[must_use]
pub fn signed_percent(share: f64) -> String {
    let sign = if share < 0.0 { '-' } else { '+' };
    format!("{sign}{}", percent(share.abs()))
}

/// Three digits that say something.
fn rounded(number: f64) -> String {
    let decimals = match number.abs() {
        0.0 | 10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    format!("{number:.decimals$}")
}

/// An effect with its interval.
#[must_use]
pub fn effect(effect: &Effect, unit: impl Fn(f64) -> String) -> String {
    let Effect { value, interval } = effect;
    format!("{} ({} to {})", unit(*value), unit(interval.low), unit(interval.high))
}

/// What was seen, how sure it is and what to do, in one or two sentences.
#[must_use]
pub fn verdict(comparison: &Comparison, level: f64, looked_at_often: bool) -> String {
    let risk = percent(level);
    let valid = if looked_at_often {
        format!("It may be looked at any time: the risk of a wrong verdict is {risk} in all.")
    } else {
        format!(
            "This holds for one look at a time that was planned before the start, with a risk of {risk}."
        )
    };
    match comparison.verdict() {
        Verdict::Higher => format!("The treatment is better. {valid}"),
        Verdict::Lower => format!("The treatment is worse. {valid}"),
        Verdict::NoDifferenceShown => {
            let range = comparison.lift.as_ref().map_or_else(String::new, |lift| {
                let (low, high) = (lift.interval.low, lift.interval.high);
                format!(
                    " A change of {} to {} is possible: with more users it is seen more exactly.",
                    signed_percent(low),
                    signed_percent(high)
                )
            });
            format!("No difference is shown.{range} {valid}")
        }
        Verdict::NotEnoughYet => {
            let needs: Vec<String> = comparison.missing.iter().map(missing).collect();
            format!("Not enough yet: {}.", needs.join("; "))
        }
    }
}

/// What a verdict still needs, as a part of a sentence.
#[must_use]
pub fn missing(missing: &Missing) -> String {
    let of = |arm: &Arm| match arm {
        Arm::Control => "control",
        Arm::Treatment => "treatment",
    };
    let count = |arm: &Arm, has: u64, needs: u64, what: &str| {
        format!("the {} has {has} of the {needs} {what} that a verdict needs", of(arm))
    };
    match missing {
        Missing::Units { arm, has, needs } => count(arm, *has, *needs, "users"),
        Missing::Conversions { arm, has, needs } => count(arm, *has, *needs, "conversions"),
        Missing::WithoutConversion { arm, has, needs } => {
            count(arm, *has, *needs, "users without a conversion")
        }
        Missing::NonZero { arm, has, needs } => {
            count(arm, *has, *needs, "users with a value other than 0")
        }
        Missing::Variation => "all values are equal".to_owned(),
        Missing::PositiveMean { arm } => format!("the mean of the {} is not above 0", of(arm)),
        Missing::FiniteSums { arm } => format!("a sum of the {} is not a finite number", of(arm)),
    }
}
