//! The fields of [`proto::NamespaceSettings`] by their names, such as `epsilon` and
//! `arms.alpha`: which are set, and the message without some of them.
//!
//! A field that is not listed here does not compile.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::proto;

/// A field is set when it holds something.
trait IsSet {
    fn is_set(&self) -> bool;
}

impl<T> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsSet for Vec<T> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

impl<K, V> IsSet for BTreeMap<K, V> {
    fn is_set(&self) -> bool {
        !self.is_empty()
    }
}

/// The fields of a message that are values themselves.
trait Fields {
    const NAMES: &'static [&'static str];

    fn set(&self) -> Vec<&'static str>;

    /// Clears the fields that are not to be kept.
    fn keep(&mut self, is_kept: impl Fn(&str) -> bool);
}

macro_rules! fields {
    ($message:ident: $($field:ident),+; messages: $($nested:ident),*) => {
        impl Fields for proto::$message {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            fn set(&self) -> Vec<&'static str> {
                let Self { $($field,)+ $($nested: _,)* } = self;
                let fields = [$((stringify!($field), $field.is_set())),+];
                fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
            }

            fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
                $(if !is_kept(stringify!($field)) {
                    self.$field = Default::default();
                })+
            }
        }
    };
}

fields!(NamespaceSettings:
    collaborative_factors, collaborative_regularization, unobserved_weight, search_trials,
    popularity_half_life, trend_half_life, profile_half_life, rating_threshold,
    strategy, epsilon, recommend_seen, users_max, unknown_items_max, tfidf_max_features,
    embedding_dimension, diversity_method, diversity_weight, topic_diversity_threshold,
    serendipity_weight, novelty_weight, max_per_topic, max_per_source, frequency_cap_per_day,
    seen_cooldown, seen_after_sessions, confidences, topic_freshness_half_lives, source_freshness_half_lives,
    freshness_half_life, new_item_share, new_item_impressions, new_item_age,
    exploration_bonus;
    messages: arms, ranker);
fields!(ArmSettings:
    strategy, alpha, beta, exploration, floor, half_life_selections;
    messages:);
fields!(RankerSettings:
    exploration_scale, square_cb_gamma, propensity_floor, half_life_decisions, examination_decay,
    exploration_allowance, credit_window, credit_megabytes;
    messages:);

const ARMS: &str = "arms";
const RANKER: &str = "ranker";

fn inner(message: &str, field: &str) -> String {
    format!("{message}.{field}")
}

/// The names that a path of an update mask stands for: `*` for all, `arms` for all of `arms`.
/// `None` for a path that names nothing.
pub fn names_of(path: &str) -> Option<Vec<String>> {
    let all = |message, fields: &[&str]| fields.iter().map(|it| inner(message, it)).collect();
    let own = proto::NamespaceSettings::NAMES;
    let (arms, ranker) = (proto::ArmSettings::NAMES, proto::RankerSettings::NAMES);
    match path.split_once('.') {
        None if path == ARMS => Some(all(ARMS, arms)),
        None if path == RANKER => Some(all(RANKER, ranker)),
        None if path == "*" => {
            let own = own.iter().map(|&name| name.to_owned());
            let arms: Vec<String> = all(ARMS, arms);
            let ranker: Vec<String> = all(RANKER, ranker);
            Some(own.chain(arms).chain(ranker).collect())
        }
        None => own.contains(&path).then(|| vec![path.to_owned()]),
        Some((ARMS, field)) => arms.contains(&field).then(|| vec![path.to_owned()]),
        Some((RANKER, field)) => ranker.contains(&field).then(|| vec![path.to_owned()]),
        Some(_) => None,
    }
}

/// The names of the fields that are set. UNSPECIFIED is as unset.
pub fn set_names(message: &proto::NamespaceSettings) -> BTreeSet<String> {
    let chosen = |code: Option<i32>| code.is_some_and(|code| code != 0);
    let (arms, ranker) = (message.arms.unwrap_or_default(), message.ranker.unwrap_or_default());
    let own = message.set().into_iter().filter(|name| match *name {
        "strategy" => chosen(message.strategy),
        "diversity_method" => chosen(message.diversity_method),
        _ => true,
    });
    let own: Vec<String> = own.map(str::to_owned).collect();
    let of_arms =
        arms.set().into_iter().filter(|name| *name != "strategy" || chosen(arms.strategy));
    let of_arms = of_arms.map(|name| inner(ARMS, name));
    own.into_iter()
        .chain(of_arms)
        .chain(ranker.set().into_iter().map(|name| inner(RANKER, name)))
        .collect()
}

/// The message with the fields of these names and no others.
pub fn only(
    message: &proto::NamespaceSettings,
    is_kept: impl Fn(&str) -> bool,
) -> proto::NamespaceSettings {
    let mut message = message.clone();
    message.keep(&is_kept);
    if let Some(arms) = &mut message.arms {
        arms.keep(|field| is_kept(&inner(ARMS, field)));
    }
    if let Some(ranker) = &mut message.ranker {
        ranker.keep(|field| is_kept(&inner(RANKER, field)));
    }
    message.arms = message.arms.filter(|arms| !arms.set().is_empty());
    message.ranker = message.ranker.filter(|ranker| !ranker.set().is_empty());
    message
}
