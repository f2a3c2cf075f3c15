//! Requests for lists of items that are no rankings: OnboardingItems and SimilarItems.

use super::keys::length;
use super::rules::check_cost;
use super::rules::filter;
use super::scalars::merge;
use super::scalars::optional_language;
use crate::proto;
use engine::Filter;
use engine::domain::LanguageTag;
use engine::domain::Settings;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// The filter, the length and the language of an answer of OnboardingItems.
///
/// # Errors
/// Every violation of `filters`, `max_results` and `language`.
pub fn onboarding(
    message: proto::OnboardingItemsRequest,
    settings: &Settings,
) -> Result<(Filter, usize, Option<LanguageTag>), Vec<Violation>> {
    let mut violations = Violations::default();
    let filter = merge(&mut violations, filter(message.filters, settings));
    let items = length(message.max_results, limits::ONBOARDING_DEFAULT, limits::ONBOARDING);
    let items = violations.take("max_results", items);
    let language = violations.take("language", optional_language(&message.language));
    match (filter, items, language) {
        (Some(filter), Some(items), Some(language)) => {
            check_cost(&filter, &[]).map(|()| (filter, items, language))
        }
        _ => Err(violations.into_vec()),
    }
}

/// The length (0 means the default) and the language of an answer of SimilarItems.
///
/// # Errors
/// Every violation of `max_results` and `language`.
pub fn similar(
    max_results: u32,
    language: &str,
) -> Result<(usize, Option<LanguageTag>), Vec<Violation>> {
    let mut violations = Violations::default();
    let results = length(max_results, limits::RESULTS_DEFAULT, limits::RESULTS);
    let results = violations.take("max_results", results).unwrap_or_default();
    let language = violations.take("language", optional_language(language)).flatten();
    violations.finish((results, language))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<T: std::fmt::Debug>(checked: Result<T, Vec<Violation>>) -> Vec<String> {
        checked.unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn the_length_of_a_list_of_similar_items_has_a_default_and_a_bound() {
        assert_eq!(similar(0, ""), Ok((limits::RESULTS_DEFAULT, None)));
        assert_eq!(similar(500, "de").unwrap().0, 500);
        assert_eq!(fields(similar(501, "?")), ["max_results", "language"]);
    }
}
