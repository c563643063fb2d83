//! CONNECT and CONNACK as facts.

use xxhash_rust::xxh3::xxh3_64;

use crate::mqtt::{Connack, Connect, Property, PropertyId};

use super::{ConnackFacts, ConnectFacts, WillFacts};

/// A user name longer than this is cut: it is only shown.
const KEPT_USER_NAME: usize = 256;

pub(super) fn connect_facts(packet: &Connect<'_>) -> ConnectFacts {
    let mut facts = ConnectFacts {
        client_id: packet.client_id.unwrap_or_default().into(),
        clean_start: packet.clean_start(),
        keep_alive: packet.keep_alive,
        will: packet.will.as_ref().map(|will| WillFacts {
            topic: will.topic.unwrap_or_default().into(),
            qos: packet.will_qos().unwrap_or(0),
            retain: packet.will_retain().unwrap_or(false),
            payload_length: u32::try_from(will.payload.unwrap_or_default().len())
                .unwrap_or(u32::MAX),
            payload_hash: xxh3_64(will.payload.unwrap_or_default()),
            delay: match will.properties.get(PropertyId::WillDelayInterval) {
                Some(Property::WillDelayInterval(seconds)) => seconds,
                _ => 0,
            },
        }),
        user_name: packet
            .user_name
            .map(|name| name.get(..KEPT_USER_NAME).unwrap_or(name).into()),
        session_expiry: None,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        problem_information: true,
        response_information: false,
        authentication_method: None,
    };
    for property in packet.properties.iter() {
        match property {
            Property::SessionExpiryInterval(seconds) => facts.session_expiry = Some(seconds),
            Property::ReceiveMaximum(count) => facts.receive_maximum = count,
            Property::MaximumPacketSize(bytes) => facts.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(count) => facts.topic_alias_maximum = count,
            Property::RequestProblemInformation(wanted) => facts.problem_information = wanted != 0,
            Property::RequestResponseInformation(wanted) => {
                facts.response_information = wanted != 0;
            }
            _ => {}
        }
    }
    facts.authentication_method = authentication_method(&packet.properties);
    facts
}

/// XXH3-64 of the Authentication Method.
pub(super) fn authentication_method(properties: &crate::mqtt::Properties<'_>) -> Option<u64> {
    match properties.get(PropertyId::AuthenticationMethod) {
        Some(Property::AuthenticationMethod(method)) => Some(xxh3_64(method)),
        _ => None,
    }
}

pub(super) fn connack_facts(packet: &Connack<'_>) -> ConnackFacts {
    let mut facts = ConnackFacts {
        reason_code: packet.reason_code.unwrap_or(0),
        session_present: packet.session_present().unwrap_or(false),
        assigned_client_id: None,
        server_keep_alive: None,
        session_expiry: None,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        maximum_qos: 2,
        retain_available: true,
        wildcard_available: true,
        subscription_identifier_available: true,
        shared_available: true,
    };
    for property in packet.properties.iter() {
        match property {
            Property::AssignedClientIdentifier(id) => facts.assigned_client_id = Some(id.into()),
            Property::ServerKeepAlive(seconds) => facts.server_keep_alive = Some(seconds),
            Property::SessionExpiryInterval(seconds) => facts.session_expiry = Some(seconds),
            Property::ReceiveMaximum(count) => facts.receive_maximum = count,
            Property::MaximumPacketSize(bytes) => facts.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(count) => facts.topic_alias_maximum = count,
            Property::MaximumQos(qos) => facts.maximum_qos = qos,
            Property::RetainAvailable(available) => facts.retain_available = available != 0,
            Property::WildcardSubscriptionAvailable(available) => {
                facts.wildcard_available = available != 0;
            }
            Property::SubscriptionIdentifierAvailable(available) => {
                facts.subscription_identifier_available = available != 0;
            }
            Property::SharedSubscriptionAvailable(available) => {
                facts.shared_available = available != 0;
            }
            _ => {}
        }
    }
    facts
}

/// Session Expiry Interval of a DISCONNECT: 0 ends the session with the connection.
pub(super) fn disconnect_expiry(properties: &crate::mqtt::Properties<'_>) -> Option<u32> {
    match properties.get(PropertyId::SessionExpiryInterval) {
        Some(Property::SessionExpiryInterval(seconds)) => Some(seconds),
        _ => None,
    }
}
