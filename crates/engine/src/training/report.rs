//! What a training tried, chose and refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::Serializer;

use crate::models::published::Configuration;
use crate::training::progress::TrainingError;

/// The name of the hybrid that serves at the time of a training.
pub const SERVING: &str = "serving weights";

/// A configuration that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// With the epochs after which it was best.
    pub configuration: Configuration,
    /// NDCG@20 on what was held out, 0 to 1; `None` for a trial that died.
    pub ndcg: Option<f64>,
}

/// The new and the serving model on what came since the serving one was trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judgement {
    /// Users whose newest positives were ranked.
    pub users: usize,
    /// NDCG@20 of the new model, 0 to 1.
    pub candidate: f64,
    /// The same of the serving one.
    pub serving: f64,
    /// Whether the new one is worse beyond chance, and so refused.
    pub is_refused: bool,
}

/// How the hybrid was fitted on what was held out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HybridReport {
    /// Positives that were ranked.
    pub choices: usize,
    /// Each way to score with its NDCG@20 by cross-validation, the best first.
    pub tried: Vec<(String, f64)>,
    /// The one that serves.
    pub chosen: String,
    /// Its weights that are not 0, the largest first: on the scale of the fit, on which the values of a feature
    /// that are not 0 have a root mean square of 1, or less.
    pub weights: Vec<(&'static str, f64)>,
}

impl HybridReport {
    fn ndcg_of(&self, name: &str) -> Option<f64> {
        self.tried.iter().find(|tried| tried.0 == name).map(|tried| tried.1)
    }
}

/// How a training went. The same data give the same report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrainingReport {
    /// Positives that had been learnt.
    pub positives: u64,
    /// Items trained on.
    pub items: usize,
    /// Users whose newest positives were held out.
    pub held_out_users: usize,
    /// Whether configurations were searched; else only that which serves, or is asked for.
    pub searched: bool,
    /// In the order of their trials. Empty where too little was there to hold out.
    pub tried: Vec<Tried>,
    /// What was trained on everything.
    pub chosen: Option<Configuration>,
    /// L2 weights of the item-item weights that were tried, with their NDCG@20 on what was held out.
    pub item_item: Vec<(f64, f64)>,
    /// The one that was taken.
    pub item_item_l2: f64,
    /// `None` where there was nothing to judge by.
    pub judgement: Option<Judgement>,
    /// How the hybrid was fitted; `None` where it was not.
    pub hybrid: Option<HybridReport>,
    /// Version of the model that came out, or why none did.
    #[serde(serialize_with = "told")]
    pub outcome: Outcome,
}

impl TrainingReport {
    /// The figure of the trial of a configuration; the first one counts.
    pub fn ndcg_of(&self, configuration: &Configuration) -> Option<f64> {
        let tried = self.tried.iter().find(|tried| tried.configuration == *configuration);
        tried.and_then(|tried| tried.ndcg)
    }

    /// What serves, in a sentence; `None` where nothing was trained.
    pub fn chosen_in_words(&self) -> Option<String> {
        let configuration = Words(self.chosen.as_ref()?);
        let mut words = format!("{configuration}; item-item L2 weight {}", self.item_item_l2);
        if let Some(HybridReport { chosen, weights, .. }) = &self.hybrid {
            words += &format!("; hybrid of {chosen}, its largest weights {}", Weights(weights));
        }
        Some(words)
    }

