//! The last steps of a training: weights of items, content, figures, and the bytes of a record.

use std::collections::BTreeMap;

use crate::columns::column::encode;
use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::domain::PublishedModel;
use crate::models::collaborative::Trained;
use crate::models::collaborative::TrainingSet;
use crate::models::content::Latent;
use crate::models::hybrid::HybridFit;
use crate::models::published::Origin;
use crate::models::published::Publication;
use crate::state::View;
use crate::training::associations;
use crate::training::columns::Columns;
use crate::training::content;
use crate::training::report::TrainingReport;
use crate::training::watch::Part;
use crate::training::watch::Watch;
use crate::training::watch::watched;

/// What a training on everything came to.
pub struct Outcome {
    pub trained: Trained,
    pub origin: Origin,
    /// The latent space of content.
    pub latent: Option<Latent>,
    pub hybrid: Option<HybridFit>,
}

/// The record of a model that was trained on everything.
pub fn published(
    view: &View,
    columns: &Columns,
    set: &TrainingSet,
    outcome: Outcome,
    (told, watch): (&TrainingReport, &dyn Watch),
) -> PublishedModel {
    let Outcome { trained, origin, latent, hybrid } = outcome;
    // In parallel, one core each.
    let factors = (&trained.item_factors[..], trained.factors);
    let content = || content::fit(view, columns, factors, set, latent);
    let (content, associations) = rayon::join(
        || watched(watch, Part::Content, content),
        || associations::fit(set, columns, origin.item_item_l2, None, watch),
    );
    let mut figures = told.figures();
    figures.append(&mut content::figures(&content));
    figures.append(&mut describe(&origin, set, &trained));
    let items = [
        ("item_item_items", &associations.together),
        ("sequence_items", &associations.sequence),
        ("overlap_items", &associations.overlap),
    ];
    figures.extend(items.map(|(name, rows)| (name.to_owned(), rows.len() as f64)));
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
        associations,
        hybrid,
        content,
    };
    PublishedModel {
        version: view.model_version() + 1,
        trained_at: view.watermark(),
        encoded: encode(&publication).into(),
    }
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
