//! Rounds as rows of named columns.
//!
//! - Names are recognised whatever their case and separators, with the spellings of the
//!   Open Bandit Dataset: `item_id`, `click`, `propensity_score`.
//! - Lists are in one cell, split at `|`; features of a candidate are split at blanks.
//!   Columns whose names begin with `x_` or `context_` are features of the request context, too.

use super::LoggedCandidate;
use super::LoggedRound;
use crate::cli::dataset;
use crate::cli::dataset::Table;

/// Names as the table normalises them, the likeliest first.
const DECISION_ID: [&str; 5] = ["decisionid", "eventid", "requestid", "roundid", "id"];
const USER_ID: [&str; 3] = ["userid", "user", "visitorid"];
const TIMESTAMP: [&str; 3] = ["timestamp", "decidedat", "time"];
const POSITION: [&str; 4] = ["position", "place", "slot", "rank"];
const ACTION: [&str; 5] = ["action", "actionid", "itemid", "arm", "item"];
const REWARD: [&str; 4] = ["reward", "click", "label", "outcome"];
const PROPENSITY: [&str; 5] =
    ["propensity", "propensityscore", "pscore", "loggingprobability", "probability"];
const SLATE_PROPENSITY: [&str; 1] = ["slatepropensity"];
const TARGET: [&str; 4] =
    ["targetprobability", "evaluationprobability", "targetpolicy", "newprobability"];
const STRATEGY: [&str; 1] = ["strategy"];
const MODEL: [&str; 2] = ["model", "modelversion"];
const VARIANT: [&str; 1] = ["variant"];
const SCORE: [&str; 1] = ["score"];
const FEATURES: [&str; 1] = ["features"];
const CONTEXT: [&str; 2] = ["context", "contextfeatures"];
const CONTEXT_PREFIXES: [&str; 2] = ["x_", "context_"];
const CANDIDATES: [&str; 2] = ["candidates", "actions"];
const CANDIDATE_PROPENSITIES: [&str; 1] = ["candidatepropensities"];
const CANDIDATE_SCORES: [&str; 2] = ["candidatescores", "scores"];
const CANDIDATE_DEVIATIONS: [&str; 2] = ["candidatedeviations", "deviations"];
const CANDIDATE_TARGETS: [&str; 2] = ["candidatetargetprobabilities", "targetprobabilities"];
const CANDIDATE_FEATURES: [&str; 1] = ["candidatefeatures"];

/// The header that [`super::Writer`] writes; each name is recognised above.
pub const HEADER: [&str; 21] = [
    "decision_id",
    "user_id",
    "timestamp",
    "position",
    "action",
    "reward",
    "propensity",
    "slate_propensity",
    "target_probability",
    "strategy",
    "model",
    "variant",
    "score",
    "features",
    "context",
    "candidates",
    "candidate_propensities",
    "candidate_scores",
    "candidate_deviations",
    "candidate_target_probabilities",
    "candidate_features",
];

/// Where the values of a round stand.
#[derive(Debug)]
pub struct RoundColumns {
    decision_id: Option<usize>,
    user_id: Option<usize>,
    timestamp: Option<usize>,
    position: Option<usize>,
    action: usize,
    reward: usize,
    propensity: usize,
    slate_propensity: Option<usize>,
    target: Option<usize>,
    strategy: Option<usize>,
    model: Option<usize>,
    variant: Option<usize>,
    score: Option<usize>,
    own_features: Option<usize>,
    context: Vec<usize>,
    candidates: Option<usize>,
    propensities: Option<usize>,
    scores: Option<usize>,
    deviations: Option<usize>,
    targets: Option<usize>,
    features: Option<usize>,
}

