//! What is refused, with the field that is wrong.

use personalization::proto::Boost;
use personalization::proto::DiversityParams;
use personalization::proto::Experiment;
use personalization::proto::ExperimentAction;
use personalization::proto::ExperimentMetric;
use personalization::proto::ExperimentPlan;
use personalization::proto::ExperimentTester;
use personalization::proto::InteractionType;
use personalization::proto::MetricKind;
use personalization::proto::MetricRole;
use personalization::proto::MetricTest;
use personalization::proto::TimeSlices;
use personalization::proto::VariantOverrides;
use personalization::proto::experiment::Split;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use super::lab::act;
use super::lab::create;
use super::lab::edit;
use super::lab::experiment;
use super::lab::rate_of;
use super::lab::run;
use super::lab::seconds;
use super::lab::start;
use super::lab::try_create;
use super::lab::try_update;
use super::lab::variant;
use crate::harness::Server;
use crate::harness::now_plus;

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().expect("fields");
    details.field_violations.iter().map(|violation| violation.field.clone()).collect()
}

type Change = fn(&mut Experiment);

/// What is made wrong, and the field that is told.
#[rustfmt::skip]
const WRONG: [(Change, &str); 28] = [
    (|it| it.key = "Upper".into(), "experiment.key"),
    (|it| it.key.clear(), "experiment.key"),
    (|it| it.layer = "a b".into(), "experiment.layer"),
    (|it| it.salt = "a:b".into(), "experiment.salt"),
    (|it| it.hypothesis = "x".repeat(2_001), "experiment.hypothesis"),
    (|it| it.allocation = 1.01, "experiment.allocation"),
    (|it| it.allocation = -0.5, "experiment.allocation"),
    (|it| it.allocation = f64::NAN, "experiment.allocation"),
    (|it| it.variants.truncate(1), "experiment.variants"),
    (|it| it.variants[1].name = "control".into(), "experiment.variants"),
    (|it| it.variants[1].weight = 0.4, "experiment.variants"),
    (|it| it.variants[0].weight = f64::NAN, "experiment.variants[0].weight"),
    (|it| (it.variants[0].weight, it.variants[1].weight) = (1e-300, 0.999_999_5), "experiment.variants[0].weight"),
    (|it| it.eligibility = "plan ==".into(), "experiment.eligibility"),
    (|it| it.eligibility = "\"jazz\" in topics".into(), "experiment.eligibility"),
    (|it| it.metrics.clear(), "experiment.metrics"),
    (|it| it.metrics[0].window = seconds(91 * 86_400), "experiment.metrics[0].window"),
    (|it| it.metrics[0].window_begins = seconds(3), "experiment.metrics[0].window"),
    (|it| it.metrics[0].measure = None, "experiment.metrics[0].measure.events"),
    (|it| it.metrics[0].cap = Some(5.0), "experiment.metrics[0].cap"),
    (|it| it.metrics[0].kind = MetricKind::Ratio.into(), "experiment.metrics[0].per.events"),
    (|it| it.metrics[0].kind = 99, "experiment.metrics[0].kind"),
    (|it| it.metrics[0].margin = 0.1, "experiment.metrics[0].role"),
    (|it| it.metrics.push(it.metrics[0].clone()), "experiment.metrics"),
    (
        |it| it.plan = Some(ExperimentPlan { alpha: 0.5, ..Default::default() }),
        "experiment.plan.alpha",
    ),
    (|it| it.late_events = seconds(8 * 86_400), "experiment.late_events"),
    (
        |it| {
            let slices = TimeSlices { slice: seconds(60), washout: seconds(60) };
            it.split = Some(Split::TimeSlices(slices));
        },
        "experiment.time_slices.washout",
    ),
    (
        |it| {
            it.testers = vec![ExperimentTester { user_id: "a".into(), variant: "b".into() }];
        },
        "experiment.testers[0].variant",
    ),
];

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_field() {
    let server = Server::start().await;
    let api = server.api().await;
    for (number, (change, field)) in WRONG.into_iter().enumerate() {
        let mut written = experiment("wrong", VariantOverrides::default());
        change(&mut written);
        let refused = try_create(&api, written).await.unwrap_err();
        let fields = fields(&refused);
        assert!(fields.contains(&field.to_owned()), "{number}: {fields:?}, not {field}");
    }
    let more = [
        ExperimentMetric {
            role: MetricRole::Primary.into(),
            ..rate_of("b", InteractionType::Like)
        },
        ExperimentMetric {
            kind: MetricKind::Mean.into(),
            test: MetricTest::Conversions.into(),
            ..rate_of("b", InteractionType::Like)
        },
    ];
    for metric in more {
        let mut written = experiment("wrong", VariantOverrides::default());
        written.metrics[0].role = MetricRole::Primary.into();
        written.metrics.push(metric);
        assert!(try_create(&api, written).await.is_err());
    }
    assert_eq!(
        api.experiments
            .clone()
            .list_experiments(personalization::proto::ListExperimentsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .experiments
            .len(),
        0
    );
}

#[tokio::test]
async fn overrides_are_checked_as_the_fields_of_a_request_are() {
    let server = Server::start().await;
    let api = server.api().await;
    let diversity = DiversityParams { diversity_weight: Some(2.0), ..Default::default() };
    let exploration =
        personalization::proto::ExplorationParams { epsilon: Some(-1.0), ..Default::default() };
    for (overrides, field) in [
        (VariantOverrides { strategy: 77, ..Default::default() }, "strategy"),
        (
            VariantOverrides { diversity: Some(diversity), ..Default::default() },
            "diversity.diversity_weight",
        ),
        (
            VariantOverrides { exploration: Some(exploration), ..Default::default() },
            "exploration.epsilon",
        ),
        (
            VariantOverrides { boosts: vec![Boost::default()], ..Default::default() },
            "boosts[0].target",
        ),
        (VariantOverrides { expression: "price <".into(), ..Default::default() }, "expression"),
        (
            VariantOverrides { frequency_cap_per_day: Some(5_000), ..Default::default() },
            "frequency_cap_per_day",
        ),
        (
            VariantOverrides { without_features: vec!["luck".into()], ..Default::default() },
            "without_features[0]",
        ),
    ] {
        let refused = try_create(&api, experiment("wrong", overrides)).await.unwrap_err();
        let expected = format!("experiment.variants[1].overrides.{field}");
        assert!(fields(&refused).contains(&expected), "{refused} names not {expected}");
    }
}

#[tokio::test]
async fn once_it_runs_what_decides_who_gets_what_is_fixed() {
    let server = Server::start().await;
    let api = server.api().await;
    run(&api, experiment("fixed", VariantOverrides::default())).await;
    let mut other = experiment("fixed", VariantOverrides::default());
    other.layer = "other".into();
    other.salt = "other".into();
    other.eligibility = "id == \"ada\"".into();
    (other.variants[0].weight, other.variants[1].weight) = (0.9, 0.1);
    other.metrics = vec![rate_of("likes", InteractionType::Like)];
    for path in ["layer", "salt", "eligibility", "variants", "metrics"] {
        let refused = try_update(&api, edit(other.clone(), &[path])).await.unwrap_err();
        assert_eq!(fields(&refused), [format!("experiment.{path}")]);
    }
    let unknown = try_update(&api, edit(other.clone(), &["state"])).await.unwrap_err();
    assert_eq!(fields(&unknown), ["update_mask.paths[0]"]);
    let mut more = experiment("fixed", VariantOverrides::default());
    more.metrics.push(rate_of("likes", InteractionType::Like));
    more.hypothesis = "clicks and likes".into();
    let changed = try_update(&api, edit(more, &["metrics", "hypothesis"])).await.unwrap();
    assert_eq!(changed.experiment.unwrap().metrics.len(), 2);
}

#[tokio::test]
async fn experiments_that_do_not_fit_next_to_what_runs_do_not_start() {
    let server = Server::start().await;
    let api = server.api().await;
    let popular = || VariantOverrides { popular: true, ..VariantOverrides::default() };
    let with = |key: &str, layer: &str, share: f64| {
        let mut written = experiment(key, popular());
        (written.layer, written.allocation) = (layer.into(), share);
        written
    };
    run(&api, with("first", "one", 0.7)).await;
    create(&api, with("too-large", "one", 0.4)).await;
    let refused = try_update(&api, act("too-large", ExperimentAction::Start)).await.unwrap_err();
    assert_eq!(fields(&refused), ["experiment.allocation"]);
    assert!(refused.message().contains("must be at most 0.3"), "{refused}");
    create(&api, with("elsewhere", "two", 0.1)).await;
    let refused = try_update(&api, act("elsewhere", ExperimentAction::Start)).await.unwrap_err();
    assert_eq!(fields(&refused), ["experiment.variants"]);
    assert!(refused.message().contains("popular as first in layer one does"), "{refused}");
    let mut ended = with("ended", "one", 0.1);
    ended.ends_at = Some(now_plus(-5));
    create(&api, ended).await;
    let refused = try_update(&api, act("ended", ExperimentAction::Start)).await.unwrap_err();
    assert_eq!(fields(&refused), ["experiment.ends_at"]);
    create(&api, with("fits", "one", 0.3)).await;
    start(&api, "fits").await;
    let mut held = experiment("held", VariantOverrides::default());
    held.holdback = true;
    held.variants[0] = variant("popular", Some(popular()));
    assert!(fields(&try_create(&api, held).await.unwrap_err())[0].ends_with("overrides"));
}
