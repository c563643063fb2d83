//! A Protobuf message as JSON with its field names.

use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value,
};
use serde_json::{Map, Value as Json};

/// Most unknown fields that are named.
const MOST_UNKNOWN: usize = 16;

/// A decoded message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Full name of its type.
    pub name: String,
    /// The fields that are on the wire, by name; a field with its default value that is not on
    /// the wire is not here either. Enumerations are given by name; bytes as `{"hex": "…"}`;
    /// numbers that JSON has not (`NaN`, infinities) as text.
    pub value: Json,
    /// Numbers of fields that the schema does not have, the first 16.
    pub unknown: Vec<u32>,
    /// Required fields (proto2) that are missing.
    pub(super) missing: Vec<String>,
}

impl Message {
    pub(super) fn new(message: &DynamicMessage) -> Self {
        let mut this = Self {
            name: message.descriptor().full_name().to_owned(),
            value: Json::Null,
            unknown: Vec::new(),
            missing: Vec::new(),
        };
        this.value = this.object(message);
        this
    }

    /// Depth is bounded: the decoder goes 100 levels deep.
    fn object(&mut self, message: &DynamicMessage) -> Json {
        let mut object = Map::new();
        for (field, value) in message.fields() {
            let value = self.value(&field.kind(), Some(&field), value);
            object.insert(field.name().to_owned(), value);
        }
        for (extension, value) in message.extensions() {
            let value = self.value(&extension.kind(), None, value);
            object.insert(format!("[{}]", extension.full_name()), value);
        }
        for field in message.unknown_fields() {
            if self.unknown.len() < MOST_UNKNOWN && !self.unknown.contains(&field.number()) {
                self.unknown.push(field.number());
            }
        }
        let descriptor = message.descriptor();
        let missing = descriptor
            .fields()
            .filter(|field| field.cardinality() == Cardinality::Required)
            .find(|field| !message.has_field(field));
        if let (Some(field), true) = (missing, self.missing.is_empty()) {
            self.missing.push(field.full_name().to_owned());
        }
        Json::Object(object)
    }

    fn value(&mut self, kind: &Kind, field: Option<&FieldDescriptor>, value: &Value) -> Json {
        match value {
            Value::Bool(value) => (*value).into(),
            Value::I32(value) => (*value).into(),
            Value::I64(value) => (*value).into(),
            Value::U32(value) => (*value).into(),
            Value::U64(value) => (*value).into(),
            Value::F32(value) => float(f64::from(*value), value.to_string()),
            Value::F64(value) => float(*value, value.to_string()),
            Value::String(value) => value.as_str().into(),
            Value::Bytes(value) => hex(value),
            Value::EnumNumber(number) => match kind {
                Kind::Enum(kind) => kind
                    .get_value(*number)
                    .map_or_else(|| (*number).into(), |value| value.name().into()),
                _ => (*number).into(),
            },
            Value::Message(message) => self.object(message),
            Value::List(values) => values
                .iter()
                .map(|value| self.value(kind, None, value))
                .collect(),
            Value::Map(entries) => {
                // A map is a repeated message of keys and values.
                let value_kind = match (field, kind) {
                    (Some(field), Kind::Message(entry)) if field.is_map() => {
                        entry.map_entry_value_field().kind()
                    }
                    _ => kind.clone(),
                };
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key_text(key), self.value(&value_kind, None, value)));
                Json::Object(entries.collect())
            }
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// A number with the digits that its own precision needs.
fn float(value: f64, shortest: String) -> Json {
    let shown = shortest.parse().unwrap_or(value);
    serde_json::Number::from_f64(shown).map_or(Json::String(shortest), Json::Number)
}

fn hex(bytes: &[u8]) -> Json {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Json::Object(
        [("hex".to_owned(), Json::String(digits))]
            .into_iter()
            .collect(),
    )
}
