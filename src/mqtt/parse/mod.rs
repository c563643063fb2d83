//! Bytes to packets.

mod connect;
mod publish;
mod subscribe;

use super::property::{self, PropertyOwner};
use super::reader::{Reader, Stop, length_of};
use super::{
    Acknowledgment, Auth, Connack, Disconnect, Field, Malformed, Packet, PacketType, ProtocolLevel,
    Violation, Violations, reason,
};

/// All that one packet's bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parsed<'a> {
    /// The packet, as far as it could be read.
    pub packet: Packet<'a>,
    /// The rules that it breaks.
    pub violations: Violations,
    /// Where it stops making sense, if it does.
    pub malformed: Option<Malformed>,
}

impl Default for Parsed<'_> {
    /// Nothing yet; see [`parse_into`].
    #[inline]
    fn default() -> Self {
        Self {
            packet: Packet::Reserved,
            violations: Violations::NONE,
            malformed: None,
        }
    }
}

impl Parsed<'_> {
    /// Whether the packet can be parsed to its end and breaks no MUST.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.malformed.is_none() && !self.violations.has_error()
    }
}

/// What the first bytes of a packet say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefix<'a> {
    /// All but the payload of a PUBLISH: nothing else would change with more bytes, except
    /// [`Violation::PayloadNotUtf8`], which needs the whole payload.
    Parsed(Parsed<'a>),
    /// More bytes are needed; the fields that are whole are given. When no more will come (the
    /// snap length cut the frame), this is what can be known.
    NeedMore(Parsed<'a>),
}

/// Parses one whole packet: its first byte and the bytes after the fixed header.
///
/// `level` is the level of the connection; a CONNECT names its own and ignores it.
#[must_use]
#[inline]
pub fn parse(first_byte: u8, body: &[u8], level: ProtocolLevel) -> Parsed<'_> {
    let mut parsed = Parsed::default();
    parse_into(&mut parsed, first_byte, body, level);
    parsed
}

/// [`parse`] to a place, which has to be the [default](Parsed::default): a value of this size is
/// better not handed on.
#[inline(always)]
pub fn parse_into<'a>(
    parsed: &mut Parsed<'a>,
    first_byte: u8,
    body: &'a [u8],
    level: ProtocolLevel,
) {
    // Nothing can be missing of a packet that is as long as its bytes.
    let _ = fill(parsed, first_byte, body, length_of(body), level);
}

/// Parses the first bytes of a packet of `remaining_length` bytes.
///
/// A PUBLISH is [`Prefix::Parsed`] as soon as its topic, packet identifier and properties are
/// there. Any other packet is so when it is whole, or when what is there cannot be parsed however
/// it goes on. Each call parses from the start: call again when the packet is whole (or, for a
/// PUBLISH, when more came), not for each byte.
#[must_use]
pub fn parse_prefix(
    first_byte: u8,
    body: &[u8],
    remaining_length: u32,
    level: ProtocolLevel,
) -> Prefix<'_> {
    let mut parsed = Parsed::default();
    if fill(&mut parsed, first_byte, body, remaining_length, level) {
        Prefix::Parsed(parsed)
    } else {
        Prefix::NeedMore(parsed)
    }
}

/// Parses into `parsed` and says whether that is final. In place, because a [`Packet`] is as
/// large as a CONNECT and the small packets are the frequent ones.
#[inline(always)]
fn fill<'a>(
    parsed: &mut Parsed<'a>,
    first_byte: u8,
    body: &'a [u8],
    remaining_length: u32,
    level: ProtocolLevel,
) -> bool {
    let packet_type = PacketType::from_first_byte(first_byte);
    if let Some(acknowledgment) = plain_acknowledgment(first_byte, body, remaining_length) {
        parsed.packet = Packet::Acknowledgment(acknowledgment);
        return true;
    }
    let mut reader = Reader::new(body, remaining_length);
    let mut violations = Violations::NONE;
    check_flags(packet_type, first_byte, level, &mut violations);
    let end = match packet_type {
        PacketType::Publish => {
            let publish = publish::from_flags(first_byte, &mut violations);
            parsed.packet = Packet::Publish(publish);
            let Packet::Publish(publish) = &mut parsed.packet else {
                return true;
            };
            publish::read(publish, &mut reader, level, &mut violations)
        }
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            parsed.packet = Packet::Acknowledgment(Acknowledgment {
                kind: packet_type,
                packet_id: None,
                reason_code: None,
                properties: super::Properties::default(),
            });
            let Packet::Acknowledgment(acknowledgment) = &mut parsed.packet else {
                return true;
            };
            read_acknowledgment(acknowledgment, &mut reader, level, &mut violations)
        }
        _ => fill_infrequent(
            &mut parsed.packet,
            first_byte,
            &mut reader,
            level,
            &mut violations,
        ),
    };
    parsed.violations = violations;
    match end {
        Ok(()) => true,
        Err(Stop::NeedMore) => false,
        Err(Stop::Malformed(malformed)) => {
            parsed.malformed = Some(malformed);
            true
        }
    }
}

