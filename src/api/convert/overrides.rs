//! What a variant of an experiment overrides: checked when it is written, applied to each call.
//!
//! It is applied to the checked call, so a variant cannot make a request of a caller invalid.

use std::sync::Arc;

use prost::Message;

use super::rules;
use super::scalars::merge;
use super::settings::diversity_method;
use super::settings::strategy;
use crate::proto;
use crate::service::CallDivision;
use crate::service::PersonalizeCall;
use engine::Assigned;
use engine::Choice;
use engine::ExperimentEntry;
use engine::Expression;
use engine::FEATURES;
use engine::FeatureMask;
use engine::NoVariant;
use engine::RankedBy;
use engine::Rival;
use engine::View;
use engine::domain::Assignment;
use engine::domain::Decision;
use engine::domain::Division;
use engine::domain::Settings;
use engine::domain::Split;
use engine::domain::Variant;
use engine::domain::Violation;
use engine::domain::Violations;

/// What a variant overrides; nothing where its bytes are none, which the edge never writes.
pub fn overrides(variant: &Variant) -> proto::VariantOverrides {
    proto::VariantOverrides::decode(&*variant.overrides).unwrap_or_default()
}

/// Names of the fields that a variant overrides.
pub fn overridden(variant: &Variant) -> Vec<&'static str> {
    let message = overrides(variant);
    let fields = [
        ("strategy or exploration", message.strategy != 0 || message.exploration.is_some()),
        ("diversity", message.diversity.is_some()),
        ("boosts", !message.boosts.is_empty()),
        ("expression", !message.expression.is_empty()),
        ("frequency_cap_per_day", message.frequency_cap_per_day.is_some()),
        ("without_features", !message.without_features.is_empty()),
        ("popular", message.popular),
    ];
    fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}

/// Whether the variant has a ranker of its own.
pub(super) fn has_own_ranker(message: &proto::VariantOverrides) -> bool {
    message.strategy != 0 || message.exploration.is_some()
}

/// # Errors
/// Every field that breaks the contract of the request's field of that name.
pub(super) fn check_overrides(
    message: &proto::VariantOverrides,
    settings: &Settings,
) -> Result<(), Vec<Violation>> {
    let mut violations = Violations::default();
    let (diversity, exploration) = (message.diversity, message.exploration);
    let choice = rules::choice(diversity, 0, message.strategy, exploration, settings);
    merge(&mut violations, choice);
    let filters =
        proto::Filters { expression: message.expression.clone(), ..proto::Filters::default() };
    let filter = rules::filter(Some(filters), settings);
    // Its only field has its own name here.
    let filter = filter.map_err(|wrong| {
        let renamed = |it: Violation| Violation::new("expression", it.reason);
        wrong.into_iter().map(renamed).collect()
    });
    let filter = merge(&mut violations, filter);
    let boosts = merge(&mut violations, rules::boosts(message.boosts.clone()));
    if let (Some(filter), Some(boosts)) = (filter, boosts) {
        merge(&mut violations, rules::check_cost(&filter, &boosts));
    }
    let cap = rules::frequency_cap(message.frequency_cap_per_day, settings);
    violations.take("frequency_cap_per_day", cap);
    for (number, name) in message.without_features.iter().enumerate() {
        if !FEATURES.iter().any(|feature| feature.name == name) {
            violations.add(format!("without_features[{number}]"), "must be the name of a feature");
        }
    }
    violations.finish(())
}

/// Applies the variants that a user has to a call; returns those that act on it. No list is in turns that
/// competes with an order of the caller.
pub fn assign(call: &mut PersonalizeCall, assigned: Vec<Assigned>) -> Vec<Assigned> {
    let competes = call.baseline.is_some();
    let acts = |one: &Assigned| !(one.is_in_turns() && competes);
    let acting: Vec<Assigned> = assigned.into_iter().filter(acts).collect();
    let whole = acting.iter().filter(|one| !one.is_in_turns());
    whole.for_each(|one| apply_variant(call, one, usize::from(one.variant)));
    call.division = acting.iter().find_map(|one| divide(call, one)).map(Box::new);
    if let Some(one) = acting.iter().find(|one| one.is_in_turns()) {
        apply_variant(call, one, 0);
    }
    call.ranked_by.own_ranker = acting.iter().find_map(Assigned::own_ranker);
    let own_ranker = call.ranked_by.own_ranker;
    call.assignments = acting.iter().map(|one| one.recorded(own_ranker)).collect();
    acting
}

