//! Descriptions of candidates: the features of each.
//!
//! Cost for 100 candidates with k = 64: about 40 us, most of it co-occurrence.

use rayon::iter::IndexedParallelIterator;
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;
use rayon::slice::ParallelSliceMut;

use crate::consumption::User;
use crate::features::candidate::Candidate;
use crate::features::describer::Describer;
use crate::features::table::FEATURE_COUNT;
use crate::features::table::FEATURES;
use crate::features::user_context::UserContext;
use crate::models::contexts::RequestContext;
use crate::models::hybrid::FeatureMatrix;
use crate::state::View;

/// More candidates than this are described by several threads.
const PARALLEL_CANDIDATES: usize = 2_048;

/// Describes candidates for a user and a request context, on the scale of the view.
pub fn describe(
    view: &View,
    user: Option<&User>,
    context: &UserContext,
    request_context: &RequestContext,
    candidates: &[Candidate<'_>],
) -> FeatureMatrix {
    let mut features = describe_raw(view, user, context, request_context, candidates);
    view.hybrid().scale().apply(&mut features);
    features
}

/// The same without a scale: the input that the scale is learnt from.
pub fn describe_raw(
    view: &View,
    user: Option<&User>,
    context: &UserContext,
    request_context: &RequestContext,
    candidates: &[Candidate<'_>],
) -> FeatureMatrix {
    let describer = Describer::new(view, user, context, request_context, candidates);
    let known: Vec<usize> =
        (0..FEATURE_COUNT).filter(|&at| describer.knows(FEATURES[at].needs)).collect();
    let describe = |candidates: &[Candidate<'_>], values: &mut [f32]| {
        for (candidate, row) in candidates.iter().zip(values.chunks_exact_mut(FEATURE_COUNT)) {
            let subject = describer.subject(candidate);
            known.iter().for_each(|&at| row[at] = (FEATURES[at].extract)(&describer, &subject));
        }
    };
    let features = FeatureMatrix::zeros(candidates.len(), FEATURE_COUNT);
    let mut features = features.of_history(context.positives);
    let values = features.values_mut();
    if candidates.len() > PARALLEL_CANDIDATES {
        // A row depends only on its candidate, so threads change no result.
        candidates
            .par_chunks(PARALLEL_CANDIDATES)
            .zip(values.par_chunks_mut(PARALLEL_CANDIDATES * FEATURE_COUNT))
            .for_each(|(candidates, values)| describe(candidates, values));
    } else {
        describe(candidates, values);
    }
    features
}
