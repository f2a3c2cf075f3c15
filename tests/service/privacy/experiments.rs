//! Erasures where experiments are, were, or have stopped by themselves.

use personalization::proto::ErasureStage;
use personalization::proto::ExperimentState;
use personalization::proto::ExperimentTester;
use personalization::proto::InteractionType;
use personalization::proto::VariantOverrides;

use super::erase::USER;
use super::erase::erase;
use super::erase::found_in;
use super::erase::lived;
use super::erase::reached;
use crate::experiments::backfill::measure_further;
use crate::experiments::backfill::measured;
use crate::experiments::lab::assign;
use crate::experiments::lab::create;
use crate::experiments::lab::experiment;
use crate::experiments::lab::get;
use crate::experiments::lab::run;
use crate::experiments::lab::start;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::now_plus;

#[tokio::test]
async fn a_tester_who_is_erased_is_taken_off_and_the_experiment_goes_on() {
    let server = Server::start().await;
    let api = server.api().await;
    lived(&api).await;
    let mut written = experiment("tested", VariantOverrides::default());
    let tester =
        |user: &str| ExperimentTester { user_id: user.to_owned(), variant: "treatment".to_owned() };
    written.testers = vec![tester(USER), tester("alan")];
    create(&api, written).await;
    let begun = erase(&api, USER).await.unwrap();
    reached(&api, &begun.erasure_id, ErasureStage::OutOfState).await;
    assert_eq!(get(&api, "tested").await.testers, [tester("alan")]);
    assert_eq!(found_in(server.data_dir(), &[USER]), [] as [String; 0]);
    start(&api, "tested").await;
    assert_eq!(get(&api, "tested").await.state(), ExperimentState::Running);
}

#[tokio::test]
async fn changes_of_experiments_hold_though_one_that_stopped_by_itself_stops_at_another_record() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let mut first = measured("first");
    first.ends_at = Some(now_plus(3));
    run(&api, first).await;
    for n in 0..20 {
        assign(&api, "first", &format!("exposed-{n}")).await;
    }
    measure_further(&api, "first").await;
    // Time goes on with records.
    let mut ticks = 0;
    let mut tick = async || {
        ticks += 1;
        let click = InteractionType::Click;
        let tick = event(&format!("tick-{ticks}"), "passer-by", "jazz-01", click);
        api.record(vec![tick]).await;
    };
    let stopped = async || {
        tick().await;
        (get(&api, "first").await.state() == ExperimentState::Stopped).then_some(())
    };
    eventually("the end of the first one", stopped).await;
    for key in ["second", "third"] {
        let mut later = experiment(key, VariantOverrides::default());
        later.layer = key.to_owned();
        run(&api, later).await;
    }
    let states = async |api: &Api| {
        let mut states = Vec::new();
        for key in ["first", "second", "third"] {
            states.push(get(api, key).await.state());
        }
        states
    };
    let before = states(&api).await;
    let begun = erase(&api, "exposed-7").await.unwrap();
    reached(&api, &begun.erasure_id, ErasureStage::OutOfState).await;
    let same = async || {
        tick().await;
        (states(&api).await == before).then_some(())
    };
    eventually("the same experiments in the same states", same).await;
}