/// How a variant that a call does not have yet divides its list.
fn divide(call: &PersonalizeCall, one: &Assigned) -> Option<CallDivision> {
    let experiment = one.entry.number;
    if !one.is_in_turns() {
        let (variant, chances) = (one.variant, one.chances.clone()?);
        return Some(CallDivision::Drawn { experiment, variant, chances });
    }
    let mut treated = call.clone();
    apply_variant(&mut treated, one, 1);
    let PersonalizeCall { choice, boosts, ranked_by, .. } = treated;
    Some(CallDivision::InTurns { experiment, rival: Rival { choice, boosts, ranked_by } })
}

fn apply_variant(call: &mut PersonalizeCall, one: &Assigned, variant: usize) {
    call.ranked_by.popular |= one.is_held_back();
    let variant = &one.entry.experiment.variants[variant];
    if !variant.overrides.is_empty() {
        apply(call, overrides(variant));
    }
}

/// What is proposed to act on calls in addition to the variants of their users.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    pub overrides: proto::VariantOverrides,
    /// The variant that it is, in an experiment.
    pub variant: Option<(Arc<ExperimentEntry>, u8)>,
}

impl Proposal {
    /// A variant of an experiment; `None` when it has none of this name.
    pub fn of(entry: &Arc<ExperimentEntry>, variant: &str) -> Option<Self> {
        let at = entry.experiment.variant(variant)?;
        let overrides = overrides(&entry.experiment.variants[at]);
        Some(Self { overrides, variant: Some((entry.clone(), u8::try_from(at).ok()?)) })
    }

    /// Applies it to a call, after the variants of the user. A ranker of its own that does not exist yet
    /// begins as the shared one.
    pub fn apply(&self, call: &mut PersonalizeCall) {
        let assigned = self.variant.as_ref().map(|(entry, variant)| {
            let (entry, variant) = (entry.clone(), *variant);
            Assigned { entry, variant, is_tester: false, chances: None }
        });
        let assigned = assigned.as_ref();
        call.ranked_by.popular |= assigned.is_some_and(Assigned::is_held_back);
        if has_own_ranker(&self.overrides) {
            call.ranked_by.own_ranker = assigned.and_then(Assigned::own_ranker);
        }
        apply(call, self.overrides.clone());
    }
}

/// Applies the variants that a recorded decision had to its call.
pub fn assign_again(call: &mut PersonalizeCall, decision: &Decision, view: &View) {
    let division = decision.division.as_deref();
    let again = |assignment: &Assignment| {
        let entry = view.experiments().numbered(assignment.experiment)?.clone();
        let Assignment { variant, is_tester, .. } = *assignment;
        let is_drawn = matches!(division, Some(Division::Drawn { experiment, .. }) if *experiment == entry.number);
        let chances = entry.chances().filter(|_| is_drawn);
        let chances = chances.map(|chances| chances.iter().map(|it| *it as f32).collect());
        let is_known = usize::from(variant) < entry.experiment.variants.len();
        is_known.then_some(Assigned { entry, variant, is_tester, chances })
    };
    let assigned: Vec<Assigned> = decision.assignments.iter().filter_map(again).collect();
    assign(call, assigned);
}

fn apply(call: &mut PersonalizeCall, message: proto::VariantOverrides) {
    let left_out: Vec<&str> = message.without_features.iter().map(String::as_str).collect();
    let RankedBy { popular, mask, .. } = &mut call.ranked_by;
    *popular |= message.popular;
    *mask = mask.and(FeatureMask::without(&left_out));
    if let Some(diversity) = message.diversity {
        apply_diversity(&mut call.choice, &diversity);
    }
    let choice = &mut call.choice;
    if let Ok(Some(strategy)) = strategy(message.strategy) {
        choice.strategy = strategy;
    }
    if let Some(exploration) = message.exploration {
        let set = |value: Option<f64>, into: &mut f64| *into = value.unwrap_or(*into);
        set(exploration.epsilon, &mut choice.epsilon);
        set(exploration.exploration_scale, &mut choice.exploring.scale);
        set(exploration.square_cb_gamma, &mut choice.exploring.gamma);
        set(exploration.propensity_floor, &mut choice.exploring.floor);
    }
    if let Ok(boosts) = rules::boosts(message.boosts) {
        call.boosts.extend(boosts);
    }
    if let Ok(added) = engine::parse_expression(&message.expression) {
        let own = call.filter.expression.take();
        let all = own.into_iter().chain([added]).collect::<Vec<Expression>>();
        call.filter.expression =
            if all.len() == 1 { all.into_iter().next() } else { Some(Expression::All(all)) };
    }
    if let Some(cap) = message.frequency_cap_per_day {
        call.filter.frequency_cap_per_day = cap;
    }
}

