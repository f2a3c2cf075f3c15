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
                let reason = format!("names no {what}: {path:?}");
                violations.add(format!("update_mask.paths[{index}]"), reason);
            }
        }
    }
    violations.finish(found)
}
