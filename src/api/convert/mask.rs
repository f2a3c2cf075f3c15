//! Update masks: which fields of a message a request is about.

use prost_types::FieldMask;

use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// Characters of a path that are told when it names nothing.
const PATH_CHARS: usize = 64;

/// What each path of a mask names, which `named` knows; `what` is what a path has to name.
///
/// # Errors
/// Each path that names nothing.
pub(super) fn named_by<T>(
    mask: Option<FieldMask>,
    what: &str,
    named: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Vec<Violation>> {
    let paths = mask.unwrap_or_default().paths;
    if paths.len() > limits::MASK_PATHS {
        let reason = format!("must hold at most {} paths", limits::MASK_PATHS);
        return Err(vec![Violation::new("update_mask", reason)]);
    }
    let mut violations = Violations::default();
    let mut found = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        match named(path) {
            Some(one) => found.push(one),
            None => {
                let path: String = path.chars().take(PATH_CHARS).collect();
                let mut reason = format!("names no {what}: {path:?}");
                let meant = in_snake_case(&path);
                if named(&meant).is_some() {
                    reason.push_str(&format!("; did you mean {meant:?}?"));
                }
                violations.add(format!("update_mask.paths[{index}]"), reason);
            }
        }
    }
    violations.finish(found)
}

/// A path of JSON's spelling as Protobuf names the field: `newItemShare` as `new_item_share`.
fn in_snake_case(path: &str) -> String {
    let mut snake = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_camel_case_is_told_the_name_it_means() {
        let told = |path: &str| {
            let mask = FieldMask { paths: vec![path.to_owned()] };
            let known = |path: &str| (path == "rules.blocked_topics").then_some(());
            named_by(Some(mask), "field", known).unwrap_err().remove(0).reason
        };
        let meant = told("rules.blockedTopics");
        assert!(meant.ends_with("did you mean \"rules.blocked_topics\"?"), "{meant}");
        assert_eq!(told("rules.blockedCats"), "names no field: \"rules.blockedCats\"");
    }
}
