//! Violations as messages, for elements of a stream that are not accepted.

use crate::proto;
use engine::domain::Violation;
use engine::domain::limits;

/// `id` is the element's id as it was sent. One that is too long to be an id is cut:
/// an answer must not grow with the mistakes of its request.
pub fn rejection(index: u64, id: &str, violations: Vec<Violation>) -> proto::Rejection {
    let id = id[..id.floor_char_boundary(limits::ID_BYTES)].to_owned();
    let violations = violations.into_iter().map(field_violation).collect();
    proto::Rejection { index, id, violations }
}

fn field_violation(violation: Violation) -> proto::FieldViolation {
    proto::FieldViolation { field: violation.field, reason: violation.reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_too_long_is_cut_between_characters() {
        let violations = vec![Violation::new("event_id", "is too long")];
        let message = rejection(3, &"€".repeat(1_000), violations);
        assert_eq!(message.index, 3);
        assert_eq!(message.id, "€".repeat(85));
        assert_eq!(message.violations[0].field, "event_id");
        assert_eq!(rejection(0, "e", Vec::new()).id, "e");
    }
}
