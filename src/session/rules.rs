//! Rules of the conversation that are checked on a packet before it changes anything.

use crate::mqtt::topic::SharedFilter;
use crate::mqtt::{Packet, PacketType, PropertyId, ProtocolLevel};

use super::connection::{ConnectionState, Welcome};
use super::handshake::{authentication_method, disconnect_expiry};
use super::{Received, SessionViolation as V, SessionViolations, Towards};

/// The rules of who may send what, and when.
#[inline(always)]
pub(super) fn check_order(
    state: &ConnectionState,
    towards: Towards,
    packet_type: PacketType,
    violations: &mut SessionViolations,
) {
    match towards {
        Towards::Broker => from_client(state, packet_type, violations),
        Towards::Client => from_broker(state, packet_type, violations),
    }
}

#[inline(always)]
fn from_client(
    state: &ConnectionState,
    packet_type: PacketType,
    violations: &mut SessionViolations,
) {
    use PacketType as T;
    let first = state.packets.to_broker == 0;
    // [MQTT-3.1.0-1] the first packet sent from the client must be a CONNECT.
    let unannounced = first && packet_type != T::Connect && state.complete();
    violations.insert_if(unannounced, V::NotIntroduced);
    // [MQTT-3.1.0-2] a second CONNECT is a protocol violation.
    let second = packet_type == T::Connect && state.introduced;
    violations.insert_if(second, V::SecondConnect);
    violations.insert_if(state.disconnected, V::AfterDisconnect);
    let wrong = matches!(
        packet_type,
        T::Connack | T::Suback | T::Unsuback | T::Pingresp
    );
    violations.insert_if(wrong, V::OnlyFromBroker);
    if state.welcome == Welcome::Unseen
        && !matches!(packet_type, T::Connect | T::Auth | T::Disconnect)
    {
        // [MQTT-3.1.2-30] Where the broker's side was never seen, its CONNACK may have come.
        let method = state.connect.as_ref();
        let authenticates = method.is_some_and(|connect| connect.authentication_method.is_some());
        let both_sides = state.packets.to_client > 0 && state.complete();
        violations.insert_if(authenticates && both_sides, V::DuringAuthentication);
    }
}

#[inline(always)]
fn from_broker(
    state: &ConnectionState,
    packet_type: PacketType,
    violations: &mut SessionViolations,
) {
    use PacketType as T;
    let v5 = state.level.is_v5();
    let wrong = matches!(
        packet_type,
        T::Connect | T::Subscribe | T::Unsubscribe | T::Pingreq
    ) || (packet_type == T::Disconnect && !v5);
    violations.insert_if(wrong, V::OnlyFromClient);
    // [MQTT-3.14.4-1]; no broker sends DISCONNECT before MQTT 5.
    violations.insert_if(state.dismissed && v5, V::AfterDisconnect);
    if state.welcome == Welcome::Unseen {
        // [MQTT-3.2.0-1] In MQTT 5 AUTH may come before.
        let allowed = packet_type == T::Connack || wrong || (packet_type == T::Auth && v5);
        violations.insert_if(!allowed && state.complete(), V::ConnackNotFirst);
        return;
    }
    if packet_type == T::Connack {
        violations.insert(V::SecondConnack);
    } else if state.welcome == Welcome::Refused {
        // [MQTT-3.2.2-7, 3.1.1: MQTT-3.2.2-5]
        violations.insert(V::AfterRefusal);
    }
}

/// What a packet says against the terms of the connection, MQTT 5.
#[inline]
pub(super) fn check_properties(
    state: &ConnectionState,
    received: &Received<'_>,
    violations: &mut SessionViolations,
) {
    use PacketType as T;
    let (packet, towards) = (&received.parsed.packet, received.towards);
    // Nothing below concerns what most packets are, and what is asked of the connection is far
    // from what they need.
    let is_usual = matches!(packet, Packet::Publish(_) | Packet::Acknowledgment(_));
    let properties = packet.properties();
    if is_usual && (towards == Towards::Broker || properties.is_empty()) {
        return;
    }
    if let (Packet::Disconnect(disconnect), code) = (packet, reason_of(packet)) {
        let expiry = disconnect_expiry(&disconnect.properties);
        let not_allowed = match towards {
            // [MQTT-3.14.2-2] never by the broker.
            Towards::Client => expiry.is_some(),
            // Section 3.14.2.2.2: not where the CONNECT said that nothing is kept.
            Towards::Broker => {
                let connect = state.connect.as_ref();
                let ends = connect.is_some_and(|facts| facts.session_expiry.unwrap_or(0) == 0);
                ends && expiry.is_some_and(|seconds| seconds > 0)
            }
        };
        violations.insert_if(not_allowed, V::SessionExpiryNotAllowed);
        violations.insert_if(
            other_sides(T::Disconnect, towards, code),
            V::OtherSidesReasonCode,
        );
    }
    if let (Packet::Auth(_), code) = (packet, reason_of(packet)) {
        violations.insert_if(other_sides(T::Auth, towards, code), V::OtherSidesReasonCode);
    }
    if let (Packet::Auth(_) | Packet::Connack(_), Some(connect)) = (packet, &state.connect) {
        // [MQTT-4.12.0-5] to [MQTT-4.12.0-7]
        let method = authentication_method(&properties);
        let accepted = matches!(packet, Packet::Connack(connack) if connack.reason_code == Some(0));
        // An AUTH without a method breaks a rule by itself, and a refusal needs none.
        let other = match packet {
            Packet::Auth(_) if connect.authentication_method.is_none() => true,
            _ if method.is_none() && !accepted => false,
            _ => method != connect.authentication_method,
        };
        violations.insert_if(other, V::AuthenticationMethodUnknown);
    }
    if towards == Towards::Client && !properties.is_empty() {
        let declined = match packet {
            Packet::Publish(_) | Packet::Disconnect(_) => false,
            Packet::Connack(_) => {
                let connect = state.connect.as_ref();
                properties.contains(PropertyId::ResponseInformation)
                    && connect.is_some_and(|connect| !connect.response_information)
            }
            _ => {
                !state.terms.problem_information
                    && (properties.contains(PropertyId::ReasonString)
                        || properties.contains(PropertyId::UserProperty))
            }
        };
        violations.insert_if(declined, V::UnwantedInformation);
    }
}

