//! Packets to bytes, appended to a `Vec<u8>`.
//!
//! The writer sees to the form (lengths, order, fixed header, the shortest form of MQTT 5's
//! acknowledgments) and not to the rules: a packet identifier of 0 or a topic with a wildcard is
//! written as asked, so that tests can send what a peer must refuse. Properties are written at
//! level 5 only. When a function fails, nothing was appended.

use super::header::MAXIMUM_REMAINING_LENGTH;
use super::property::Value;
use super::{PacketType, Property, ProtocolLevel, Secret, Subscription};

/// Why a packet cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteError {
    /// A string or binary field is longer than 65,535 bytes.
    FieldTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The remaining length would be more than 268,435,455 bytes.
    PacketTooLong {
        /// The remaining length in bytes.
        length: u64,
    },
    /// A variable byte integer would be more than 268,435,455.
    IntegerTooLarge {
        /// The value.
        value: u32,
    },
    /// [`acknowledgment`] writes PUBACK, PUBREC, PUBREL and PUBCOMP only.
    NotAnAcknowledgment {
        /// What was asked for.
        packet_type: PacketType,
    },
}

impl core::fmt::Display for WriteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::FieldTooLong { length } => {
                write!(f, "a field of {length} bytes is longer than 65,535 bytes")
            }
            Self::PacketTooLong { length } => {
                write!(
                    f,
                    "a packet of {length} bytes is longer than 268,435,455 bytes"
                )
            }
            Self::IntegerTooLarge { value } => {
                write!(f, "{value} is more than 268,435,455")
            }
            Self::NotAnAcknowledgment { packet_type } => {
                write!(f, "{} is not an acknowledgment", packet_type.name())
            }
        }
    }
}

impl core::error::Error for WriteError {}

/// A CONNECT to write.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Decides the protocol name, the level byte and whether there are properties.
    pub level: ProtocolLevel,
    /// Clean Start (5), Clean Session (3.1.1).
    pub clean_start: bool,
    /// Seconds; 0 switches keep alive off.
    pub keep_alive: u16,
    /// Level 5 only.
    pub properties: &'a [Property<'a>],
    /// Client identifier, possibly empty.
    pub client_id: &'a [u8],
    /// The will.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a [u8]>,
    /// Password.
    pub password: Option<Secret<'a>>,
}

/// The will of a CONNECT to write.
#[derive(Clone, Copy, Debug)]
pub struct Will<'a> {
    /// 0 to 2.
    pub qos: u8,
    /// Will retain.
    pub retain: bool,
    /// Level 5 only.
    pub properties: &'a [Property<'a>],
    /// Will topic.
    pub topic: &'a [u8],
    /// Will payload.
    pub payload: &'a [u8],
}

/// A PUBLISH to write.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// DUP.
    pub dup: bool,
    /// 0 to 2 (the low two bits are written).
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Topic name.
    pub topic: &'a [u8],
    /// Packet identifier; not written at QoS 0.
    pub packet_id: u16,
    /// Level 5 only.
    pub properties: &'a [Property<'a>],
    /// Payload.
    pub payload: &'a [u8],
}

/// Appends a CONNECT.
///
/// # Errors
/// A field or the packet is too long.
pub fn connect(out: &mut Vec<u8>, packet: &Connect<'_>) -> Result<(), WriteError> {
    let flags = connect_flags(packet);
    write(out, first_byte(PacketType::Connect), |body| {
        body.prefixed(match packet.level {
            ProtocolLevel::V3_1 => b"MQIsdp",
            ProtocolLevel::V3_1_1 | ProtocolLevel::V5 => b"MQTT",
        })?;
        body.put(&[packet.level.number(), flags]);
        body.put(&packet.keep_alive.to_be_bytes());
        body.properties(packet.level, packet.properties)?;
        body.prefixed(packet.client_id)?;
        if let Some(will) = &packet.will {
            body.properties(packet.level, will.properties)?;
            body.prefixed(will.topic)?;
            body.prefixed(will.payload)?;
        }
        if let Some(user_name) = packet.user_name {
            body.prefixed(user_name)?;
        }
        if let Some(password) = packet.password {
            body.prefixed(password.expose())?;
        }
        Ok(())
    })
}

