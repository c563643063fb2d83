//! The properties of a PUBLISH that a broker has to pass on as they are.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Properties, Property, PropertyId};

/// What a PUBLISH says in the properties that a broker passes on unaltered, as fingerprints: enough
/// to tell whether two packets say the same, in 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded([u32; Self::PROPERTIES.len()]);

impl Forwarded {
    /// Those properties, and the statements that say so. User properties keep their order too.
    pub const PROPERTIES: [(PropertyId, &'static str); 5] = [
        (PropertyId::PayloadFormatIndicator, "MQTT-3.3.2-4"),
        (PropertyId::ResponseTopic, "MQTT-3.3.2-15"),
        (PropertyId::CorrelationData, "MQTT-3.3.2-16"),
        (PropertyId::UserProperty, "MQTT-3.3.2-17, MQTT-3.3.2-18"),
        (PropertyId::ContentType, "MQTT-3.3.2-20"),
    ];

    /// Those of a packet.
    #[must_use]
    pub fn of(properties: &Properties<'_>) -> Self {
        let mut marks = [0; Self::PROPERTIES.len()];
        for (mark, (id, _)) in marks.iter_mut().zip(Self::PROPERTIES) {
            if !properties.contains(id) {
                continue;
            }
            let hash = match properties.get(id) {
                // 3.3.2.3.2: "equivalent to not sending a Payload Format Indicator".
                Some(Property::PayloadFormatIndicator(0)) | None => continue,
                Some(Property::PayloadFormatIndicator(value)) => u64::from(value),
                Some(
                    Property::ResponseTopic(bytes)
                    | Property::CorrelationData(bytes)
                    | Property::ContentType(bytes),
                ) => xxh3_64(bytes),
                Some(_) => user_properties(properties),
            };
            // 0 stands for none.
            *mark = (hash as u32).max(1);
        }
        Self(marks)
    }

    /// There is none of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Which of them are missing in what was `delivered`, or say something else there. What a broker
    /// adds of its own is not among them.
    #[must_use]
    pub fn altered(&self, delivered: &Self) -> Altered {
        let mut altered = 0;
        for (index, (published, delivered)) in self.0.iter().zip(delivered.0).enumerate() {
            if *published != 0 && *published != delivered {
                altered |= 1 << index;
            }
        }
        Altered(altered)
    }
}

fn user_properties(properties: &Properties<'_>) -> u64 {
    let mut hash = Xxh3::new();
    for property in properties {
        if let Property::UserProperty((name, value)) = property {
            for text in [name, value] {
                hash.update(&text.len().to_le_bytes());
                hash.update(text);
            }
        }
    }
    hash.digest()
}

/// Properties that a broker altered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Altered(u8);

impl Altered {
    /// None.
    pub const NONE: Self = Self(0);

    /// There is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each with the statement that forbids it.
    pub fn iter(self) -> impl Iterator<Item = (PropertyId, &'static str)> {
        let all = Forwarded::PROPERTIES.into_iter().enumerate();
        all.filter(move |(index, _)| self.0 & (1 << index) != 0)
            .map(|(_, property)| property)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::{Packet, ProtocolLevel, parse, write};
    use super::*;
    use proptest::prelude::*;

    fn forwarded(properties: &[Property<'_>]) -> Forwarded {
        let publish = write::Publish {
            dup: false,
            qos: 0,
            retain: false,
            topic: b"t",
            packet_id: 0,
            properties,
            payload: b"",
        };
        let mut bytes = Vec::new();
        write::publish(&mut bytes, ProtocolLevel::V5, &publish).unwrap();
        let body = bytes.get(2..).unwrap();
        match parse(0x30, body, ProtocolLevel::V5).packet {
            Packet::Publish(publish) => Forwarded::of(&publish.properties),
            other => panic!("{other:?}"),
        }
    }

    fn altered(published: &[Property<'_>], delivered: &[Property<'_>]) -> Vec<PropertyId> {
        let altered = forwarded(published).altered(&forwarded(delivered));
        altered.iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn what_is_missing_or_changed_is_altered_and_what_is_added_is_not() {
        use Property as P;
        let sent = [
            P::PayloadFormatIndicator(1),
            P::ContentType(b"text/plain"),
            P::CorrelationData(b"\0\x01"),
        ];
        assert_eq!(altered(&sent, &sent), []);
        assert_eq!(
            altered(&sent, &[]),
            [
                PropertyId::PayloadFormatIndicator,
                PropertyId::CorrelationData,
                PropertyId::ContentType
            ]
        );
        let other = [
            P::PayloadFormatIndicator(1),
            P::ContentType(b"text/html"),
            P::CorrelationData(b"\0\x01"),
        ];
        assert_eq!(altered(&sent, &other), [PropertyId::ContentType]);
        let added = [P::UserProperty((b"via", b"broker"))];
        assert_eq!(altered(&[], &added), []);
        assert_eq!(altered(&[P::PayloadFormatIndicator(0)], &[]), []);
        assert_eq!(
            altered(&[P::ResponseTopic(b"")], &[]),
            [PropertyId::ResponseTopic]
        );
    }

    proptest! {
        /// User properties are the same only in the same order, wherever name and value part.
        #[test]
        fn user_properties_are_told_apart(
            one in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..4),
            other in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..4),
        ) {
            let list = |pairs: &[(String, String)]| -> Vec<(Vec<u8>, Vec<u8>)> {
                pairs.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect()
            };
            let properties = |pairs: &'static [(Vec<u8>, Vec<u8>)]| -> Vec<Property<'static>> {
                pairs.iter().map(|(name, value)| Property::UserProperty((name, value))).collect()
            };
            let (one, other) = (list(&one).leak(), list(&other).leak());
            let is_altered = altered(&properties(one), &properties(other)) == [PropertyId::UserProperty];
            prop_assert_eq!(is_altered, !one.is_empty() && one != other);
        }
    }
}