impl RoundColumns {
    /// # Errors
    /// When the table lacks the action, the reward or the propensity.
    pub fn of(table: &Table) -> Result<Self, dataset::Error> {
        let is_context = |name: &str| {
            let name = name.to_lowercase();
            CONTEXT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let mut context: Vec<usize> = table.column(&CONTEXT).into_iter().collect();
        for (index, name) in table.columns().iter().enumerate() {
            if is_context(name) && !context.contains(&index) {
                context.push(index);
            }
        }
        Ok(Self {
            decision_id: table.column(&DECISION_ID),
            user_id: table.column(&USER_ID),
            timestamp: table.column(&TIMESTAMP),
            position: table.column(&POSITION),
            action: table.required(&ACTION, "action")?,
            reward: table.required(&REWARD, "reward")?,
            propensity: table.required(&PROPENSITY, "propensity")?,
            slate_propensity: table.column(&SLATE_PROPENSITY),
            target: table.column(&TARGET),
            strategy: table.column(&STRATEGY),
            model: table.column(&MODEL),
            variant: table.column(&VARIANT),
            score: table.column(&SCORE),
            own_features: table.column(&FEATURES),
            context,
            candidates: table.column(&CANDIDATES),
            propensities: table.column(&CANDIDATE_PROPENSITIES),
            scores: table.column(&CANDIDATE_SCORES),
            deviations: table.column(&CANDIDATE_DEVIATIONS),
            targets: table.column(&CANDIDATE_TARGETS),
            features: table.column(&CANDIDATE_FEATURES),
        })
    }

    /// The table's current row.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn parse(&self, table: &Table) -> Result<LoggedRound, dataset::Error> {
        let text = |column: Option<usize>| {
            column.map(|column| table.field(column)).filter(|text| !text.is_empty())
        };
        let owned = |column| text(column).map(str::to_owned);
        let number = |column: usize| table.checked(column, parsed(table.field(column)));
        let optional = |column: Option<usize>| {
            column.filter(|column| !table.field(*column).is_empty()).map(number).transpose()
        };
        let position = match (self.position, text(self.position)) {
            (Some(column), Some(text)) => table.checked(column, whole(text))?,
            _ => 0,
        };
        let mut context = Vec::new();
        for &column in &self.context {
            context.extend(numbers(table, column)?);
        }
        Ok(LoggedRound {
            decision_id: owned(self.decision_id).unwrap_or_else(|| table.line().to_string()),
            user_id: owned(self.user_id),
            timestamp: owned(self.timestamp),
            position,
            action: table.id(self.action)?,
            reward: number(self.reward)?,
            propensity: number(self.propensity)?,
            slate_propensity: optional(self.slate_propensity)?,
            target_probability: optional(self.target)?,
            strategy: owned(self.strategy),
            model: owned(self.model),
            variant: owned(self.variant),
            score: optional(self.score)?,
            features: self.own_features.map_or(Ok(Vec::new()), |column| numbers(table, column))?,
            context,
            candidates: self.candidates(table)?,
        })
    }

    fn candidates(&self, table: &Table) -> Result<Vec<LoggedCandidate>, dataset::Error> {
        let Some(column) = self.candidates else { return Ok(Vec::new()) };
        let actions: Vec<&str> = list(table.field(column)).collect();
        let propensities = values(table, self.propensities, actions.len())?;
        let scores = values(table, self.scores, actions.len())?;
        let deviations = values(table, self.deviations, actions.len())?;
        let targets = values(table, self.targets, actions.len())?;
        let features = self.features(table, actions.len())?;
        let mut candidates = Vec::with_capacity(actions.len());
        for (index, (action, features)) in actions.into_iter().zip(features).enumerate() {
            candidates.push(LoggedCandidate {
                action: action.to_owned(),
                propensity: propensities.get(index).copied(),
                score: scores.get(index).copied(),
                deviation: deviations.get(index).copied(),
                target_probability: targets.get(index).copied(),
                features,
            });
        }
        Ok(candidates)
    }

    fn features(&self, table: &Table, count: usize) -> Result<Vec<Vec<f32>>, dataset::Error> {
        let Some(column) = self.features.filter(|column| !table.field(*column).is_empty()) else {
            return Ok(vec![Vec::new(); count]);
        };
        let rows: Result<Vec<Vec<f32>>, String> = list(table.field(column))
            .map(|row| row.split_whitespace().map(|cell| Ok(parsed(cell)? as f32)).collect())
            .collect();
        let rows = table.checked(column, rows)?;
        table.checked(column, as_many(rows.len(), count))?;
        Ok(rows)
    }
}

/// A list of features.
fn numbers(table: &Table, column: usize) -> Result<Vec<f32>, dataset::Error> {
    let cells = list(table.field(column));
    table.checked(column, cells.map(|cell| Ok(parsed(cell)? as f32)).collect())
}

/// A list as long as that of the candidates, or nothing.
fn values(table: &Table, column: Option<usize>, count: usize) -> Result<Vec<f64>, dataset::Error> {
    let Some(column) = column.filter(|column| !table.field(*column).is_empty()) else {
        return Ok(Vec::new());
    };
    let values: Result<Vec<f64>, String> = list(table.field(column)).map(parsed).collect();
    let values = table.checked(column, values)?;
    table.checked(column, as_many(values.len(), count))?;
    Ok(values)
}

fn as_many(found: usize, expected: usize) -> Result<(), String> {
    let wrong = || format!("has {found} values for {expected} candidates");
    (found == expected).then_some(()).ok_or_else(wrong)
}

fn list(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('|').map(str::trim).filter(move |_| !cell.is_empty())
}

fn parsed(text: &str) -> Result<f64, String> {
    let is_number = |number: &f64| number.is_finite();
    let wrong = || format!("must be a finite number, is {text:?}");
    text.parse().ok().filter(is_number).ok_or_else(wrong)
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("must be a whole number from 0, is {text:?}"))
}
