//! The command line, and the whole command on data sets of several kinds.

use std::fmt::Write as _;
use std::fs;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    let words = ["evaluate", "--interactions", "rows.csv"].iter().chain(words);
    CommandLine::try_parse_from(words).map(|line| line.args)
}

/// Runs the command on files written for it; its figures.
fn evaluated(interactions: &str, words: &[&str]) -> Result<serde_json::Value, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("rows.csv"), interactions).unwrap();
    let (rows, json) = (path("rows.csv"), path("figures.json"));
    let line = ["evaluate", "--interactions", &rows, "--json", &json].into_iter();
    evaluate(&CommandLine::parse_from(line.chain(words.iter().copied())).args)?;
    Ok(serde_json::from_slice(&fs::read(json).unwrap()).unwrap())
}

fn figure(document: &serde_json::Value, model: &str, metric: &str) -> f64 {
    let models = document["models"].as_array().unwrap();
    let model = models.iter().find(|found| found["model"] == model).unwrap();
    let figures = model["figures"].as_array().unwrap();
    let is_it =
        |figure: &&serde_json::Value| figure["metric"] == metric && figure["subset"] == "all";
    figures.iter().find(is_it).unwrap()["point"].as_f64().unwrap()
}

/// Weekly baskets: each user has four staples of their own and now and then tries
/// something.
fn groceries() -> String {
    let mut rows = "customer_id,product_id,quantity,date\n".to_owned();
    for week in 0..12_usize {
        for user in 0..40_usize {
            let day = week * 7 + user % 7;
            let (month, day) = (day / 28 + 1, day % 28 + 1);
            for position in 0..3 {
                let staple = (user * 7 + (week + position) % 4 * 13) % 60;
                let _ = writeln!(
                    rows,
                    "c{user},p{staple},{},2024-{month:02}-{day:02}",
                    1 + position / 2
                );
            }
            if (user + week) % 5 == 0 {
                let item = 60 + (user + week * 3) % 40;
                let _ = writeln!(rows, "c{user},p{item},1,2024-{month:02}-{day:02}");
            }
        }
    }
    rows
}

/// Users of two tastes, one after the other; no timestamps, ratings up to ten with many
/// unrated.
fn books(users: usize, each: usize) -> String {
    let mut rows = "\"User-ID\";\"ISBN\";\"Book-Rating\"\n".to_owned();
    for user in 0..users {
        for step in 0..each {
            let book = (user * 5 + step * (2 + user % 3)) % 40 * 2 + user % 2;
            let rating = [0, 8, 0, 9, 10, 0, 8, 3][(user + step) % 8];
            let _ = writeln!(rows, "\"{user}\";\"isbn{book}\";\"{rating}\"");
        }
    }
    rows
}

#[test]
fn protocols_and_cut_offs_are_read_from_the_command_line() {
    let args = parse(&["--protocol", "leave-last-out", "--k", "5,50"]).unwrap();
    assert_eq!(args.protocol, Protocol::LeaveLastOut);
    assert_eq!(args.k.iter().map(|k| k.get()).collect::<Vec<_>>(), [5, 50]);
    assert_eq!((args.positive, args.repeats), (Positive::Auto, Repeats::Auto));
    assert_eq!(
        parse(&["--protocol", "cold-start", "--positive", "3.5"]).unwrap().positive,
        Positive::AtLeast(3.5)
    );
    for bad in [
        &["--protocol", "random"][..],
        &["--protocol", "temporal", "--k", "0"],
        &["--protocol", "temporal", "--positive", "good"],
        &["--protocol", "temporal", "--max-cases", "0"],
        &[],
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn groceries_are_bought_again_and_that_is_found_out_and_tested() {
    for protocol in ["leave-last-out", "prequential"] {
        let document = evaluated(&groceries(), &["--protocol", protocol]).unwrap();
        assert_eq!(document["repeats"], true);
        let hit = |model| figure(&document, model, "Hit@10");
        assert!(hit("own most frequent") > hit("popularity"), "{protocol}");
        assert!(hit("engine") > hit("popularity"), "{protocol}");
    }
    let excluded =
        evaluated(&groceries(), &["--protocol", "prequential", "--repeats", "exclude"]).unwrap();
    assert_eq!(excluded["repeats"], false);
    assert!(excluded["cases"].as_u64() < Some(600), "first purchases only");
}

#[test]
fn a_file_without_timestamps_with_unrated_rows_goes_through_every_protocol() {
    let rows = books(60, 16);
    for protocol in Protocol::ALL {
        let document = evaluated(&rows, &["--protocol", protocol.name(), "--k", "5"]).unwrap();
        assert_eq!(document["positive"], 8.0);
        assert!(document["cases"].as_u64() > Some(0), "{}", protocol.name());
        let assumed = document["assumed"].to_string();
        assert!(assumed.contains("no timestamps") && assumed.contains("unrated"), "{assumed}");
    }
}

#[test]
fn the_report_is_one_page_with_everything_measured() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let rows = books(80, 16).replace("isbn3\"", "<script>alert(1)</script>\"");
    let words = ["--protocol", "prequential", "--report", page.to_str().unwrap()];
    let document = evaluated(&rows, &words).unwrap();
    for analysis in ["learning_curve", "ablations", "accuracy_against_diversity"] {
        assert!(!document[analysis].is_null(), "{analysis}");
    }
    let page = fs::read_to_string(page).unwrap();
    for part in ["Learning curve", "Accuracy against diversity", "each component", "<svg"] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("aria-label=\"").count());
    assert_eq!(page.matches("<table>").count(), 5, "three analyses, every figure, time");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}

