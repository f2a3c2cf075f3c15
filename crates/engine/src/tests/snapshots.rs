//! Sections of a snapshot are data: only those of a whole state are restored.

use crate::tests::*;

fn sections() -> (Vec<(String, Vec<u8>)>, [u8; 32]) {
    let engine = applied(&World::history(9, 400));
    assert!(engine.state().model().is_some());
    assert!(engine.state().experiments().with_backfill().is_some());
    (engine.state().sections().collect(), engine.state().digest())
}

#[test]
fn sections_are_made_one_at_a_time_and_may_come_head_last() {
    let (mut sections, digest) = sections();
    sections.rotate_left(1);
    assert_eq!(sections.last().unwrap().0, "head");
    let restored = Engine::restore(sections).unwrap();
    assert_eq!(restored.state().digest(), digest);
}

/// A length beyond its bytes is an error: no memory of that length is allocated.
#[test]
fn a_section_that_is_missing_cut_or_of_a_wrong_length_is_refused() {
    const LENGTH: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let (whole, _) = sections();
    for at in 0..whole.len() {
        let (name, bytes) = &whole[at];
        let mut without = whole.clone();
        without.remove(at);
        assert!(Engine::restore(without).is_err(), "without {name}");
        let long = [&LENGTH[..], &bytes[1..]].concat();
        for damaged in [bytes[..bytes.len() / 2].to_vec(), long, LENGTH.to_vec(), Vec::new()] {
            let mut sections = whole.clone();
            sections[at].1 = damaged;
            assert!(Engine::restore(sections).is_err(), "{name} damaged");
        }
        let mut twice = whole.clone();
        twice.insert(at, whole[at].clone());
        let restored = Engine::restore(twice);
        assert!(
            restored.is_err()
                || ["head", "together/0", "sequence/0", "overlap/0"].contains(&name.as_str()),
            "{name}"
        );
    }
    let unknown = [("other/0".to_owned(), vec![0])];
    assert!(Engine::restore(whole.into_iter().chain(unknown)).is_err());
}