/// The form that nearly every acknowledgment has, at every level: a packet identifier and nothing
/// else, and nothing to object to.
#[inline]
fn plain_acknowledgment<'a>(
    first_byte: u8,
    body: &'a [u8],
    remaining_length: u32,
) -> Option<Acknowledgment<'a>> {
    let &[high, low] = body else {
        return None;
    };
    let packet_id = u16::from_be_bytes([high, low]);
    if !matches!(first_byte, 0x40 | 0x50 | 0x62 | 0x70) || remaining_length != 2 || packet_id == 0 {
        return None;
    }
    Some(Acknowledgment {
        kind: PacketType::from_first_byte(first_byte),
        packet_id: Some(packet_id),
        reason_code: None,
        properties: super::Properties::default(),
    })
}

#[inline(always)]
fn fill_infrequent<'a>(
    packet: &mut Packet<'a>,
    first_byte: u8,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    /// Makes the packet one of this kind, of which nothing is known yet.
    macro_rules! begin {
        ($kind:ident) => {{
            *packet = Packet::$kind(Default::default());
            let Packet::$kind(begun) = packet else {
                return Ok(());
            };
            begun
        }};
    }
    match PacketType::from_first_byte(first_byte) {
        PacketType::Connect => connect::read(begin!(Connect), first_byte, reader, violations),
        PacketType::Connack => connack(begin!(Connack), reader, level, violations),
        PacketType::Subscribe => subscribe::subscribe(begin!(Subscribe), reader, level, violations),
        PacketType::Suback => subscribe::suback(begin!(Suback), reader, level, violations),
        PacketType::Unsubscribe => {
            subscribe::unsubscribe(begin!(Unsubscribe), reader, level, violations)
        }
        PacketType::Unsuback => subscribe::unsuback(begin!(Unsuback), reader, level, violations),
        PacketType::Disconnect => disconnect(begin!(Disconnect), reader, level, violations),
        PacketType::Auth => auth(begin!(Auth), reader, level, violations),
        PacketType::Pingreq => {
            *packet = Packet::Pingreq;
            no_body(reader, violations)
        }
        PacketType::Pingresp => {
            *packet = Packet::Pingresp;
            no_body(reader, violations)
        }
        _ => {
            *packet = Packet::Reserved;
            violations.insert(Violation::ReservedPacketType);
            Ok(())
        }
    }
}

/// [MQTT-2.2.2-1], [MQTT-2.1.3-1] "Where a flag bit is marked as “Reserved” it is reserved for
/// future use and MUST be set to the value listed."
#[inline]
fn check_flags(
    packet_type: PacketType,
    first_byte: u8,
    level: ProtocolLevel,
    violations: &mut Violations,
) {
    // A CONNECT's flags are judged by the level that it names itself.
    if packet_type == PacketType::Connect || packet_type == PacketType::Reserved {
        return;
    }
    let Some(required) = packet_type.required_flags() else {
        return;
    };
    let flags = first_byte & 0x0f;
    let broken = if level == ProtocolLevel::V3_1 {
        // In 3.1 the three packets that are sent at QoS 1 may carry DUP, and the flags of all
        // others are "not used".
        required != 0 && flags & 0b0111 != required
    } else {
        flags != required
    };
    violations.insert_if(broken, Violation::ReservedFlags);
}

/// Anything after a packet's content; a packet that has not arrived to its end is not judged.
#[inline]
fn at_end(reader: &Reader<'_>, violations: &mut Violations) -> Result<(), Stop> {
    violations.insert_if(reader.remaining() != 0, Violation::TrailingBytes);
    whole(reader)
}

#[inline]
fn whole(reader: &Reader<'_>) -> Result<(), Stop> {
    if reader.is_whole() {
        Ok(())
    } else {
        Err(Stop::NeedMore)
    }
}

fn no_body(reader: &Reader<'_>, violations: &mut Violations) -> Result<(), Stop> {
    violations.insert_if(reader.remaining() != 0, Violation::BodyNotAllowed);
    whole(reader)
}

/// The packet identifier of a packet that must have one other than 0.
#[inline]
fn packet_id(reader: &mut Reader<'_>, violations: &mut Violations) -> Result<u16, Stop> {
    let id = reader.two_bytes(Field::PacketIdentifier)?;
    violations.insert_if(id == 0, Violation::PacketIdentifierZero);
    Ok(id)
}