fn connect_flags(packet: &Connect<'_>) -> u8 {
    let will = packet.will.map_or(0, |will| {
        0x04 | (will.qos & 0x03) << 3 | u8::from(will.retain) << 5
    });
    will | u8::from(packet.clean_start) << 1
        | u8::from(packet.password.is_some()) << 6
        | u8::from(packet.user_name.is_some()) << 7
}

/// Appends a CONNACK.
///
/// # Errors
/// A property or the packet is too long.
pub fn connack(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    session_present: bool,
    reason_code: u8,
    properties: &[Property<'_>],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Connack), |body| {
        body.put(&[u8::from(session_present), reason_code]);
        body.properties(level, properties)
    })
}

/// Appends a PUBLISH.
///
/// # Errors
/// The topic, a property or the packet is too long.
pub fn publish(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    packet: &Publish<'_>,
) -> Result<(), WriteError> {
    let qos = packet.qos & 0x03;
    let flags = u8::from(packet.dup) << 3 | qos << 1 | u8::from(packet.retain);
    write(out, first_byte(PacketType::Publish) | flags, |body| {
        body.prefixed(packet.topic)?;
        if qos > 0 {
            body.put(&packet.packet_id.to_be_bytes());
        }
        body.properties(level, packet.properties)?;
        body.put(packet.payload);
        Ok(())
    })
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP; before level 5 without reason code, at level 5 in
/// the shortest form.
///
/// # Errors
/// `kind` is none of the four; a property or the packet is too long.
pub fn acknowledgment(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    kind: PacketType,
    packet_id: u16,
    reason_code: u8,
    properties: &[Property<'_>],
) -> Result<(), WriteError> {
    if !matches!(
        kind,
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp
    ) {
        return Err(WriteError::NotAnAcknowledgment { packet_type: kind });
    }
    write(out, first_byte(kind), |body| {
        body.put(&packet_id.to_be_bytes());
        body.reason_and_properties(level, reason_code, properties)
    })
}

/// Appends a SUBSCRIBE; before level 5 the options hold the requested QoS only.
///
/// # Errors
/// A filter, a property or the packet is too long.
pub fn subscribe(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    packet_id: u16,
    properties: &[Property<'_>],
    subscriptions: &[Subscription<'_>],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Subscribe), |body| {
        body.head(level, packet_id, properties)?;
        for subscription in subscriptions {
            body.prefixed(subscription.filter)?;
            body.put(&[subscription.options]);
        }
        Ok(())
    })
}

/// Appends a SUBACK.
///
/// # Errors
/// A property or the packet is too long.
pub fn suback(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    packet_id: u16,
    properties: &[Property<'_>],
    reason_codes: &[u8],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Suback), |body| {
        body.head(level, packet_id, properties)?;
        body.put(reason_codes);
        Ok(())
    })
}

/// Appends an UNSUBSCRIBE.
///
/// # Errors
/// A filter, a property or the packet is too long.
pub fn unsubscribe(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    packet_id: u16,
    properties: &[Property<'_>],
    filters: &[&[u8]],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Unsubscribe), |body| {
        body.head(level, packet_id, properties)?;
        for filter in filters {
            body.prefixed(filter)?;
        }
        Ok(())
    })
}

/// Appends an UNSUBACK; before level 5 without reason codes.
///
/// # Errors
/// A property or the packet is too long.
pub fn unsuback(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    packet_id: u16,
    properties: &[Property<'_>],
    reason_codes: &[u8],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Unsuback), |body| {
        body.head(level, packet_id, properties)?;
        if level.is_v5() {
            body.put(reason_codes);
        }
        Ok(())
    })
}

/// Appends a PINGREQ.
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[first_byte(PacketType::Pingreq), 0]);
}

/// Appends a PINGRESP.
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[first_byte(PacketType::Pingresp), 0]);
}

/// Appends a DISCONNECT; before level 5 without reason code, at level 5 in the shortest form.
///
/// # Errors
/// A property or the packet is too long.
pub fn disconnect(
    out: &mut Vec<u8>,
    level: ProtocolLevel,
    reason_code: u8,
    properties: &[Property<'_>],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Disconnect), |body| {
        body.reason_and_properties(level, reason_code, properties)
    })
}