#[test]
fn several_seeds_are_told_one_by_one_next_to_their_mean() {
    let words = ["--protocol", "leave-last-out", "--seeds", "2", "--seed", "5"];
    let document = evaluated(&books(120, 16), &words).unwrap();
    let by_seed = document["by_seed"].as_array().unwrap();
    assert_eq!((by_seed.len(), document["seeds"].to_string()), (2, "[5,6]".to_owned()));
    let of = |document| figure(document, "engine", "NDCG@10");
    let mean = f64::midpoint(of(&by_seed[0]), of(&by_seed[1]));
    assert!((of(&document) - mean).abs() < 1e-9, "{mean}");
    assert_eq!(document["trainings"].as_array().map(Vec::len), Some(2));
}

#[test]
fn next_to_the_engine_stand_its_own_models_alone_and_its_lists_as_they_are_served() {
    let document = evaluated(&books(120, 16), &["--protocol", "leave-last-out"]).unwrap();
    let plain = ["popularity", "popularity, half-life 500", "item_item_all", "sequence"];
    for model in plain.into_iter().chain(["as served", "as served, exploring"]) {
        assert!(figure(&document, model, "NDCG@10").is_finite(), "{model}");
    }
    assert_eq!(document["as_served"]["pure"], figure(&document, "engine", "NDCG@10"));
    let on_the_way = evaluated(&books(120, 16), &["--protocol", "prequential"]).unwrap();
    assert!(figure(&on_the_way, "item_item_all", "Hit@10").is_finite());
}

#[test]
fn the_learning_curve_tests_the_same_users_at_every_step() {
    let document = evaluated(&books(200, 18), &["--protocol", "cold-start"]).unwrap();
    let curve = document["learning_curve"].as_array().unwrap();
    let events: Vec<_> = curve.iter().map(|point| point["events"].as_u64()).collect();
    assert_eq!(events.last(), Some(&None));
    assert!(events.len() >= 4);
    let users: Vec<_> = curve.iter().map(|point| &point["summary"]["users"]).collect();
    assert!(users.iter().all(|count| *count == users[0]));
}

#[test]
fn a_bound_on_the_cases_is_kept_and_everything_is_still_learnt() {
    let few = evaluated(&books(60, 16), &["--protocol", "prequential", "--max-cases", "100"]);
    let few = few.unwrap();
    assert!((60..140).contains(&few["cases"].as_u64().unwrap()), "{}", few["cases"]);
    let learnt = &few["models"][0]["cost"]["rows_learnt"];
    assert_eq!(*learnt, few["dataset"]["positives"]);
}

#[test]
fn the_smallest_data_sets_are_evaluated_or_refused_with_the_reason() {
    let head = "user_id,item_id,timestamp\n";
    let tiny = format!("{head}u,a,1\nu,b,1\nv,a,1\nw,b,1\n");
    assert!(evaluated(&tiny, &["--protocol", "leave-last-out"]).is_ok());
    for rows in [head.to_owned(), format!("{head}u,a,1\nv,b,2\n")] {
        let refused = evaluated(&rows, &["--protocol", "leave-last-out"]).unwrap_err().to_string();
        assert!(refused.starts_with("no user can be tested"), "{refused}");
    }
}
