//! Control packets of a script, to bytes.

use mqttscope::mqtt::{PacketType, Property, ProtocolLevel, Secret, Subscription, write};
use serde::Deserialize;

/// A control packet.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum PacketSpec {
    Connect(Connect),
    Connack(Connack),
    Publish(Publish),
    Puback(Acknowledgment),
    Pubrec(Acknowledgment),
    Pubrel(Acknowledgment),
    Pubcomp(Acknowledgment),
    Subscribe(Subscribe),
    Suback(Codes),
    Unsubscribe(Unsubscribe),
    Unsuback(Codes),
    Pingreq(Empty),
    Pingresp(Empty),
    Disconnect(Disconnect),
    /// Bytes in hexadecimal, spaces allowed.
    Raw(String),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(super) id: String,
    #[serde(default = "yes")]
    pub(super) clean: bool,
    #[serde(default)]
    pub(super) keep_alive: u16,
    pub(super) session_expiry: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: Option<u32>,
    pub(super) topic_alias_maximum: Option<u16>,
    pub(super) password: Option<String>,
    pub(super) user: Option<String>,
    pub(super) will: Option<Will>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Will {
    pub(super) topic: String,
    #[serde(default)]
    pub(super) payload: String,
    #[serde(default)]
    pub(super) qos: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connack {
    #[serde(default)]
    pub(super) session_present: bool,
    #[serde(default)]
    pub(super) code: u8,
    pub(super) assigned: Option<String>,
    pub(super) keep_alive: Option<u16>,
    pub(super) session_expiry: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: Option<u32>,
    pub(super) topic_alias_maximum: Option<u16>,
    pub(super) maximum_qos: Option<u8>,
    pub(super) retain_available: Option<u8>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    #[serde(default)]
    pub(super) qos: u8,
    #[serde(default)]
    pub(super) id: u16,
    pub(super) topic: String,
    #[serde(default)]
    pub(super) payload: String,
    #[serde(default)]
    pub(super) dup: bool,
    #[serde(default)]
    pub(super) retain: bool,
    pub(super) alias: Option<u16>,
    pub(super) content_type: Option<String>,
    /// User properties.
    #[serde(default)]
    pub(super) user: Vec<(String, String)>,
    /// Subscription identifiers.
    #[serde(default)]
    pub(super) identifiers: Vec<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledgment {
    pub(super) id: u16,
    #[serde(default)]
    pub(super) code: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    pub(super) id: u16,
    /// Filters with their options: the requested QoS, and above it MQTT 5's bits.
    pub(super) filters: Vec<(String, u8)>,
    /// Subscription identifier.
    pub(super) identifier: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unsubscribe {
    pub(super) id: u16,
    pub(super) filters: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Codes {
    pub(super) id: u16,
    #[serde(default)]
    pub(super) codes: Vec<u8>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disconnect {
    #[serde(default)]
    pub(super) code: u8,
    pub(super) session_expiry: Option<u32>,
}

const fn yes() -> bool {
    true
}

impl PacketSpec {
    /// The packet's bytes.
    pub(crate) fn bytes(&self, level: ProtocolLevel) -> Vec<u8> {
        let mut bytes = Vec::new();
        let out = &mut bytes;
        match self {
            Self::Connect(packet) => packet.write(out),
            Self::Connack(packet) => packet.write(out, level),
            Self::Publish(packet) => packet.write(out, level),
            Self::Puback(packet) => packet.write(out, level, PacketType::Puback),
            Self::Pubrec(packet) => packet.write(out, level, PacketType::Pubrec),
            Self::Pubrel(packet) => packet.write(out, level, PacketType::Pubrel),
            Self::Pubcomp(packet) => packet.write(out, level, PacketType::Pubcomp),
            Self::Subscribe(packet) => {
                let filters: Vec<Subscription<'_>> = packet
                    .filters
                    .iter()
                    .map(|(filter, options)| Subscription {
                        filter: filter.as_bytes(),
                        options: *options,
                    })
                    .collect();
                let identifier = packet.identifier.map(Property::SubscriptionIdentifier);
                let properties: Vec<_> = identifier.into_iter().collect();
                write::subscribe(out, level, packet.id, &properties, &filters).unwrap();
            }
            Self::Suback(packet) => {
                write::suback(out, level, packet.id, &[], &packet.codes).unwrap();
            }
            Self::Unsubscribe(packet) => {
                let filters: Vec<&[u8]> = packet.filters.iter().map(String::as_bytes).collect();
                write::unsubscribe(out, level, packet.id, &[], &filters).unwrap();
            }
            Self::Unsuback(packet) => {
                write::unsuback(out, level, packet.id, &[], &packet.codes).unwrap();
            }
            Self::Pingreq(_) => write::pingreq(out),
            Self::Pingresp(_) => write::pingresp(out),
            Self::Disconnect(packet) => {
                let properties: Vec<_> = packet
                    .session_expiry
                    .map(Property::SessionExpiryInterval)
                    .into_iter()
                    .collect();
                write::disconnect(out, level, packet.code, &properties).unwrap();
            }
            Self::Raw(text) => out.extend(hexadecimal(text)),
        }
        bytes
    }
}

impl Connect {
    fn write(&self, out: &mut Vec<u8>) {
        let properties: Vec<Property<'_>> = [
            self.session_expiry.map(Property::SessionExpiryInterval),
            self.receive_maximum.map(Property::ReceiveMaximum),
            self.maximum_packet_size.map(Property::MaximumPacketSize),
            self.topic_alias_maximum.map(Property::TopicAliasMaximum),
        ]
        .into_iter()
        .flatten()
        .collect();
        let packet = write::Connect {
            level: ProtocolLevel::from_number(self.level).expect("a level of 3, 4 or 5"),
            clean_start: self.clean,
            keep_alive: self.keep_alive,
            properties: &properties,
            client_id: self.id.as_bytes(),
            will: self.will.as_ref().map(|will| write::Will {
                qos: will.qos,
                retain: false,
                properties: &[],
                topic: will.topic.as_bytes(),
                payload: will.payload.as_bytes(),
            }),
            user_name: self.user.as_deref().map(str::as_bytes),
            password: self
                .password
                .as_deref()
                .map(|text| Secret::new(text.as_bytes())),
        };
        write::connect(out, &packet).unwrap();
    }
}

impl Connack {
    fn write(&self, out: &mut Vec<u8>, level: ProtocolLevel) {
        let assigned = self.assigned.as_deref().map(str::as_bytes);
        let properties: Vec<Property<'_>> = [
            self.session_expiry.map(Property::SessionExpiryInterval),
            self.receive_maximum.map(Property::ReceiveMaximum),
            self.maximum_packet_size.map(Property::MaximumPacketSize),
            self.topic_alias_maximum.map(Property::TopicAliasMaximum),
            self.maximum_qos.map(Property::MaximumQos),
            self.retain_available.map(Property::RetainAvailable),
            self.keep_alive.map(Property::ServerKeepAlive),
            assigned.map(Property::AssignedClientIdentifier),
        ]
        .into_iter()
        .flatten()
        .collect();
        write::connack(out, level, self.session_present, self.code, &properties).unwrap();
    }
}

impl Publish {
    fn write(&self, out: &mut Vec<u8>, level: ProtocolLevel) {
        let content_type = self.content_type.as_deref().map(str::as_bytes);
        let user = self
            .user
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let identifiers = self.identifiers.iter().copied();
        let properties: Vec<_> = self
            .alias
            .map(Property::TopicAlias)
            .into_iter()
            .chain(content_type.map(Property::ContentType))
            .chain(user.map(Property::UserProperty))
            .chain(identifiers.map(Property::SubscriptionIdentifier))
            .collect();
        let packet = write::Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.as_bytes(),
            packet_id: self.id,
            properties: &properties,
            payload: self.payload.as_bytes(),
        };
        write::publish(out, level, &packet).unwrap();
    }
}

impl Acknowledgment {
    fn write(&self, out: &mut Vec<u8>, level: ProtocolLevel, kind: PacketType) {
        write::acknowledgment(out, level, kind, self.id, self.code, &[]).unwrap();
    }
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("hexadecimal digits"))
        .collect();
    assert!(
        digits.len().is_multiple_of(2),
        "two digits for each byte: {text}"
    );
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}
