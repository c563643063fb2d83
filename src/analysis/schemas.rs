//! Which payloads are messages of which Protobuf type, and what a PUBLISH says of its payload.

use crate::lint::Examined;
use crate::mqtt::{Property, PropertyId, Publish, topic};
use crate::payload::{self, Keys, MessageSchema, Mismatch, PayloadKind, Sample};

/// Protobuf types by topic filter, the first that matches counts.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    bindings: Vec<(Vec<u8>, MessageSchema)>,
}

impl Schemas {
    /// Payloads of topics that match `filter` are messages of this type, unless an earlier filter
    /// matches too.
    pub fn bind(&mut self, filter: Vec<u8>, message: MessageSchema) {
        self.bindings.push((filter, message));
    }

    /// No type is bound to any topic.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The type of the messages of a topic.
    #[must_use]
    pub fn of(&self, name: Option<&[u8]>) -> Option<&MessageSchema> {
        let name = name?;
        let bound = self
            .bindings
            .iter()
            .find(|(filter, _)| topic::matches(filter, name));
        bound.map(|(_, message)| message)
    }

    /// What the payload of a PUBLISH on this topic is; `None` where it is not known where the
    /// payload begins, or none of it is there.
    #[must_use]
    pub fn kind(&self, name: Option<&[u8]>, publish: &Publish<'_>) -> Option<PayloadKind> {
        let sample = sample(publish)?;
        if !self.bindings.is_empty()
            && let Some(message) = self.of(name)
            && sample.is_whole()
            && message.decode(sample.bytes).is_ok()
        {
            return Some(PayloadKind::Protobuf);
        }
        payload::classify(&sample)
    }

    /// What the payload is, whether it is what it is said to be, and into `keys` the keys of a
    /// JSON object.
    #[must_use]
    pub fn examine(
        &self,
        name: Option<&[u8]>,
        publish: &Publish<'_>,
        mut keys: Option<&mut Keys>,
    ) -> Examined {
        let Some(sample) = sample(publish) else {
            return Examined::default();
        };
        let mut examined = Examined {
            kind: match &mut keys {
                Some(keys) => payload::classify_with_keys(&sample, keys),
                None => payload::classify(&sample),
            },
            ..Examined::default()
        };
        let Some(kind) = examined.kind else {
            return examined;
        };
        if sample.is_whole()
            && let Some(message) = self.of(name)
        {
            match message.decode(sample.bytes) {
                Ok(_) => {
                    examined.kind = Some(PayloadKind::Protobuf);
                    keys.map(Keys::clear);
                }
                Err(Mismatch::TooLarge) => {}
                // It deletes what the broker kept.
                Err(_) if kind == PayloadKind::Empty => {}
                Err(mismatch) => {
                    examined.mismatch = Some(format!("not {}: {mismatch}", message.name()));
                }
            }
        }
        examined.contradicts = payload::contradicts_content_type(&sample, kind);
        examined
    }
}

/// The payload of a PUBLISH with what its properties say of it; `None` where it is not known
/// where the payload begins.
#[must_use]
pub fn sample<'a>(publish: &Publish<'a>) -> Option<Sample<'a>> {
    let properties = &publish.properties;
    let indicator = properties.get(PropertyId::PayloadFormatIndicator);
    Some(Sample {
        bytes: publish.payload,
        length: publish.payload_length?,
        declared_text: indicator == Some(Property::PayloadFormatIndicator(1)),
        content_type: match properties.get(PropertyId::ContentType) {
            Some(Property::ContentType(name)) => Some(name),
            _ => None,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::payload::Schema;

    #[test]
    fn the_first_filter_that_matches_names_the_type() {
        let source = "syntax = \"proto3\"; message A { int32 a = 1; } message B { int32 b = 1; }";
        let schema = Schema::compile(["m.proto"], |_| Some(Ok(source.to_owned()))).unwrap();
        let mut schemas = Schemas::default();
        schemas.bind(b"plant/+/a".to_vec(), schema.message("A").unwrap());
        schemas.bind(b"plant/#".to_vec(), schema.message("B").unwrap());
        let name = |topic: &[u8]| schemas.of(Some(topic)).map(|m| m.name().to_owned());
        assert_eq!(name(b"plant/1/a").as_deref(), Some("A"));
        assert_eq!(name(b"plant/1/b").as_deref(), Some("B"));
        assert_eq!(name(b"house"), None);
        assert!(schemas.of(None).is_none());
        let publish = |payload: &'static [u8]| Publish {
            payload,
            payload_length: Some(payload.len() as u32),
            ..Publish::default()
        };
        let kind = |topic: &[u8], payload| schemas.kind(Some(topic), &publish(payload));
        assert_eq!(kind(b"plant/1/a", b"\x08\x07"), Some(PayloadKind::Protobuf));
        assert_eq!(kind(b"plant/1/a", b"21.5"), Some(PayloadKind::Text));
        assert_eq!(kind(b"house", b"\x08\x07"), Some(PayloadKind::Binary));
    }
}
