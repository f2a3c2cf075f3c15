//! The last steps of a training: item-item weights, content, figures, and the bytes of a record.

use std::collections::BTreeMap;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::columns::column::encode;
use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::domain::PublishedModel;
use crate::models::collaborative::ConsumedTogether;
use crate::models::collaborative::Trained;
use crate::models::collaborative::TrainingSet;
use crate::models::published::Origin;
use crate::models::published::Publication;
use crate::models::weighing::Weighing;
use crate::state::View;
use crate::training::columns::Columns;
use crate::training::content;
use crate::training::holdout::Holdout;
use crate::training::holdout::mean;
use crate::training::report::TrainingReport;
use crate::training::trial;

/// L2 weights tried for the item-item weights, in observations.
const ITEM_ITEM_L2: [f64; 4] = [100.0, 400.0, 30.0, 1_000.0];
/// Of these, those fitted at a time: each takes memory for two more matrices.
const FITTED_TOGETHER: usize = 2;

/// The L2 weight of the serving model; without one, the first that is tried.
pub fn previous_l2(previous: Option<&Origin>) -> f64 {
    let l2 = previous.map(|origin| origin.item_item_l2).filter(|l2| *l2 > 0.0);
    l2.unwrap_or(ITEM_ITEM_L2[0])
}

/// The L2 weight of the item-item weights that ranks best what is held out, and how well.
/// `None` when none can be fitted.
pub fn best_l2(holdout: &Holdout<'_>, weighing: &Weighing) -> Option<(f64, f64)> {
    let columns = holdout.columns();
    let set = trial::training_set(columns.len(), &holdout.rows(weighing));
    let counts = ConsumedTogether::of(&set, |column| columns.open()[column as usize])?;
    let judged = |&l2: &f64| {
        let fitted = counts.fit(l2)?;
        Some((l2, mean(&trial::judge_item_item(holdout, &fitted, weighing))))
    };
    let mut best: Option<(f64, f64)> = None;
    for some in ITEM_ITEM_L2.chunks(FITTED_TOGETHER) {
        let tried: Vec<Option<(f64, f64)>> = some.par_iter().map(judged).collect();
        for (l2, ndcg) in tried.into_iter().flatten() {
            if best.is_none_or(|(_, highest)| ndcg > highest) {
                best = Some((l2, ndcg));
            }
        }
    }
    best
}

/// The record of a model that was trained on everything.
pub fn published(
    view: &View,
    columns: &Columns,
    set: &TrainingSet,
    trained: Trained,
    origin: Origin,
    told: &TrainingReport,
) -> PublishedModel {
    let positives = positives_by_column(set);
    let item_item = || {
        let counts = ConsumedTogether::of(set, |column| columns.open()[column as usize]);
        counts.and_then(|counts| counts.fit(origin.item_item_l2)).unwrap_or_default()
    };
    // In parallel, one core each.
    let (content, item_item) = rayon::join(
        || content::fit(view, columns, &trained.item_factors, trained.factors, &positives),
        item_item,
    );
    let mut figures = told.figures();
    figures.append(&mut content::figures(&content));
    figures.append(&mut describe(&origin, set, &trained));
    figures.insert("item_item_items".to_owned(), item_item.len() as f64);
    let key = |&item: &ItemIndex| name_key(view.item_id(item).expect("columns are of live items"));
    let publication = Publication {
        began: view.began,
        items: columns.items().iter().map(key).collect(),
        k: trained.factors,
        regularization: trained.regularization,
        item_factors: trained.item_factors,
        user_gram: trained.user_gram,
        figures,
        origin,
        item_item,
        content,
    };
    PublishedModel {
        version: view.model_version() + 1,
        trained_at: view.watermark(),
        encoded: encode(&publication).into(),
    }
}

/// How many users consumed the item of each column.
fn positives_by_column(set: &TrainingSet) -> Vec<u32> {
    let mut counts = vec![0; set.n_items()];
    for user in 0..set.n_users() {
        let (columns, weights) = set.row(user);
        let positives = columns.iter().zip(weights).filter(|entry| *entry.1 > 0.0);
        positives.for_each(|(&column, _)| counts[column as usize] += 1);
    }
    counts
}

/// Figures of what was trained, by name.
fn describe(origin: &Origin, set: &TrainingSet, trained: &Trained) -> BTreeMap<String, f64> {
    let hyperparameters = &origin.configuration.hyperparameters;
    let weighing = &origin.configuration.weighing;
    let figures = [
        ("users", set.n_users() as f64),
        ("items", set.n_items() as f64),
        ("examples", set.len() as f64),
        ("positives", origin.positives as f64),
        ("factors", hyperparameters.factors as f64),
        ("regularization", f64::from(hyperparameters.regularization)),
        ("unobserved_weight", f64::from(hyperparameters.unobserved_weight)),
        ("epochs", hyperparameters.epochs as f64),
        ("confidence_half_life_hours", f64::from(weighing.half_life_hours)),
        ("negatives", f64::from(u8::from(weighing.negatives))),
        ("item_item_l2", origin.item_item_l2),
        ("loss", trained.loss),
    ];
    figures.map(|(name, value)| (name.to_owned(), value)).into()
}
