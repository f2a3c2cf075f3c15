//! Metrics that are added to a running experiment: computed by the leader, once.

use super::*;
use crate::service::clock::Clock;
use engine::ExperimentEntry;
use engine::domain::Assignment;
use engine::domain::BUCKETS;
use engine::domain::Cap;
use engine::domain::Experiment;
use engine::domain::ExperimentChange;
use engine::domain::ExperimentState;
use engine::domain::Exposure;
use engine::domain::Good;
use engine::domain::Key;
use engine::domain::Measure;
use engine::domain::Metric;
use engine::domain::MetricKind;
use engine::domain::MetricTest;
use engine::domain::Plan;
use engine::domain::Role;
use engine::domain::Split;
use engine::domain::Variant;

const NAME: &str = "clicks";
const USERS: i64 = 60;

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// Clicks in so many seconds after the exposure.
fn clicks_in(name: &str, seconds: u32, role: Role) -> Metric {
    let types = Measure::types([InteractionType::Click]);
    Metric {
        name: key(name),
        kind: MetricKind::Mean,
        measure: Measure::Events { types, after_list: false },
        window: (0, seconds),
        good: Good::Higher,
        role,
        cap: Cap::None,
        test: MetricTest::Sequential,
        expected_rate: 0.5,
    }
}

fn experiment() -> Experiment {
    let (overrides, own_ranker) = (Vec::new(), false);
    let control = Variant { name: key("control"), weight: 0.5, overrides, own_ranker };
    let treatment = Variant { name: key("treatment"), ..control.clone() };
    Experiment {
        key: key(NAME),
        state: ExperimentState::Running,
        hypothesis: "".into(),
        layer: key("default"),
        salt: key(NAME),
        split: Split::Users,
        allocation: BUCKETS,
        buckets: vec![(0, BUCKETS)],
        variants: vec![control, treatment],
        eligibility: "".into(),
        metrics: vec![clicks_in("from-the-start", 2, Role::Primary)],
        plan: Plan::default(),
        late_events_seconds: 1,
        starts_at: None,
        ends_at: None,
        testers: Vec::new(),
        holdback: false,
        shipped: None,
    }
}

fn changed(experiment: Experiment, replaces: u64) -> Record {
    let (by, what) = ("ada".into(), "changed".into());
    Record::ExperimentChanged(Box::new(ExperimentChange { experiment, replaces, by, what }))
}

/// A user is exposed, and clicks now and then.
fn visit(number: i64) -> Vec<Record> {
    let now = SystemClock.now();
    let variant = (number % 2) as u8;
    let assignment = Assignment { experiment: 0, variant, is_tester: false, own_ranker: false };
    let user_id = UserId::parse(format!("user-{number}")).unwrap();
    let exposure = Exposure {
        user_id: user_id.clone(),
        exposed_at: now,
        segment: 0,
        assignments: vec![assignment],
    };
    let clicks = clicks("c", number * 10..number * 10 + number % 3).into_iter();
    let of_user = |record| match record {
        Record::Interaction(click) => {
            Record::Interaction(Interaction { user_id: user_id.clone(), occurred_at: now, ..click })
        }
        other => other,
    };
    std::iter::once(Record::UserExposed(exposure)).chain(clicks.map(of_user)).collect()
}

fn entry(namespace: &Namespace) -> Arc<ExperimentEntry> {
    namespace.view().experiments().find(NAME).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_next_computes_what_the_leader_before_gave_up() {
    let world = Arc::new(World::default());
    let a = process(&world, 1, options());
    let shop = create(&a, "shop").await;
    let namespace = open(&a, &shop).await;
    eventually("the lead", async || (counter(&a, "namespaces_led") == 1).then_some(())).await;
    let started = a.service.write(&namespace, vec![changed(experiment(), 0)]).await.unwrap();
    for number in 0..USERS {
        a.service.write(&namespace, visit(number)).await.unwrap();
    }
    let b = process(&world, 2, options());
    open(&b, &shop).await;
    // Longer than all that follows.
    world.slow_reads(200);
    let mut further = experiment();
    further.metrics.push(clicks_in("added", 3, Role::Secondary));
    let change = changed(further, started.log_end);
    let end = a.service.write(&namespace, vec![change]).await.unwrap().log_end;
    let view = namespace.view_at(end, Duration::from_secs(20)).await.unwrap();
    assert!(view.experiments().with_backfill().is_some());
    tokio::time::sleep(Duration::from_millis(500)).await;
    a.stop().await;
    let is_backfill =
        |record: &engine::domain::LogRecord| matches!(record.record, Record::Backfilled(_));
    assert!(!world.records(&shop).iter().any(is_backfill), "it was given up");
    world.slow_reads(0);
    let there = open(&b, &shop).await;
    eventually("what was added", async || entry(&there).backfills().is_empty().then_some(())).await;
    eventually("the count", async || {
        (counter(&b, "experiment_backfills_total") == 1).then_some(())
    })
    .await;
    // What was before is the same for both metrics.
    assert_eq!(world.records(&shop).iter().filter(|one| is_backfill(one)).count(), 1);
    let found = eventually("complete windows", async || {
        b.service.write(&there, clicks("later", 0..1)).await.unwrap();
        let metrics = entry(&there).results().metrics;
        let units = |metric: usize| -> u64 { metrics[metric].arms.iter().map(|it| it.units).sum() };
        (units(0) == USERS as u64 && units(1) == USERS as u64).then_some(metrics)
    })
    .await;
    assert_eq!(found[1].arms, found[0].arms);
    assert!(found[1].arms.iter().all(|arm| arm.nonzero > 10), "{found:?}");
    agrees(&b, &world, &shop).await;
    b.stop().await;
}