fn reason_of(packet: &Packet<'_>) -> u8 {
    match packet {
        Packet::Disconnect(disconnect) => disconnect.reason_code.unwrap_or(0),
        Packet::Auth(auth) => auth.reason_code.unwrap_or(0),
        _ => 0,
    }
}

/// Whether only the receiver may send this reason code: the column "Sent by" of the tables in
/// sections 3.14.2.1 and 3.15.2.1.
const fn other_sides(packet_type: PacketType, towards: Towards, code: u8) -> bool {
    match (packet_type, towards) {
        (PacketType::Disconnect, Towards::Broker) => {
            matches!(code, 0x87 | 0x89 | 0x8B | 0x8D | 0x8E | 0x8F | 0x9A..=0xA2)
        }
        (PacketType::Disconnect, Towards::Client) => code == 0x04,
        (PacketType::Auth, Towards::Broker) => code == 0x00,
        (PacketType::Auth, Towards::Client) => code == 0x19,
        _ => false,
    }
}

/// What a CONNACK contradicts: the CONNECT, or itself. Call it when `state` has both.
pub(super) fn check_connack(state: &ConnectionState, violations: &mut SessionViolations) {
    let (Some(connect), Some(connack)) = (&state.connect, &state.connack) else {
        return;
    };
    if connack.reason_code != 0 {
        return;
    }
    // [MQTT-3.2.2-2, 3.1.1: MQTT-3.2.2-1]; MQTT 3.1 does not know the flag.
    let unasked = connack.session_present && connect.clean_start == Some(true);
    violations.insert_if(
        unasked && state.level != ProtocolLevel::V3_1,
        V::SessionPresentUnasked,
    );
    if !state.level.is_v5() {
        return;
    }
    // [MQTT-3.2.2-16]
    let unassigned = connect.client_id.is_empty() && connack.assigned_client_id.is_none();
    violations.insert_if(unassigned, V::AssignedIdentifierMissing);
    // [MQTT-3.2.2-12] and [MQTT-3.2.2-13]: such a CONNECT has to be refused.
    let beyond = connect.will.as_ref().is_some_and(|will| {
        will.qos > connack.maximum_qos || (will.retain && !connack.retain_available)
    });
    violations.insert_if(beyond, V::WillBeyondLimits);
}

/// A SUBSCRIBE or UNSUBSCRIBE: its packet identifier, and what the broker announced to take.
///
/// [MQTT-2.3.1-2, MQTT 5: MQTT-2.2.1-3] one pool of identifiers serves what a client sends:
/// SUBSCRIBE and UNSUBSCRIBE take none that a message or another request still uses.
pub(super) fn check_request(
    state: &ConnectionState,
    received: &Received<'_>,
    violations: &mut SessionViolations,
) {
    let packet = &received.parsed.packet;
    // MQTT 3.1 sends a request again with the same identifier.
    if let Some(packet_id) = packet.packet_id()
        && state.level != ProtocolLevel::V3_1
        && state.complete()
    {
        let used = state.exchanges.to_broker.find(packet_id).is_some()
            || state.subscriptions.awaits(packet_id);
        violations.insert_if(used, V::PacketIdentifierInUse);
    }
    let (Packet::Subscribe(subscribe), Some(connack)) = (packet, &state.connack) else {
        return;
    };
    let marked = subscribe
        .properties
        .contains(PropertyId::SubscriptionIdentifier);
    violations.insert_if(
        marked && !connack.subscription_identifier_available,
        V::SubscriptionIdentifierNotAvailable,
    );
    if connack.wildcard_available && connack.shared_available {
        return;
    }
    for subscription in subscribe.subscriptions {
        let filter = subscription.filter;
        let wildcard = filter.iter().any(|byte| matches!(byte, b'+' | b'#'));
        let shared = SharedFilter::parse(filter).is_some();
        violations.insert_if(
            wildcard && !connack.wildcard_available,
            V::WildcardNotAvailable,
        );
        violations.insert_if(shared && !connack.shared_available, V::SharedNotAvailable);
    }
}

/// A packet larger than its receiver takes [MQTT-3.1.2-24, MQTT-3.2.2-15].
pub(super) fn check_size(
    state: &ConnectionState,
    received: &Received<'_>,
    violations: &mut SessionViolations,
) {
    let maximum = *state.terms.maximum_packet_size.get(received.towards);
    let exceeded = received.header.packet_length() > maximum;
    violations.insert_if(exceeded, V::MaximumPacketSizeExceeded);
}
