//! Sample ratio, many metrics, power, interleaving: against scipy and statsmodels.

use statistics::interleaving::{self, Pick, Team, Votes, Winner};
use statistics::power::{self, Design, Looks};
use statistics::sample_ratio::{SampleRatio, Watch};
use statistics::special::math;
use statistics::{Counts, Level, fixed, multiplicity};

use crate::{arms, close, count, fixture, list, number, same, same_interval};

const LEVEL: Level = Level::FIVE_PERCENT;

fn counts(value: &serde_json::Value) -> Vec<u64> {
    list(value).iter().map(count).collect()
}

#[test]
fn chi_square_of_the_sample_ratio_is_that_of_scipy() {
    let all = fixture("experiments_srm");
    for case in list(&all["chi_square"]) {
        let weights: Vec<_> = list(&case["weights"]).iter().map(number).collect();
        let ratio = SampleRatio::new(&weights, Level::ONE_PER_MILLE).unwrap();
        let finding = ratio.look(&counts(&case["observed"]), &mut Watch::default());
        close(finding.p_value_of_one_look / number(&case["p"]), 1.0, 1e-9);
    }
}

/// Users go to the first arm whenever the multiples of the golden ratio fall below its share.
fn first_alarm(share: f64) -> u64 {
    let ratio = SampleRatio::new(&[1.0, 1.0], Level::ONE_PER_MILLE).unwrap();
    let mut watch = Watch::default();
    let mut counts = [0_u64; 2];
    for users in 1_u64..1_000_000 {
        let position = (users as f64 * 0.618_033_988_749_894_9).fract();
        counts[usize::from(position >= share)] += 1;
        if users % 50 == 0 && ratio.look(&counts, &mut watch).alarm {
            return users;
        }
    }
    panic!("no alarm at {share}")
}

#[test]
fn alarms_come_when_they_should() {
    let all = fixture("experiments_srm");
    let of_this_prior = |case: &&serde_json::Value| number(&case["k"]) == 1_000.0;
    for case in list(&all["weyl_paths"]).iter().filter(of_this_prior) {
        assert_eq!(first_alarm(number(&case["share"])), count(&case["first_alarm_at"]), "{case}");
    }
}

#[test]
fn an_alarm_stays_and_says_how_large_the_deviation_is() {
    let ratio = SampleRatio::new(&[9.0, 1.0], Level::ONE_PER_MILLE).unwrap();
    let mut watch = Watch::default();
    assert!(!ratio.look(&[900, 100], &mut watch).alarm);
    let finding = ratio.look(&[9_000, 500], &mut watch);
    assert!(finding.alarm && finding.p_value < 1e-3);
    close(finding.deviations[1], 500.0 / 9_500.0 - 0.1, 1e-12);
    let healed = ratio.look(&[90_000, 10_000], &mut watch);
    assert!(healed.alarm && healed.p_value == finding.p_value);
    let nobody = ratio.look(&[], &mut Watch::default());
    assert!(!nobody.alarm && nobody.p_value == 1.0 && nobody.deviations == [0.0, 0.0]);
}

#[test]
fn segments_share_the_level() {
    let ratio = SampleRatio::new(&[1.0, 1.0], Level::ONE_PER_MILLE).unwrap();
    let counts = [5_300, 4_700];
    assert!(ratio.look(&counts, &mut Watch::default()).alarm);
    let many = ratio.of_segments(1_000_000);
    assert!(!many.look(&counts, &mut Watch::default()).alarm);
}

#[test]
fn benjamini_hochberg_is_that_of_statsmodels() {
    let all = fixture("experiments_multiplicity");
    let p_values: Vec<_> = list(&all["p"]).iter().map(number).collect();
    let adjusted = multiplicity::benjamini_hochberg(&p_values);
    for (found, expected) in adjusted.iter().zip(list(&all["fdr_bh"]["adjusted"])) {
        same(*found, expected);
    }
    let mut backwards = p_values.clone();
    backwards.reverse();
    let mut turned = multiplicity::benjamini_hochberg(&backwards);
    turned.reverse();
    assert_eq!(turned, adjusted);
    assert_eq!(multiplicity::benjamini_hochberg(&[f64::NAN, 0.01]), [1.0, 0.02]);
}

#[test]
fn e_values_are_called_together() {
    let all = fixture("experiments_multiplicity");
    let expected = &all["e_bh"];
    let e: Vec<_> = list(&expected["e"]).iter().map(|e| math::ln(number(e))).collect();
    let called = multiplicity::e_benjamini_hochberg(&e, LEVEL);
    let of_file = list(&expected["rejected"]);
    assert!(of_file.is_empty() && !called.contains(&true));
    // 10 of 10 need 200 / 10 = 20 each; the first two of them need 100 each.
    let ln = |e: [f64; 4]| e.map(math::ln);
    let called = multiplicity::e_benjamini_hochberg(&ln([1.0, 41.0, 40.5, 3.0]), LEVEL);
    assert_eq!(called, [false, true, true, false]);
    let called = multiplicity::e_benjamini_hochberg(&[f64::NAN, 5.0], LEVEL);
    assert_eq!(called, [false, true]);
    assert!(multiplicity::e_benjamini_hochberg(&[], LEVEL).is_empty());
}

