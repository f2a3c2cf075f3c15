//! What is accepted is what the decoder accepts, and what is said of its memory covers what it
//! takes.

use proptest::prelude::*;
use prost::Message;
use prost_types::FileDescriptorSet;

use super::*;
use crate::proto;

const MOST: usize = 64 << 20;

fn schema() -> Schema {
    Schema::new(&[FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap()])
}

fn checked(schema: &Schema, name: &str, bytes: &[u8], most: usize) -> Result<usize, Fault> {
    let message = schema.message(&format!(".personalization.v1.{name}")).unwrap();
    check(schema, message, bytes, most)
}

fn interaction() -> proto::Interaction {
    proto::Interaction {
        event_id: "e".to_owned(),
        user_id: "ünï".to_owned(),
        item_id: "i".repeat(300),
        value: Some(1.5),
        occurred_at: Some(prost_types::Timestamp { seconds: -1, nanos: 5 }),
        context: Some(proto::InteractionContext {
            topics: vec!["a".to_owned(), String::new()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn request(interactions: Vec<proto::Interaction>) -> Vec<u8> {
    proto::RecordInteractionsRequest { namespace: "shop".to_owned(), interactions }.encode_to_vec()
}

#[test]
fn empty_elements_are_counted_before_they_are_decoded() {
    let schema = schema();
    // Two bytes each: the field's key and a length of nothing.
    let bytes = [0x12_u8, 0].repeat(8_000_000);
    let fields =
        schema.fields(schema.message(".personalization.v1.RecordInteractionsRequest").unwrap());
    let number = *fields.iter().find(|(_, field)| field.name == "interactions").unwrap().0;
    assert_eq!(number << 3 | 2, 0x12, "the bytes name the field");
    let fault = checked(&schema, "RecordInteractionsRequest", &bytes, MOST).unwrap_err();
    assert_eq!(fault, Fault::TooMuch { field: "interactions".to_owned() });
}

#[test]
fn the_computed_size_covers_what_is_taken() {
    let schema = schema();
    for count in [0, 1, 10, 10_000] {
        let bytes = request(vec![interaction(); count]);
        let computed = checked(&schema, "RecordInteractionsRequest", &bytes, MOST).unwrap();
        let taken = count * (size_of::<proto::Interaction>() + 306 + 2 * size_of::<String>());
        assert!(computed >= taken && computed < 4 * taken + 100, "{computed} {taken}");
    }
}

#[test]
fn a_fault_names_its_field() {
    let schema = schema();
    let mut bytes = request(vec![interaction()]);
    let position = bytes.windows(2).position(|pair| pair == "ü".as_bytes()).unwrap();
    bytes[position] = 0xff;
    let fault = checked(&schema, "RecordInteractionsRequest", &bytes, MOST).unwrap_err();
    let field = "interactions.user_id".to_owned();
    assert_eq!(fault, Fault::Malformed { field, what: "must be UTF-8" });
}

#[test]
fn nesting_has_an_end() {
    let schema = schema();
    let mut value = Vec::new();
    // A list of a list of a list: field 6 of a value, field 1 of a list.
    for _ in 0..100 {
        for key in [0x0a, 0x32] {
            let mut outer = vec![key];
            prost::encode_length_delimiter(value.len(), &mut outer).unwrap();
            outer.append(&mut value);
            value = outer;
        }
    }
    let value_type = schema.message(".google.protobuf.Value").unwrap();
    let fault = check(&schema, value_type, &value, MOST).unwrap_err();
    assert!(matches!(fault, Fault::Malformed { what: "is nested too deeply", .. }), "{fault:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What is let through is decoded.
    #[test]
    fn no_bytes_pass_that_cannot_be_decoded(
        cut in 0..400_usize,
        changes in prop::collection::vec((0..400_usize, any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let schema = schema();
        let mut bytes = request(vec![interaction(), proto::Interaction::default()]);
        for (position, byte) in changes {
            if let Some(changed) = bytes.get_mut(position) {
                *changed = byte;
            }
        }
        bytes.truncate(cut);
        bytes.extend(noise);
        let passes = checked(&schema, "RecordInteractionsRequest", &bytes, MOST).is_ok();
        let decodes = proto::RecordInteractionsRequest::decode(&bytes[..]).is_ok();
        prop_assert_eq!(passes, decodes, "{:?}", bytes);
    }
}
