//! Metrics that are added to a running experiment are computed from the log.

use personalization::proto::EventMeasure;
use personalization::proto::Experiment;
use personalization::proto::ExperimentMeasure;
use personalization::proto::ExperimentMetric;
use personalization::proto::ExperimentResults;
use personalization::proto::InteractionType;
use personalization::proto::ListMeasure;
use personalization::proto::MetricKind;
use personalization::proto::MetricResult;
use personalization::proto::MetricTest;
use personalization::proto::PersonalizeRequest;
use personalization::proto::VariantOverrides;
use personalization::proto::experiment_measure::Measure;

use super::lab::create;
use super::lab::edit;
use super::lab::experiment;
use super::lab::get;
use super::lab::rate_of;
use super::lab::results;
use super::lab::run;
use super::lab::seconds;
use super::lab::try_update;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::now_plus;

/// Windows, all of which hold all that users do.
const WINDOW: i64 = 3;
const OTHER_WINDOW: i64 = 4;

fn of_lists(measure: ListMeasure) -> Option<ExperimentMeasure> {
    Some(ExperimentMeasure { measure: Some(Measure::Lists(measure.into())) })
}

/// A rate, a mean with what was before, and a ratio of lists, in a window of so many seconds.
fn metrics(prefix: &str, window: i64) -> Vec<ExperimentMetric> {
    let named = |name: &str, metric: ExperimentMetric| ExperimentMetric {
        name: format!("{prefix}-{name}"),
        window: seconds(window),
        test: MetricTest::Sequential.into(),
        ..metric
    };
    let spent = EventMeasure {
        types: vec![InteractionType::Purchase.into()],
        values: true,
        after_list: false,
    };
    let spent = ExperimentMetric {
        kind: MetricKind::Mean.into(),
        measure: Some(ExperimentMeasure { measure: Some(Measure::Events(spent)) }),
        uncapped: true,
        ..ExperimentMetric::default()
    };
    let topics = ExperimentMetric {
        kind: MetricKind::Ratio.into(),
        measure: of_lists(ListMeasure::Topics),
        per: of_lists(ListMeasure::Lists),
        ..ExperimentMetric::default()
    };
    vec![
        named("clicks", rate_of("", InteractionType::Click)),
        named("spent", spent),
        named("topics", topics),
    ]
}

/// It has metrics from the start, and more may come.
pub fn measured(key: &str) -> Experiment {
    let mut written = experiment(key, VariantOverrides::default());
    written.metrics = metrics("first", WINDOW);
    // Who is slow to record is waited for.
    written.late_events = seconds(2);
    written
}

/// The same metrics once more, in columns of their own.
pub async fn measure_further(api: &Api, key: &str) {
    let mut further = get(api, key).await;
    further.metrics.extend(metrics("added", OTHER_WINDOW));
    try_update(api, edit(further, &["metrics"])).await.expect("metrics are added");
}

/// Users who bought before look at lists, click and buy.
pub async fn visits(api: &Api, prefix: &str, users: std::ops::Range<usize>) {
    let purchase = |id: String, user: &str, value: usize| {
        let mut bought = event(&id, user, "jazz-03", InteractionType::Purchase);
        bought.value = Some(value as f64);
        bought
    };
    let user = |number: usize| format!("{prefix}-{number}");
    let earlier = users.clone().step_by(2);
    let earlier = earlier.map(|number| {
        let user = user(number);
        let mut bought = purchase(format!("before/{user}"), &user, number % 9 + 1);
        bought.occurred_at = Some(now_plus(-3_600));
        bought
    });
    let known = api.record(earlier.collect()).await.last_sequence;
    let mut events = Vec::new();
    for number in users.clone() {
        let user = user(number);
        let request = PersonalizeRequest { min_watermark: known, ..greedy(&user, 3) };
        let shown = api.personalize(request).await;
        if number % 3 > 0 {
            let item = &shown.recommendations[0].item_id;
            events.push(event(&format!("click/{user}"), &user, item, InteractionType::Click));
        }
        if number % 4 > 0 {
            events.push(purchase(format!("buy/{user}"), &user, number % 20 + 1));
        }
        // Within their windows.
        if number % 10 == 9 || number + 1 == users.end {
            api.record(std::mem::take(&mut events)).await;
        }
    }
}

/// Results once nothing is lacking and all users are complete for all metrics.
pub async fn complete(api: &Api, key: &str, users: u64) -> ExperimentResults {
    let mut number = 0;
    eventually("metrics that lack nothing", async || {
        number += 1;
        let id = format!("later-{key}-{number}");
        let later = event(&id, "nobody", "jazz-01", InteractionType::Impression);
        let at = api.record(vec![later]).await.last_sequence;
        let found = results(api, key, at).await;
        let units = |it: &MetricResult| it.variants.iter().map(|arm| arm.users).sum::<u64>();
        let is_whole = |it: &MetricResult| it.backfilled.is_none() && units(it) >= users;
        found.metrics.iter().all(is_whole).then_some(found)
    })
    .await
}

/// What was added has the figures of what was there.
pub fn check(found: &ExperimentResults) {
    let (first, added) = found.metrics.split_at(found.metrics.len() / 2);
    for (first, added) in first.iter().zip(added) {
        assert_eq!(added.variants, first.variants, "{} and {}", added.name, first.name);
        assert!(first.variants.iter().all(|arm| arm.nonzero > 10), "{first:?}");
    }
}

#[tokio::test]
async fn a_metric_that_is_added_has_the_figures_of_an_equal_one_from_the_start_also_after_a_restart()
 {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    run(&api, measured("lab")).await;
    visits(&api, "early", 0..80).await;
    measure_further(&api, "lab").await;
    visits(&api, "late", 0..40).await;
    let found = complete(&api, "lab", 120).await;
    check(&found);
    server.stop_gracefully().await;
    server.restart().await;
    let api = server.api().await;
    let again = results(&api, "lab", found.watermark).await;
    assert_eq!((&again.metrics, &again.verdict), (&found.metrics, &found.verdict));
}

#[tokio::test]
async fn metrics_of_a_draft_lack_nothing() {
    let server = Server::start().await;
    let api = server.api().await;
    create(&api, measured("draft")).await;
    measure_further(&api, "draft").await;
    let metrics = get(&api, "draft").await.metrics;
    assert_eq!((metrics.len(), metrics[5].name.as_str()), (6, "added-topics"));
    assert!(results(&api, "draft", 0).await.metrics.is_empty());
}