#[test]
fn sample_sizes_are_those_of_statsmodels() {
    let all = fixture("experiments_power");
    for case in list(&all["proportions"]) {
        let design = Design::new(Looks::Once, LEVEL, number(&case["power"]), 0.5).unwrap();
        let (rate, lift) = (number(&case["p1"]), number(&case["relative_mde"]));
        let units = design.units_for_rate(rate, lift).unwrap().unwrap();
        close(units / 2.0 / number(&case["n_classic"]), 1.0, 1e-9);
        let detected = design.detectable_rate(rate, units).unwrap().unwrap();
        close(detected, lift, 1e-9);
    }
    for case in list(&all["means"]) {
        let design = Design::new(Looks::Once, LEVEL, number(&case["power"]), 0.5).unwrap();
        let (deviation, effect) = (number(&case["sd"]), number(&case["mde"]));
        let units = design.units_for_mean(deviation, effect).unwrap().unwrap();
        close(units / 2.0 / number(&case["n_t"]), 1.0, 1e-9);
        close(design.detectable_mean(deviation, units).unwrap(), effect, 1e-9);
    }
}

#[test]
fn what_a_sequential_test_detects_is_that_of_gbstats() {
    let all = fixture("experiments_power");
    let looks = Looks::AnyTime { tuned_for: 5_000.0 };
    let design = Design::new(looks, LEVEL, 0.8, 0.5).unwrap();
    let once = Design::new(Looks::Once, LEVEL, 0.8, 0.5).unwrap();
    for case in list(&all["sequential_mde"]) {
        let units = count(&case["n_total"]);
        same(design.detectable_mean(1.0, units as f64).unwrap(), &case["mde_80"]);
        close(
            design.units_for_mean(1.0, number(&case["mde_80"])).unwrap().unwrap(),
            units as f64,
            1e-9,
        );
        let (a, b) = arms(0.0, number(&case["se"]), units);
        let found = power::still_detectable(&a, &b, &design, units as f64).unwrap();
        same(found.difference, &case["mde_80"]);
        same(found.lift.unwrap() * 100.0, &case["mde_80"]);
        // By the normal distribution, which is a little below Student's.
        close(
            once.detectable_mean(1.0, units as f64).unwrap() / number(&case["fixed_mde_80"]),
            1.0,
            1e-3,
        );
        let later = power::still_detectable(&a, &b, &design, 4.0 * units as f64).unwrap();
        assert!(later.difference < found.difference);
        close(power::deviation_of(&a), 1.0, 1e-9);
    }
}

#[test]
fn lists_are_drafted_by_the_rules_of_team_draft() {
    let all = fixture("experiments_interleaving");
    for case in list(&all["drafts"]) {
        let ranking = |team: &str| -> Vec<_> {
            list(&case[team]).iter().map(|it| it.as_str().unwrap()).collect()
        };
        let (a, b) = (ranking("a"), ranking("b"));
        let mut coins = list(&case["coins"]).iter().map(|coin| count(coin) == 1);
        let picks =
            interleaving::draft(&a, &b, count(&case["k"]) as usize, || coins.next().unwrap());
        let item =
            |pick: &Pick| if pick.team == Team::A { a[pick.position] } else { b[pick.position] };
        let items: Vec<_> = picks.iter().map(item).collect();
        assert_eq!(items, ranking("list"), "{case}");
        let team = |pick: &Pick| if pick.team == Team::A { "A" } else { "B" };
        assert_eq!(picks.iter().map(team).collect::<Vec<_>>(), ranking("team"), "{case}");
    }
    // Lists that run out end, with coins to spare.
    assert_eq!(interleaving::draft(&[1], &[1], 5, || true).len(), 1);
    assert!(interleaving::draft::<u8>(&[], &[], 5, || false).is_empty());
}

#[test]
fn clicks_are_credited_to_teams() {
    let all = fixture("experiments_interleaving");
    for case in list(&all["credits"]) {
        let teams: Vec<_> = case["team"].as_str().unwrap().chars().collect();
        let clicks = list(&case["clicks"]).iter().map(|it| teams[count(it) as usize]);
        let found =
            interleaving::winner(clicks.map(|it| if it == 'A' { Team::A } else { Team::B }));
        let expected = match case["winner"].as_str().unwrap() {
            "A" => Winner::A,
            "B" => Winner::B,
            _ => Winner::Tie,
        };
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn votes_are_tested_as_scipy_does() {
    let all = fixture("experiments_interleaving");
    for case in list(&all["tests"]) {
        let votes = Votes {
            a: count(&case["wins_a"]),
            b: count(&case["wins_b"]),
            ties: count(&case["ties"]),
        };
        same(votes.preference(), &case["delta"]);
        let found = interleaving::fixed(&votes, LEVEL);
        close(found.p_value / number(&case["p_exact"]), 1.0, 1e-9);
        same(found.share_of_a.unwrap(), &case["share_a"]);
        let decided = Counts { units: votes.a + votes.b, conversions: votes.a };
        same_interval(fixed::wilson(&decided, LEVEL), &case["wilson"]);
        // Exact intervals agree with the exact test.
        assert_eq!(found.shown != Winner::Tie, found.p_value < 0.05);
        let sequential = interleaving::sequential(&votes, LEVEL, votes.a + votes.b);
        assert!(sequential.p_value >= found.p_value);
        assert!(sequential.interval.low <= found.interval.low);
        assert!(sequential.interval.high >= found.interval.high);
        assert_eq!(sequential.shown != Winner::Tie, sequential.p_value < 0.05);
    }
    let none = interleaving::sequential(&Votes::default(), LEVEL, 0);
    assert_eq!((none.shown, none.p_value, none.share_of_a), (Winner::Tie, 1.0, None));
}
