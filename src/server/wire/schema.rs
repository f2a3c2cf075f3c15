//! The messages of the descriptors: which fields there are, how they are encoded, and how
//! much memory their values take.

use std::collections::BTreeMap;

use prost_types::DescriptorProto;
use prost_types::FieldDescriptorProto;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Label;
use prost_types::field_descriptor_proto::Type;

/// Head of a `String` or a `Vec`.
const HEAD: usize = 24;
/// A map's share of a node for one entry.
const MAP_ENTRY: usize = 32;

/// How values of a field are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Varint,
    Fixed32,
    Fixed64,
    Text,
    Bytes,
    /// By its index in the schema.
    Message(usize),
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub repeated: bool,
    /// Bytes in memory for one more value, without what texts hold. Vectors grow by
    /// doubling, so each element counts twice.
    pub cost: usize,
}

/// A message's fields by their numbers.
pub type Fields = BTreeMap<u32, Field>;

/// All messages of a set of descriptors.
#[derive(Debug, Default)]
pub struct Schema {
    by_name: BTreeMap<String, usize>,
    messages: Vec<Fields>,
}

impl Schema {
    pub fn new(files: &[FileDescriptorSet]) -> Self {
        let mut found = Vec::new();
        for file in files.iter().flat_map(|set| &set.file) {
            collect(&format!(".{}", file.package()), &file.message_type, &mut found);
        }
        let numbered = found.iter().enumerate();
        let by_name: BTreeMap<String, usize> =
            numbered.map(|(index, (name, _))| (name.clone(), index)).collect();
        let sizes = Sizes { by_name: &by_name, found: &found };
        let messages = found.iter().map(|(_, message)| sizes.fields(message)).collect();
        Self { messages, by_name }
    }

    /// A message by its full name, with the dot in front.
    pub fn message(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub fn fields(&self, message: usize) -> &Fields {
        &self.messages[message]
    }
}

fn collect<'a>(
    scope: &str,
    messages: &'a [DescriptorProto],
    found: &mut Vec<(String, &'a DescriptorProto)>,
) {
    for message in messages {
        let name = format!("{scope}.{}", message.name());
        collect(&name, &message.nested_type, found);
        found.push((name, message));
    }
}

struct Sizes<'a> {
    by_name: &'a BTreeMap<String, usize>,
    found: &'a [(String, &'a DescriptorProto)],
}

impl Sizes<'_> {
    fn fields(&self, message: &DescriptorProto) -> Fields {
        let field = |field: &FieldDescriptorProto| {
            let number = u32::try_from(field.number()).expect("field numbers are positive");
            let (kind, repeated) = (self.kind(field), field.label() == Label::Repeated);
            let cost = match kind {
                _ if self.is_map(field) => self.size(field, &mut Vec::new()) + MAP_ENTRY,
                _ if repeated => 2 * self.size(field, &mut Vec::new()),
                // Part of the message that holds it.
                _ => 0,
            };
            (number, Field { name: field.name().to_owned(), kind, repeated, cost })
        };
        message.field.iter().map(field).collect()
    }

    fn kind(&self, field: &FieldDescriptorProto) -> Kind {
        match field.r#type() {
            Type::Double | Type::Fixed64 | Type::Sfixed64 => Kind::Fixed64,
            Type::Float | Type::Fixed32 | Type::Sfixed32 => Kind::Fixed32,
            Type::String => Kind::Text,
            Type::Bytes => Kind::Bytes,
            Type::Message | Type::Group => Kind::Message(self.index_of(field)),
            _ => Kind::Varint,
        }
    }

    fn index_of(&self, field: &FieldDescriptorProto) -> usize {
        *self.by_name.get(field.type_name()).expect("a set holds the messages its fields name")
    }

    fn is_map(&self, field: &FieldDescriptorProto) -> bool {
        matches!(self.kind(field), Kind::Message(index)
            if self.found[index].1.options.as_ref().is_some_and(|options| options.map_entry()))
    }

    /// Bytes of one value of the field. `around` are the messages it is inside of: one
    /// that holds itself does so by a pointer.
    fn size(&self, field: &FieldDescriptorProto, around: &mut Vec<usize>) -> usize {
        let index = match self.kind(field) {
            Kind::Varint | Kind::Fixed64 => return 8,
            Kind::Fixed32 => return 4,
            Kind::Text | Kind::Bytes => return HEAD,
            Kind::Message(index) => index,
        };
        if around.contains(&index) {
            return 8;
        }
        around.push(index);
        let of_field = |field: &FieldDescriptorProto| match field.label() {
            Label::Repeated => HEAD,
            _ => self.size(field, around) + if field.proto3_optional() { 8 } else { 0 },
        };
        let size = self.found[index].1.field.iter().map(of_field).sum::<usize>() + 8;
        around.pop();
        size
    }
}