    /// The same as figures by name.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        let dead = self.tried.iter().filter(|tried| tried.ndcg.is_none()).count();
        let mut figures = vec![
            ("validation_users", self.held_out_users as f64),
            ("searched", f64::from(u8::from(self.searched))),
            ("trials", self.tried.len() as f64),
            ("trials_that_died", dead as f64),
        ];
        let chosen = self.chosen.as_ref().and_then(|chosen| self.ndcg_of(chosen));
        figures.extend(chosen.map(|ndcg| ("validation_ndcg_at_20", ndcg)));
        // Of a search, the first trial is that of the settings.
        let default = self.tried.first().filter(|_| self.searched).and_then(|tried| tried.ndcg);
        figures.extend(default.map(|ndcg| ("default_validation_ndcg_at_20", ndcg)));
        if let Some(Judgement { users, candidate, serving, .. }) = self.judgement {
            figures.push(("gate_users", users as f64));
            figures.push(("gate_ndcg_at_20", candidate));
            figures.push(("gate_serving_ndcg_at_20", serving));
        }
        if let Some(hybrid) = &self.hybrid {
            figures.push(("hybrid_choices", hybrid.choices as f64));
            figures.extend(hybrid.ndcg_of(&hybrid.chosen).map(|ndcg| ("hybrid_ndcg_at_20", ndcg)));
            figures.extend(hybrid.ndcg_of(SERVING).map(|ndcg| ("hybrid_serving_ndcg_at_20", ndcg)));
        }
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl fmt::Display for TrainingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { positives, items, held_out_users, searched, tried, .. } = self;
        writeln!(f, "training on {positives} positives, {items} items")?;
        if tried.is_empty() {
            writeln!(f, "  nothing tried: too little to hold out")?;
        } else {
            let how = if *searched { "searched" } else { "not searched" };
            writeln!(f, "  {how}; NDCG@20 of the newest positives of {held_out_users} users:")?;
        }
        for one in tried {
            let figure = one.ndcg.map_or_else(|| "died".to_owned(), |ndcg| format!("{ndcg:.4}"));
            let is_chosen = self.chosen == Some(one.configuration);
            let mark = if is_chosen { "  <- chosen" } else { "" };
            writeln!(f, "    {figure}  {}{mark}", Words(&one.configuration))?;
        }
        if !self.item_item.is_empty() {
            writeln!(f, "  NDCG@20 of item-item weights by their L2 weight:")?;
        }
        for (l2, ndcg) in &self.item_item {
            let mark = if *l2 == self.item_item_l2 { "  <- chosen" } else { "" };
            writeln!(f, "    {ndcg:.4}  {l2}{mark}")?;
        }
        if let Some(Judgement { users, candidate, serving, .. }) = self.judgement {
            writeln!(
                f,
                "  since the serving model, {users} users: new {candidate:.4}, serving {serving:.4}"
            )?;
        }
        if let Some(HybridReport { choices, tried, chosen, weights }) = &self.hybrid {
            writeln!(f, "  hybrid fitted on {choices} choices; NDCG@20 by cross-validation:")?;
            for (name, ndcg) in tried {
                let mark = if name == chosen { "  <- serves" } else { "" };
                writeln!(f, "    {ndcg:.4}  {name}{mark}")?;
            }
            writeln!(f, "    largest weights: {}", Weights(weights))?;
        }
        write!(f, "  {}", Ended(&self.outcome))
    }
}

type Outcome = Option<Result<u64, TrainingError>>;

/// How a training ended, in words.
struct Ended<'a>(&'a Outcome);

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Ok(version)) => write!(f, "published as version {version}"),
            Some(Err(error)) => write!(f, "not published: {error}"),
            None => write!(f, "not finished"),
        }
    }
}

fn told<S: Serializer>(outcome: &Outcome, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Ended(outcome))
}

/// Largest weights that are named.
const NAMED: usize = 6;

/// The largest weights in words.
struct Weights<'a>(&'a [(&'static str, f64)]);

impl fmt::Display for Weights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, weight)) in self.0.iter().take(NAMED).enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{name} {weight:+.2}")?;
        }
        Ok(())
    }
}

/// A configuration in words.
struct Words<'a>(&'a Configuration);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Configuration { hyperparameters, weighing } = self.0;
        write!(
            f,
            "factors {}, regularization {}, unobserved weight {}, epochs {}, half-life {} h, {} negatives",
            hyperparameters.factors,
            hyperparameters.regularization,
            hyperparameters.unobserved_weight,
            hyperparameters.epochs,
            weighing.half_life_hours,
            if weighing.negatives { "with" } else { "without" },
        )
    }
}
