//! Experiments on several replicas: one split, one result, one end, whichever is asked.

use personalization::proto::Experiment;
use personalization::proto::ExperimentAction;
use personalization::proto::ExperimentAdvice;
use personalization::proto::ExperimentState;
use personalization::proto::InteractionType;
use personalization::proto::VariantOverrides;

use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use crate::experiments::backfill;
use crate::experiments::lab;
use crate::experiments::life::audience;
use crate::experiments::life::complete;
use crate::experiments::life::stopped;
use crate::harness::Api;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::harness::command;
use crate::harness::event;

const USERS: usize = 200;

fn popular() -> VariantOverrides {
    VariantOverrides { popular: true, ..VariantOverrides::default() }
}

/// The worse variant is the control here, so the treatment is to be shipped.
fn personal_against_popular() -> Experiment {
    let mut written = lab::experiment("personal", VariantOverrides::default());
    written.variants =
        vec![lab::variant("popular", Some(popular())), lab::variant("personal", None)];
    written
}

async fn same_on(a: &Api, b: &Api, key: &str) {
    let at = a.status().await.watermark.max(b.status().await.watermark);
    let (here, there) = tokio::join!(lab::results(a, key, at), lab::results(b, key, at));
    assert_eq!(here, there);
}

#[tokio::test]
async fn the_better_variant_wins_on_both_replicas_after_a_restart_and_after_a_replay() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    let mut loud = lab::experiment("loud", VariantOverrides::default());
    loud.layer = "other".into();
    loud.metrics.push(lab::guard_against("hides", InteractionType::Hide));
    loud.plan = Some(personalization::proto::ExperimentPlan { users: 400, ..Default::default() });
    lab::create(&to_a, personal_against_popular()).await;
    let started = lab::start(&to_b, "personal").await;
    let started = lab::run(&to_a, loud).await.max(started);
    for api in [&to_a, &to_b] {
        api.profile("jazz-fan-1", started).await;
    }
    let (here, there) = (audience(&to_a, 0..USERS, "a"), audience(&to_b, 0..USERS, "b"));
    tokio::join!(here, there);
    // Others, whom the other experiment disturbs.
    let mut hides = Vec::new();
    for number in 0..USERS {
        for (api, prefix) in [(&to_a, "c"), (&to_b, "d")] {
            let user = format!("{prefix}-{number}");
            let variant = lab::assign(api, "loud", &user).await;
            let hidden = variant.as_deref() == Some("treatment") && number % 3 > 0;
            if hidden || number % 5 == 0 {
                let id = format!("hide/{user}");
                hides.push(event(&id, &user, "jazz-01", InteractionType::Hide));
            }
        }
        // Within their windows.
        if number % 20 == 19 {
            to_a.record(std::mem::take(&mut hides)).await;
        }
    }
    let found = complete(&to_b, "personal", 2 * USERS as u64).await;
    let verdict = found.verdict.as_ref().unwrap();
    assert_eq!(verdict.advice(), ExperimentAdvice::Ship, "{}", verdict.text);
    assert_eq!(verdict.variant, "personal");
    stopped(&to_a, "loud").await;
    agreed(&[&a, &b]).await;
    for api in [&to_a, &to_b] {
        let stopped = lab::get(api, "loud").await;
        assert_eq!(stopped.stop_reason, "guardrail hides is harmed by treatment");
        assert_eq!(stopped.state(), ExperimentState::Stopped);
    }
    same_on(&to_a, &to_b, "personal").await;
    let before = lab::results(&to_a, "personal", 0).await;
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let verified = command("verify").args(["--database-url", &url]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    agreed(&[&a, &b]).await;
    same_on(&to_a, &to_b, "personal").await;
    let after = lab::results(&to_b, "personal", 0).await;
    assert_eq!((&after.metrics, &after.exposures), (&before.metrics, &before.exposures));
}

#[tokio::test]
async fn metrics_that_are_added_on_one_replica_have_the_figures_of_those_from_the_start_on_both() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    let started = lab::run(&to_a, backfill::measured("lab")).await;
    to_b.profile("jazz-fan-1", started).await;
    tokio::join!(backfill::visits(&to_a, "a", 0..40), backfill::visits(&to_b, "b", 0..40));
    backfill::measure_further(&to_b, "lab").await;
    tokio::join!(backfill::visits(&to_a, "c", 0..20), backfill::visits(&to_b, "d", 0..20));
    let found = backfill::complete(&to_a, "lab", 120).await;
    backfill::check(&found);
    agreed(&[&a, &b]).await;
    same_on(&to_a, &to_b, "lab").await;
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let verified = command("verify").args(["--database-url", &url]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let again = Server::replica(&flags).await;
    let after = lab::results(&again.api().await, "lab", 0).await;
    assert_eq!(after.metrics, found.metrics);
}

#[tokio::test]
async fn replicas_never_give_the_same_users_of_a_layer_to_two_experiments() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    for number in 0..8 {
        let mut written = lab::experiment(&format!("e{number}"), VariantOverrides::default());
        written.allocation = 0.2;
        lab::create(if number % 2 == 0 { &to_a } else { &to_b }, written).await;
    }
    // All at once, on both: five fit.
    let starts = (0..8).map(|number| {
        let api = if number % 2 == 0 { to_a.clone() } else { to_b.clone() };
        let update = lab::act(&format!("e{number}"), ExperimentAction::Start);
        tokio::spawn(async move { lab::try_update(&api, update).await })
    });
    let starts: Vec<_> = starts.collect();
    let mut started = 0;
    for start in starts {
        started += usize::from(start.await.unwrap().is_ok());
    }
    assert_eq!(started, 5);
    agreed(&[&a, &b]).await;
    let mut buckets = Vec::new();
    for number in 0..8 {
        let key = format!("e{number}");
        let (here, there) = (lab::get(&to_a, &key).await, lab::get(&to_b, &key).await);
        assert_eq!(here, there);
        buckets.extend(here.buckets.iter().map(|range| (range.first, range.end)));
    }
    buckets.sort_unstable();
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{buckets:?}");
    assert_eq!(buckets.iter().map(|(first, end)| end - first).sum::<u32>(), 1_000_000);
}
