//! The estimators against figures of the Open Bandit Pipeline, against worlds whose truth
//! is known, and at the edges.

mod beliefs;
mod slates;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

use crate::evaluation::off_policy::*;

const LOGS: &str = include_str!("../../../tests/fixtures/ope/logs.json");
const VALUES: &str = include_str!("../../../tests/fixtures/ope/values.json");
/// Actions of the Open Bandit Dataset's campaign "all".
const K: usize = 80;

/// A target policy as a rule: the probability of an action at a round and position.
struct Rule<F>(F);

impl<F: Fn(usize, usize, usize) -> f64 + Sync> TargetPolicy for Rule<F> {
    fn probabilities(&self, round: &RoundView<'_>, _predictions: &[f64], out: &mut [f64]) {
        for (action, out) in out.iter_mut().enumerate() {
            *out = (self.0)(round.at, round.round.position as usize, action);
        }
    }
}

fn integers(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

fn open_bandit_log(name: &str) -> Log {
    let json: Json = serde_json::from_str(LOGS).unwrap();
    let log = &json[name];
    let actions = integers(&log["action"]);
    let rewarded = integers(&log["rewarded"]);
    let known: Vec<f64> =
        log["propensities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    let by_pair = log.get("propensity_by_action_position").and_then(Json::as_array);
    let by_round = log.get("propensity").map(integers);
    let positions = log["position"].as_str().unwrap().bytes().map(|digit| digit - b'0');
    let mut builder = LogBuilder::default();
    for (at, (&action, position)) in actions.iter().zip(positions).enumerate() {
        let index = match (&by_round, by_pair) {
            (Some(indices), _) => indices[at],
            (None, pairs) => integers(&pairs.unwrap()[action])[usize::from(position)],
        };
        let reward = f64::from(u8::from(rewarded.binary_search(&at).is_ok()));
        let new = NewRound {
            action: action as u32,
            reward,
            propensity: known[index],
            position: position.into(),
            unit: at as u32,
            ..NewRound::default()
        };
        builder.push(&new).unwrap();
    }
    let log = builder.build();
    assert_eq!((log.rounds().len(), log.actions()), (10_000, K));
    log
}

/// The number after `before` in a sentence.
fn number_after(text: &str, before: &str) -> usize {
    let rest = &text[text.find(before).unwrap() + before.len()..];
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// The policy that a fixture describes.
fn policy_of(name: &str, policy: &Json, rates: Vec<f64>) -> Box<dyn TargetPolicy> {
    let rule = policy["rule"].as_str().unwrap().to_owned();
    let is = |shown: bool| f64::from(u8::from(shown));
    match name {
        "det_modular" => Box::new(Rule(move |t, l, a| is((7 * t + 13 * l) % K == a))),
        "det_modular2" => {
            let shift = number_after(&rule, "29*l+");
            Box::new(Rule(move |t, l, a| is((11 * t + 29 * l + shift) % K == a)))
        }
        "det_constant" => Box::new(Policy::Constant(number_after(&rule, "always action ") as u32)),
        "uniform" => Box::new(Policy::Uniform),
        "stoch_modular" => Box::new(Rule(|t, _, a| {
            let weight = |a: usize| 1.0 + ((31 * t + 17 * a) % 10) as f64;
            weight(a) / (0..K).map(weight).sum::<f64>()
        })),
        "softmax_q" => {
            let top = rates.iter().copied().fold(0.0, f64::max);
            let odds: Vec<f64> = rates.iter().map(|q| ((q - top) / 0.002).exp()).collect();
            let sum: f64 = odds.iter().sum();
            Box::new(Rule(move |_, _, a| odds[a] / sum))
        }
        "zozo_bts_prior" => {
            let table = policy["action_dist_by_action_position"].as_array().unwrap();
            let table: Vec<Vec<f64>> = table
                .iter()
                .map(|row| row.as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect())
                .collect();
            Box::new(Rule(move |_, l: usize, a: usize| table[a][l]))
        }
        other => panic!("the fixtures have no policy {other}"),
    }
}

#[test]
fn every_value_agrees_with_the_open_bandit_pipeline() {
    let values: Json = serde_json::from_str(VALUES).unwrap();
    let mut checked = 0;
    for side in ["random_all", "bts_all"] {
        let log = open_bandit_log(side);
        let prior = Prior::Given { rewards: 1.0, rounds: 200.0 };
        let model = FittedModel::fit(&log, RewardModel::Rates(prior), false).unwrap();
        let mut rates = vec![0.0; K];
        model.predict(&log.view(0), &mut rates);
        for (name, case) in values[format!("estimators_on_{side}")].as_object().unwrap() {
            let policy = policy_of(name, &case["policy"], rates.clone());
            let run = |shrinkage| {
                let bounds = Bounds { clip: 10.0, switch: 10.0, shrinkage };
                let options = Options { bounds, resamples: 20, ..Options::default() };
                evaluate(&log, Target::Policy(&*policy), &model, &options)
            };
            let (narrow, wide) = (run(10.0), run(100.0));
            let value = |report: &Report, estimator| {
                let value = report.find(estimator).unwrap().value.value;
                // Their replay of no round at all is 0.
                if value.is_nan() { 0.0 } else { value }
            };
            let check = |what: &str, found: f64, golden: &Json| {
                let golden = golden.as_f64().unwrap();
                let scale = golden.abs().max(1.0);
                assert!(
                    (found - golden).abs() <= 1e-6 * scale,
                    "{side}, {name}, {what}: {found} is not {golden}"
                );
            };
            for (what, golden) in case["estimates"].as_object().unwrap() {
                let found = match what.as_str() {
                    "RM" => value(&narrow, Estimator::Replay),
                    "IPW" => value(&narrow, Estimator::Ips),
                    "IPW_clip_lambda10" => value(&narrow, Estimator::ClippedIps),
                    "SNIPW" => value(&narrow, Estimator::Snips),
                    "DM" => value(&narrow, Estimator::Direct),
                    "DR" => value(&narrow, Estimator::DoublyRobust),
                    "DR_clip_lambda10" => value(&narrow, Estimator::ClippedDoublyRobust),
                    "SNDR" => value(&narrow, Estimator::SelfNormalizedDoublyRobust),
                    "SwitchDR_lambda10" => value(&narrow, Estimator::SwitchDoublyRobust),
                    "DRos_lambda10" => value(&narrow, Estimator::ShrunkDoublyRobust),
                    "DRos_lambda100" => value(&wide, Estimator::ShrunkDoublyRobust),
                    "_check" => {
                        let support = &narrow.support;
                        check("sum of weights", support.mean_weight * 1e4, &golden["sum_iw"]);
                        check("largest weight", support.largest_weight, &golden["max_iw"]);
                        check("sample size", support.effective_sample_size, &golden["ess"]);
                        checked += 3;
                        continue;
                    }
                    other => panic!("no estimator for {other}"),
                };
                check(what, found, golden);
                checked += 1;
            }
        }
    }
    // 11 policies by 10 estimators, replay of the six that are deterministic (5) and the
    // three checks of weights each.
    assert_eq!(checked, 11 * 10 + 5 + 11 * 3);
}

/// A world of five actions and three kinds of request context, logged by a policy that prefers
/// one action; the target prefers another. The log, the target and its true value.
fn world(rounds: u32, seed: u64) -> (Log, f64) {
    let pays = |kind: usize, action: usize| 0.1 + 0.15 * ((kind + 2 * action) % 5) as f64;
    let logging = |action: usize| if action == 0 { 0.6 } else { 0.1 };
    let target = |kind: usize, action: usize| if action == (kind + 1) % 5 { 0.8 } else { 0.05 };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || f64::from(random.next_u32()) / 4_294_967_296.0;
    let mut builder = LogBuilder::default();
    for unit in 0..rounds {
        let kind = (uniform() * 3.0) as usize;
        let mut rest = uniform();
        let mut action = 0;
        while action < 4 && rest >= logging(action) {
            rest -= logging(action);
            action += 1;
        }
        let reward = f64::from(u8::from(uniform() < pays(kind, action)));
        let mut context = [0.0_f32; 3];
        context[kind] = 1.0;
        let candidates: Vec<Candidate<'_>> = (0..5)
            .map(|action| Candidate {
                action: action as u32,
                propensity: Some(logging(action)),
                target: Some(target(kind, action)),
                ..Candidate::default()
            })
            .collect();
        let new = NewRound {
            action: action as u32,
            reward,
            propensity: logging(action),
            unit,
            context: &context,
            candidates: &candidates,
            ..NewRound::default()
        };
        builder.push(&new).unwrap();
    }
    let of_kind =
        |kind| (0..5).map(|action| target(kind, action) * pays(kind, action)).sum::<f64>();
    (builder.build(), (0..3).map(of_kind).sum::<f64>() / 3.0)
}

fn evaluated(log: &Log, policy: Policy, model: RewardModel, options: &Options) -> Report {
    let fitted = FittedModel::fit(log, model, true).unwrap();
    evaluate(log, policy.on(log).unwrap(), &fitted, options)
}

const RIDGE: RewardModel = RewardModel::Ridge { penalty: 10.0 };
const RATES: RewardModel = RewardModel::Rates(Prior::Estimated);

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    // 200 worlds: a right 95 % interval misses 21 or more of them with probability .001.
    let unbiased = [
        Estimator::Ips,
        Estimator::Snips,
        Estimator::DoublyRobust,
        Estimator::SelfNormalizedDoublyRobust,
        Estimator::Rejection,
    ];
    let options = Options { resamples: 200, ..Options::default() };
    let mut missed = [(0, 0); 5];
    for seed in 0..200 {
        let (log, truth) = world(1_500, seed);
        let report = evaluated(&log, Policy::FromLog, RATES, &options);
        for (estimator, missed) in unbiased.iter().zip(&mut missed) {
            let estimate = report.find(*estimator).unwrap();
            let misses =
                |interval: Interval| usize::from(truth < interval.low || truth > interval.high);
            missed.0 += misses(estimate.value.normal);
            missed.1 += misses(estimate.value.bootstrap);
        }
    }
    for (estimator, (normal, bootstrap)) in unbiased.iter().zip(missed) {
        assert!(normal <= 20 && bootstrap <= 22, "{estimator:?}: {normal}, {bootstrap} of 200");
    }
}

#[test]
fn a_doubly_robust_estimate_of_100_000_decisions_is_within_5_percent() {
    let (log, truth) = world(100_000, 1);
    let report = evaluated(&log, Policy::FromLog, RIDGE, &Options::default());
    let robust = report.find(Estimator::DoublyRobust).unwrap();
    assert!((robust.value.value / truth - 1.0).abs() < 0.05, "{robust:?} is not {truth}");
    // A model that knows the request contexts leaves less to the weights.
    let plain = report.find(Estimator::Ips).unwrap();
    assert!(robust.value.standard_error < 0.9 * plain.value.standard_error);
}

#[test]
fn the_logging_policy_itself_is_worth_what_was_logged() {
    let (log, _) = world(2_000, 3);
    let mut builder = LogBuilder::default();
    for round in log.rounds() {
        let Round { action, reward, propensity, unit, .. } = *round;
        let target = Some(propensity);
        let new = NewRound { action, reward, propensity, unit, target, ..NewRound::default() };
        builder.push(&new).unwrap();
    }
    let log = builder.build();
    let report = evaluated(&log, Policy::FromLog, RATES, &Options::default());
    let found: Vec<Estimator> = report.estimates.iter().map(|one| one.estimator).collect();
    let without_model = [
        Estimator::Ips,
        Estimator::ClippedIps,
        Estimator::Snips,
        Estimator::Replay,
        Estimator::Rejection,
    ];
    assert_eq!(found, without_model, "only what needs no other candidate");
    for estimator in [Estimator::Ips, Estimator::Snips, Estimator::Rejection] {
        let one = report.find(estimator).unwrap();
        assert!((one.value.value - report.logged.value).abs() < 1e-12);
        assert!(one.lift.abs() < 1e-12 && one.lift_bootstrap.high.abs() < 1e-12);
    }
    assert!((report.support.effective_sample_size - 2_000.0).abs() < 1e-6);
}

#[test]
fn missing_support_and_small_samples_are_told() {
    let candidates = |shown: f64| {
        [
            Candidate { action: 0, propensity: Some(shown), ..Candidate::default() },
            Candidate { action: 1, propensity: Some(1.0 - shown), ..Candidate::default() },
        ]
    };
    let log = |lists: bool, rounds: u32| {
        let mut builder = LogBuilder::default();
        for unit in 0..rounds {
            let listed = candidates(1.0);
            let listed: &[Candidate<'_>] = if lists { &listed } else { &[] };
            let new = NewRound { reward: 1.0, propensity: 1.0, unit, ..NewRound::default() };
            builder.push(&NewRound { candidates: listed, ..new }).unwrap();
        }
        // Something else is shown once, so that it is an action of the log.
        let listed = candidates(0.0);
        let listed: &[Candidate<'_>] = if lists { &listed } else { &[] };
        let new = NewRound { action: 1, propensity: 1.0, unit: rounds, ..NewRound::default() };
        builder.push(&NewRound { candidates: listed, ..new }).unwrap();
        builder.build()
    };
    let exact = evaluated(&log(true, 199), Policy::Uniform, RATES, &Options::default());
    assert!(matches!(exact.warnings[0], Warning::Unsupported { share: 0.5, .. }));
    assert!(exact.warnings[0].to_string().contains("50.0 % of what this policy shows"));
    let seeming = evaluated(&log(false, 199), Policy::Uniform, RATES, &Options::default());
    assert!(matches!(seeming.warnings[0], Warning::SeemsUnsupported { share: 0.5 }));
    let few = evaluated(&log(false, 50), Policy::Uniform, RATES, &Options::default());
    let is_few = |warning: &Warning| matches!(warning, Warning::FewEffective { .. });
    assert!(few.warnings.iter().any(is_few) && !seeming.warnings.iter().any(is_few));
}

#[test]
fn propensities_that_are_too_small_are_told() {
    let mut builder = LogBuilder::default();
    for unit in 0..400 {
        let (action, reward) = (unit % 2, 1.0);
        let new = NewRound { action, reward, propensity: 0.25, unit, ..NewRound::default() };
        builder.push(&new).unwrap();
    }
    let report = evaluated(&builder.build(), Policy::Uniform, RATES, &Options::default());
    assert!(matches!(report.warnings[..], [Warning::TooHeavy { mean: 2.0, .. }]));
}

#[test]
fn probabilities_that_do_not_add_up_to_one_are_told() {
    let mut builder = LogBuilder::default();
    for unit in 0..400 {
        let candidate = |action| Candidate { action, target: Some(0.4), ..Candidate::default() };
        let candidates = [candidate(0), candidate(1)];
        let new = NewRound { action: unit % 2, propensity: 0.5, unit, ..NewRound::default() };
        builder.push(&NewRound { candidates: &candidates, ..new }).unwrap();
    }
    let report = evaluated(&builder.build(), Policy::FromLog, RATES, &Options::default());
    assert_eq!(report.warnings[0], Warning::Uneven { share: 1.0 });
}

#[test]
fn rounds_of_one_unit_count_as_one_observation() {
    let log = |units: u32| {
        let mut builder = LogBuilder::default();
        for at in 0..1_000_u32 {
            let unit = at % units;
            let reward = f64::from(unit % 2);
            let new = NewRound { reward, propensity: 1.0, unit, ..NewRound::default() };
            builder.push(&new).unwrap();
        }
        builder.build()
    };
    let own = evaluated(&log(1_000), Policy::Uniform, RATES, &Options::default());
    let few = evaluated(&log(10), Policy::Uniform, RATES, &Options::default());
    assert_eq!((own.units, few.units), (1_000, 10));
    // .5 / sqrt(9) against .5 / sqrt(999).
    for (report, golden) in [(own, 0.5 / 999_f64.sqrt()), (few, 0.5 / 3.0)] {
        assert!((report.logged.standard_error - golden).abs() < 1e-9);
        let interval = report.find(Estimator::Ips).unwrap().value.bootstrap;
        assert!((interval.high - interval.low) > 3.0 * golden);
    }
}

#[test]
fn policies_that_go_by_predictions_use_the_other_fold() {
    let (log, _) = world(20_000, 5);
    let policy = Policy::Greedy(Scores::Predicted);
    let report = evaluated(&log, policy, RIDGE, &Options::default());
    // The best action of each kind pays .7.
    let robust = report.find(Estimator::DoublyRobust).unwrap();
    assert!(robust.value.normal.low < 0.7 && robust.value.normal.high > 0.66, "{robust:?}");
    assert!(robust.lift_bootstrap.low > 0.0);
    let softmax = Policy::Softmax { temperature: 1e6, scores: Scores::Predicted };
    let flat = evaluated(&log, softmax, RIDGE, &Options::default());
    let uniform = evaluated(&log, Policy::Uniform, RIDGE, &Options::default());
    for (a, b) in flat.estimates.iter().zip(&uniform.estimates).take(9) {
        assert!((a.value.value - b.value.value).abs() < 1e-4, "{a:?} {b:?}");
    }
    let spread = Policy::EpsilonGreedy { epsilon: 1.0, scores: Scores::Predicted };
    let spread = evaluated(&log, spread, RIDGE, &Options::default());
    assert!((spread.estimates[0].value.value - uniform.estimates[0].value.value).abs() < 1e-9);
}

#[test]
fn policies_that_the_log_knows_nothing_of_are_refused() {
    let mut builder = LogBuilder::default();
    builder.push(&NewRound { propensity: 0.5, ..NewRound::default() }).unwrap();
    let log = builder.build();
    assert_eq!(Policy::FromLog.on(&log).err(), Some(PolicyUnknown::Probabilities));
    let scored = Policy::Greedy(Scores::Logged);
    assert_eq!(scored.on(&log).err(), Some(PolicyUnknown::Scores));
}

#[test]
fn the_anytime_bounds_hold_the_truth_and_are_wider_than_the_interval_at_the_end() {
    let (log, truth) = world(20_000, 7);
    let options = Options { reward_range: Some((0.0, 1.0)), ..Options::default() };
    let report = evaluated(&log, Policy::FromLog, RATES, &options);
    let anytime = report.anytime.unwrap();
    assert!(anytime.low < truth && truth < anytime.high, "{anytime:?} without {truth}");
    let normal = report.find(Estimator::Ips).unwrap().value.normal;
    assert!(anytime.high - anytime.low > normal.high - normal.low);
    assert!(anytime.high - anytime.low < 0.2, "{anytime:?}");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let (log, _) = world(20_000, 9);
    let run = |seed| {
        let options = Options { seed, resamples: 50, ..Options::default() };
        evaluated(&log, Policy::FromLog, RATES, &options)
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn a_round_that_cannot_be_used_is_refused_and_changes_nothing() {
    let good = NewRound { propensity: 0.5, context: &[1.0, 2.0], ..NewRound::default() };
    let mut builder = LogBuilder::default();
    builder.push(&good).unwrap();
    let twice = [Candidate::default(), Candidate::default()];
    let other = [Candidate { action: 3, ..Candidate::default() }];
    let wild = [Candidate { score: Some(f64::NAN), ..Candidate::default() }];
    for (bad, reason) in [
        (NewRound { reward: f64::NAN, ..good }, InvalidRound::Reward),
        (NewRound { propensity: 0.0, ..good }, InvalidRound::Propensity(0.0)),
        (NewRound { propensity: 1.5, ..good }, InvalidRound::Propensity(1.5)),
        (NewRound { target: Some(-0.5), ..good }, InvalidRound::Probability(-0.5)),
        (NewRound { context: &[1.0], ..good }, InvalidRound::Features { found: 1, expected: 2 }),
        (NewRound { candidates: &twice, ..good }, InvalidRound::Candidates),
        (NewRound { candidates: &other, ..good }, InvalidRound::Candidates),
        (NewRound { candidates: &wild, ..good }, InvalidRound::NotFinite),
        (NewRound { score: Some(f64::NAN), ..good }, InvalidRound::NotFinite),
    ] {
        assert_eq!(builder.push(&bad), Err(reason));
    }
    assert_eq!(builder.len(), 1);
}

#[test]
fn a_column_that_some_rounds_lack_is_dropped_and_told() {
    let scored = [Candidate { action: 0, score: Some(1.0), ..Candidate::default() }];
    let plain = [Candidate { action: 1, ..Candidate::default() }];
    let new = NewRound { propensity: 1.0, ..NewRound::default() };
    let mut builder = LogBuilder::default();
    builder.push(&NewRound { candidates: &scored, ..new }).unwrap();
    builder.push(&NewRound { action: 1, candidates: &plain, target: Some(0.5), ..new }).unwrap();
    let log = builder.build();
    let columns: Vec<_> = log.incomplete().iter().map(|one| (one.column, one.missing)).collect();
    let of_shown = ("scores of what was shown", 1);
    assert_eq!(columns, [of_shown, ("target probability", 1), ("candidates' scores", 1)]);
    assert!(log.lists_candidates() && !log.has_scores() && log.chosen_scores().is_none());
    let mut builder = LogBuilder::default();
    builder.push(&NewRound { candidates: &scored, ..new }).unwrap();
    builder.push(&NewRound { action: 4, ..new }).unwrap();
    let log = builder.build();
    assert_eq!(log.incomplete()[0], Incomplete { column: "candidates", missing: 1 });
    assert_eq!((log.view(1).candidates, log.view(1).round.chosen), (5, 4));
}

#[test]
fn one_round_and_no_matching_round_give_no_figures_rather_than_wrong_ones() {
    let mut builder = LogBuilder::default();
    builder.push(&NewRound { action: 1, propensity: 0.5, ..NewRound::default() }).unwrap();
    let report = evaluated(&builder.build(), Policy::Constant(0), RATES, &Options::default());
    assert_eq!(report.find(Estimator::Ips).unwrap().value.value, 0.0);
    assert!(report.warnings.contains(&Warning::NoReward));
    for estimator in [Estimator::Snips, Estimator::Replay, Estimator::Rejection] {
        assert!(report.find(estimator).unwrap().value.value.is_nan());
    }
}