/// Appends an AUTH, a packet of level 5.
///
/// # Errors
/// A property or the packet is too long.
pub fn auth(
    out: &mut Vec<u8>,
    reason_code: u8,
    properties: &[Property<'_>],
) -> Result<(), WriteError> {
    write(out, first_byte(PacketType::Auth), |body| {
        // 3.15.2.1: both may be left out only together.
        if reason_code != 0 || !properties.is_empty() {
            body.put(&[reason_code]);
            body.properties(ProtocolLevel::V5, properties)?;
        }
        Ok(())
    })
}

fn first_byte(packet_type: PacketType) -> u8 {
    packet_type.number() << 4 | packet_type.required_flags().unwrap_or(0)
}

/// Runs `body` twice: once to measure and check, once to write. So the lengths that stand in
/// front are known without a second buffer.
fn write(
    out: &mut Vec<u8>,
    first_byte: u8,
    body: impl Fn(&mut Sink<'_>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut measure = Sink::measuring();
    body(&mut measure)?;
    let length = measure.length;
    let remaining_length = u32::try_from(length)
        .ok()
        .filter(|&length| length <= MAXIMUM_REMAINING_LENGTH)
        .ok_or(WriteError::PacketTooLong { length })?;
    out.reserve(
        usize::try_from(remaining_length)
            .unwrap_or(0)
            .saturating_add(5),
    );
    let mut sink = Sink {
        out: Some(out),
        length: 0,
    };
    sink.put(&[first_byte]);
    sink.integer(remaining_length)?;
    body(&mut sink)
}

/// Counts bytes and, with a buffer, appends them.
struct Sink<'o> {
    out: Option<&'o mut Vec<u8>>,
    length: u64,
}

impl Sink<'_> {
    fn measuring() -> Self {
        Self {
            out: None,
            length: 0,
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.length = self
            .length
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    fn prefixed(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let length = u16::try_from(bytes.len()).map_err(|_| WriteError::FieldTooLong {
            length: bytes.len(),
        })?;
        self.put(&length.to_be_bytes());
        self.put(bytes);
        Ok(())
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    fn integer(&mut self, value: u32) -> Result<(), WriteError> {
        if value > MAXIMUM_REMAINING_LENGTH {
            return Err(WriteError::IntegerTooLarge { value });
        }
        let mut rest = value;
        loop {
            let low = u8::try_from(rest & 0x7f).unwrap_or(0);
            rest >>= 7;
            if rest == 0 {
                self.put(&[low]);
                return Ok(());
            }
            self.put(&[low | 0x80]);
        }
    }

    /// Packet identifier and properties, which SUBSCRIBE and its like begin with.
    fn head(
        &mut self,
        level: ProtocolLevel,
        packet_id: u16,
        properties: &[Property<'_>],
    ) -> Result<(), WriteError> {
        self.put(&packet_id.to_be_bytes());
        self.properties(level, properties)
    }

    /// [MQTT-2.2.2-1] "If there are no properties, this MUST be indicated by including a Property
    /// Length of zero."
    fn properties(
        &mut self,
        level: ProtocolLevel,
        properties: &[Property<'_>],
    ) -> Result<(), WriteError> {
        if !level.is_v5() {
            return Ok(());
        }
        let mut measure = Sink::measuring();
        for property in properties {
            measure.property(property)?;
        }
        let length = measure.length;
        self.integer(u32::try_from(length).map_err(|_| WriteError::PacketTooLong { length })?)?;
        for property in properties {
            self.property(property)?;
        }
        Ok(())
    }

    fn property(&mut self, property: &Property<'_>) -> Result<(), WriteError> {
        self.put(&[property.id().number()]);
        match property.value() {
            Value::Byte(value) => self.put(&[value]),
            Value::TwoBytes(value) => self.put(&value.to_be_bytes()),
            Value::FourBytes(value) => self.put(&value.to_be_bytes()),
            Value::Integer(value) => self.integer(value)?,
            Value::Prefixed(bytes) => self.prefixed(bytes)?,
            Value::Pair(name, value) => {
                self.prefixed(name)?;
                self.prefixed(value)?;
            }
        }
        Ok(())
    }

    /// The end of the packets that may leave out what is 0 or empty (3.4.2.1, 3.14.2.1).
    fn reason_and_properties(
        &mut self,
        level: ProtocolLevel,
        reason_code: u8,
        properties: &[Property<'_>],
    ) -> Result<(), WriteError> {
        if !level.is_v5() || (reason_code == 0 && properties.is_empty()) {
            return Ok(());
        }
        self.put(&[reason_code]);
        if properties.is_empty() {
            return Ok(());
        }
        self.properties(level, properties)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
