//! Update masks: which fields of a message a call is about.

use prost_types::FieldMask;

use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// Characters of a path that are told when it names nothing.
const PATH_CHARS: usize = 64;

/// What each path of a mask names, by `read`, which is `None` for one that names nothing. `what` is
/// what a path may name.
///
/// # Errors
/// Each path that names nothing.
pub fn named<T>(
    mask: &FieldMask,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Vec<Violation>> {
    if mask.paths.len() > limits::MASK_PATHS {
        let reason = format!("must hold at most {} paths", limits::MASK_PATHS);
        return Err(vec![Violation::new("update_mask", reason)]);
    }
    let mut violations = Violations::default();
    let mut found = Vec::with_capacity(mask.paths.len());
    for (index, path) in mask.paths.iter().enumerate() {
        match read(path) {
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