/// Checks one reason code.
#[inline]
fn check_reason(
    packet_type: PacketType,
    code: u8,
    level: ProtocolLevel,
    violations: &mut Violations,
) {
    violations.insert_if(
        !reason::is_known(packet_type, code, level),
        Violation::UnknownReasonCode,
    );
}

#[inline]
fn read_acknowledgment<'a>(
    acknowledgment: &mut Acknowledgment<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    acknowledgment.packet_id = Some(packet_id(reader, violations)?);
    // 3.4.2.1: "The Reason Code and Property Length can be omitted if the Reason Code is 0x00
    // (Success) and there are no Properties. In this case the PUBACK has a Remaining Length of 2."
    if level.is_v5() && reader.remaining() > 0 {
        let code = reader.byte(Field::ReasonCode)?;
        acknowledgment.reason_code = Some(code);
        check_reason(acknowledgment.kind, code, level, violations);
        // 3.4.2.2.1: "If the Remaining Length is less than 4 there is no Property Length and the
        // value of 0 is used."
        if reader.remaining() > 0 {
            property::parse(
                reader,
                PropertyOwner::Packet(acknowledgment.kind),
                &mut acknowledgment.properties,
                violations,
            )?;
        }
    }
    at_end(reader, violations)
}

fn connack<'a>(
    connack: &mut Connack<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let flags = reader.byte(Field::ConnackFlags)?;
    connack.flags = Some(flags);
    let code = reader.byte(Field::ReasonCode)?;
    connack.reason_code = Some(code);
    // A server that does not know MQTT 5 refuses its CONNECT in the form that it knows.
    let older = level.is_v5() && reader.remaining() == 0 && !matches!(code, 0x80..);
    let level = if older {
        violations.insert(Violation::OlderConnack);
        ProtocolLevel::V3_1_1
    } else {
        level
    };
    check_reason(PacketType::Connack, code, level, violations);
    // The byte is "reserved" and unchecked in 3.1.
    if level != ProtocolLevel::V3_1 {
        violations.insert_if(flags & 0xfe != 0, Violation::ConnackReservedFlags);
        violations.insert_if(
            flags & 1 != 0 && code != 0,
            Violation::SessionPresentWithError,
        );
    }
    if level.is_v5() {
        property::parse(
            reader,
            PropertyOwner::Packet(PacketType::Connack),
            &mut connack.properties,
            violations,
        )?;
    }
    at_end(reader, violations)
}

fn disconnect<'a>(
    disconnect: &mut Disconnect<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    if !level.is_v5() {
        return no_body(reader, violations);
    }
    read_reason_and_properties(
        PacketType::Disconnect,
        &mut disconnect.reason_code,
        &mut disconnect.properties,
        reader,
        violations,
    )
}

fn auth<'a>(
    auth: &mut Auth<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    if !level.is_v5() {
        // Type 15 is "Forbidden, Reserved" before MQTT 5; its content has no meaning.
        violations.insert(Violation::PacketTypeNotInLevel);
        return whole(reader);
    }
    let has_body = reader.remaining() > 0;
    let end = read_reason_and_properties(
        PacketType::Auth,
        &mut auth.reason_code,
        &mut auth.properties,
        reader,
        violations,
    );
    // 3.15.2.2.2: "It is a Protocol Error to omit the Authentication Method", while 3.15.2.1 lets
    // an AUTH of Success have a remaining length of 0.
    let method = super::PropertyId::AuthenticationMethod;
    violations.insert_if(
        has_body && end.is_ok() && !auth.properties.contains(method),
        Violation::AuthenticationMethodMissing,
    );
    end
}

/// Variable header of DISCONNECT and AUTH in MQTT 5: all of it may be left out, or all after the
/// reason code.
fn read_reason_and_properties<'a>(
    packet_type: PacketType,
    reason_code: &mut Option<u8>,
    properties: &mut super::Properties<'a>,
    reader: &mut Reader<'a>,
    violations: &mut Violations,
) -> Result<(), Stop> {
    if reader.remaining() == 0 {
        return Ok(());
    }
    let code = reader.byte(Field::ReasonCode)?;
    *reason_code = Some(code);
    check_reason(packet_type, code, ProtocolLevel::V5, violations);
    // 3.14.2.2.1: "If the Remaining Length is less than 2, a value of 0 is used."
    if reader.remaining() > 0 {
        let owner = PropertyOwner::Packet(packet_type);
        property::parse(reader, owner, properties, violations)?;
    }
    at_end(reader, violations)
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