fn apply_diversity(choice: &mut Choice, message: &proto::DiversityParams) {
    let set = |value: Option<f64>, into: &mut f64| *into = value.unwrap_or(*into);
    set(message.diversity_weight, &mut choice.diversity_weight);
    set(message.serendipity_weight, &mut choice.serendipity_weight);
    set(message.novelty_weight, &mut choice.novelty_weight);
    set(message.topic_diversity_threshold, &mut choice.topic_threshold);
    set(message.source_diversity_threshold, &mut choice.source_threshold);
    if message.enable_diversity == Some(false) {
        choice.diversity_weight = 0.0;
        (choice.serendipity_weight, choice.novelty_weight) = (0.0, 0.0);
        (choice.topic_threshold, choice.source_threshold) = (0.0, 0.0);
    }
    if let Ok(Some(method)) = diversity_method(message.method) {
        choice.method = method;
    }
    choice.max_per_topic = message.max_per_topic.unwrap_or(choice.max_per_topic);
    choice.max_per_source = message.max_per_source.unwrap_or(choice.max_per_source);
}

/// The settings of a namespace that do what a variant overrides.
///
/// # Errors
/// Each override that is no setting.
pub fn settings_of(
    message: &proto::VariantOverrides,
) -> Result<proto::NamespaceSettings, Vec<Violation>> {
    let mut violations = Violations::default();
    let diversity = message.diversity.unwrap_or_default();
    let exploration = message.exploration.unwrap_or_default();
    for (field, is_set) in [
        ("boosts", !message.boosts.is_empty()),
        ("expression", !message.expression.is_empty()),
        ("without_features", !message.without_features.is_empty()),
        ("popular", message.popular),
        ("diversity.enable_diversity", diversity.enable_diversity.is_some()),
        ("diversity.source_diversity_threshold", diversity.source_diversity_threshold.is_some()),
    ] {
        if is_set {
            let reason =
                "is no setting of a namespace: send it with requests, then stop the experiment";
            violations.add(format!("variant.overrides.{field}"), reason);
        }
    }
    let ranker = proto::RankerSettings {
        exploration_scale: exploration.exploration_scale,
        square_cb_gamma: exploration.square_cb_gamma,
        propensity_floor: exploration.propensity_floor,
        ..proto::RankerSettings::default()
    };
    let method = Some(diversity.method).filter(|method| *method != 0);
    violations.finish(proto::NamespaceSettings {
        strategy: Some(message.strategy).filter(|strategy| *strategy != 0),
        epsilon: exploration.epsilon,
        ranker: Some(ranker).filter(|ranker| *ranker != proto::RankerSettings::default()),
        topic_diversity_threshold: diversity.topic_diversity_threshold,
        diversity_weight: diversity.diversity_weight,
        diversity_method: method,
        serendipity_weight: diversity.serendipity_weight,
        novelty_weight: diversity.novelty_weight,
        max_per_topic: diversity.max_per_topic,
        max_per_source: diversity.max_per_source,
        frequency_cap_per_day: message.frequency_cap_per_day,
        ..proto::NamespaceSettings::default()
    })
}

/// A variant that a user was exposed to.
pub fn exposure_message(
    (entry, variant): (Arc<ExperimentEntry>, u8),
) -> proto::ExperimentAssignment {
    assignment_message(&Assigned { entry, variant, is_tester: false, chances: None })
}

/// The variant of a user in messages.
pub fn assignment_message(assigned: &Assigned) -> proto::ExperimentAssignment {
    let experiment = &assigned.entry.experiment;
    let variant = &experiment.variants[usize::from(assigned.variant)];
    let interleaved = experiment.split == Split::Interleaved && !assigned.is_tester;
    let is_plain = variant.overrides.is_empty() || interleaved;
    proto::ExperimentAssignment {
        experiment: experiment.key.to_string(),
        variant: if interleaved { String::new() } else { variant.name.to_string() },
        parameters: if is_plain { None } else { overrides(variant).parameters },
        tester: assigned.is_tester,
        interleaved,
    }
}

/// Why a user has no variant, in messages.
pub fn no_variant_message(why: NoVariant) -> proto::NoAssignmentReason {
    match why {
        NoVariant::NotRunning => proto::NoAssignmentReason::NotRunning,
        NoVariant::DividesLists => proto::NoAssignmentReason::DividesLists,
        NoVariant::NotProfiled => proto::NoAssignmentReason::NonProfiled,
        NoVariant::NotEligible => proto::NoAssignmentReason::NotEligible,
        NoVariant::HeldBack => proto::NoAssignmentReason::HeldBack,
        NoVariant::InOtherExperiment => proto::NoAssignmentReason::InOtherExperiment,
        NoVariant::NotAllocated => proto::NoAssignmentReason::NotAllocated,
        NoVariant::NoMemory => proto::NoAssignmentReason::NoMemory,
    }
}
