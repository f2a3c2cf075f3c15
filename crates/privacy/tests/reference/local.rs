//! Reports word by word against a client in Python, estimates against their formulas at 50 digits.

use std::convert::Infallible;

use privacy::Ratio;
use privacy::local::OneBit;
use privacy::local::RandomizedResponse;
use rand::TryRng;
use serde_json::Value;

use crate::close;
use crate::count;
use crate::fixture;
use crate::list;
use crate::number;
use crate::ratio;
use crate::seeded;

/// Gives the words of a case, in order.
struct Words(Vec<u64>);

impl TryRng for Words {
    type Error = Infallible;

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.pop().expect("a word more than the client took"))
    }

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("draws are defined by whole words")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("draws are defined by whole words")
    }
}

fn words(case: &Value) -> Words {
    let word = |word: &Value| u64::from_str_radix(word.as_str().unwrap(), 16).unwrap();
    Words(list(&case["words"]).iter().rev().map(word).collect())
}

fn epsilon(case: &Value) -> Ratio {
    Ratio::new(count(&case["epsilon"][0]), count(&case["epsilon"][1])).unwrap()
}

#[test]
fn reports_are_those_of_a_python_client_to_the_last_word() {
    let all = fixture("local");
    for case in list(&all["randomized_response"]) {
        let mut words = words(case);
        let categories = count(&case["categories"]) as u32;
        let response = RandomizedResponse::new(epsilon(case), categories).unwrap();
        let report = response.report(count(&case["truth"]) as u32, &mut words).unwrap();
        assert_eq!((u64::from(report), words.0.len()), (count(&case["report"]), 0), "{case}");
    }
    for case in list(&all["one_bit"]) {
        let mut words = words(case);
        let report = OneBit::new(epsilon(case)).report(number(&case["value"]), &mut words).unwrap();
        assert_eq!((Some(report), words.0.len()), (case["report"].as_bool(), 0), "{case}");
    }
}

#[test]
fn estimates_are_those_of_the_formulas() {
    let all = fixture("local");
    for case in list(&all["shares"]) {
        let counts: Vec<u64> = list(&case["counts"]).iter().map(count).collect();
        let response = RandomizedResponse::new(epsilon(case), counts.len() as u32).unwrap();
        let found = response.shares(&counts).unwrap();
        for (found, expected) in found.iter().zip(list(&case["estimates"])) {
            close(found.value, number(&expected["value"]), 1e-10);
            close(found.standard_error, number(&expected["standard_error"]), 1e-10);
        }
        close(found.iter().map(|share| share.value).sum(), 1.0, 1e-9);
    }
    for case in list(&all["means"]) {
        let found = OneBit::new(epsilon(case)).mean(count(&case["ones"]), count(&case["reports"]));
        let found = found.unwrap();
        close(found.value, number(&case["estimate"]["value"]), 1e-12);
        close(found.standard_error, number(&case["estimate"]["standard_error"]), 1e-12);
    }
}

#[test]
fn probabilities_and_variances_are_those_of_the_reference() {
    for case in list(&fixture("privacy_accounting")["local"]) {
        if case["kind"] != "krr" {
            continue;
        }
        let categories = count(&case["k"]) as u32;
        let response = RandomizedResponse::new(ratio(number(&case["eps"])), categories).unwrap();
        let (truth, other) = response.probabilities();
        close(truth, number(&case["p"]), 1e-12);
        close(other, number(&case["q"]), 1e-12);
        let reports = count(&case["n"]);
        let counts = |first: u64| {
            let mut counts = vec![0; categories as usize];
            (counts[0], counts[1]) = (first, reports - first);
            counts
        };
        // Counts are whole: half a report more or less.
        let expected = number(&case["expected_reports"]).round() as u64;
        let share = response.shares(&counts(expected)).unwrap()[0];
        let half = 0.5 / reports as f64 / (truth - other);
        assert!((share.value - number(&case["true_share"])).abs() <= half, "{case}");
        let none = response.shares(&counts(0)).unwrap()[0];
        close(none.standard_error.powi(2), number(&case["var_estimate_share_at_0"]), 1e-12);
    }
}

#[test]
fn simulated_estimates_are_within_their_standard_errors() {
    let reports = 20_000_u32;
    let mut rng = seeded(1);
    let response = RandomizedResponse::new(Ratio::new(3, 2).unwrap(), 4).unwrap();
    let mut counts = [0; 4];
    for user in 0..reports {
        // Half of the users in category 3, the others in 0.
        let truth = if user % 2 == 0 { 3 } else { 0 };
        counts[response.report(truth, &mut rng).unwrap() as usize] += 1;
    }
    for (share, truth) in response.shares(&counts).unwrap().iter().zip([0.5, 0.0, 0.0, 0.5]) {
        assert!((share.value - truth).abs() < 4.0 * share.standard_error, "{share:?}");
    }
    let bit = OneBit::new(Ratio::new(1, 1).unwrap());
    let value = |user: u32| f64::from(user % 11) / 10.0;
    let ones = (0..reports).filter(|user| bit.report(value(*user), &mut rng).unwrap()).count();
    let mean = bit.mean(ones as u64, reports.into()).unwrap();
    assert!((mean.value - 0.5).abs() < 4.0 * mean.standard_error, "{mean:?}");
}
