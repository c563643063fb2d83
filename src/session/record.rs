//! What the session layer tells of what is finished.

use crate::tcp::Endpoint;
use crate::time::{TimeDelta, Timestamp};

use super::{ConnectionState, ExchangeOutcome, Towards};

/// A delay between two packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DelayKind {
    /// PUBLISH (QoS 1) to PUBACK.
    Puback,
    /// PUBLISH (QoS 2) to PUBREC.
    Pubrec,
    /// PUBREC to PUBREL.
    Pubrel,
    /// PUBREL to PUBCOMP.
    Pubcomp,
    /// PUBLISH (QoS 2) to PUBCOMP.
    Qos2Total,
    /// CONNECT to CONNACK.
    Connect,
    /// SUBSCRIBE to SUBACK.
    Subscribe,
    /// PINGREQ to PINGRESP.
    Ping,
}

impl DelayKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 8] = [
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Qos2Total,
        Self::Connect,
        Self::Subscribe,
        Self::Ping,
    ];
}

/// A QoS 1 or QoS 2 exchange, over.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeRecord<'a> {
    /// Number of the connection.
    pub connection: u64,
    /// The tap that saw it.
    pub tap: u16,
    /// Which way the message went.
    pub towards: Towards,
    /// Its packet identifier.
    pub packet_id: u16,
    /// 1 or 2; unknown where only an acknowledgment without QoS was seen.
    pub qos: u8,
    /// Its topic; empty where the PUBLISH was not seen.
    pub topic: &'a [u8],
    /// How often the PUBLISH was seen.
    pub transmissions: u32,
    /// First byte of the first PUBLISH.
    pub publish: Option<Timestamp>,
    /// Last byte of the PUBACK.
    pub puback: Option<Timestamp>,
    /// Last byte of the PUBREC.
    pub pubrec: Option<Timestamp>,
    /// Last byte of the PUBREL.
    pub pubrel: Option<Timestamp>,
    /// Last byte of the PUBCOMP.
    pub pubcomp: Option<Timestamp>,
    /// How it ended.
    pub outcome: ExchangeOutcome,
    /// Reason code of the last acknowledgment; MQTT 5, or none.
    pub reason_code: Option<u8>,
    /// The capture lost frames between its begin and its end.
    pub uncertain: bool,
}

impl ExchangeRecord<'_> {
    /// From the first PUBLISH to PUBACK or PUBCOMP.
    #[must_use]
    pub fn total(&self) -> Option<TimeDelta> {
        let end = if self.qos == 1 {
            self.puback
        } else {
            self.pubcomp
        };
        Some(end? - self.publish?)
    }
}

/// A topic filter of a SUBSCRIBE, over.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionRecord<'a> {
    /// Number of the connection.
    pub connection: u64,
    /// The tap that saw it.
    pub tap: u16,
    /// Who subscribed, if known.
    pub client_id: Option<&'a [u8]>,
    /// The filter as it was sent.
    pub filter: &'a [u8],
    /// The QoS asked for.
    pub requested_qos: u8,
    /// The QoS granted, unless refused or unanswered.
    pub granted_qos: Option<u8>,
    /// The code of the SUBACK.
    pub reason_code: Option<u8>,
    /// First byte of the SUBSCRIBE.
    pub subscribe: Timestamp,
    /// Last byte of the SUBACK.
    pub suback: Option<Timestamp>,
    /// First byte of the UNSUBSCRIBE that ended it, or of the SUBSCRIBE that replaced it.
    pub unsubscribe: Option<Timestamp>,
}

/// A client identifier at one broker, across its connections.
#[derive(Clone, Copy, Debug)]
pub struct SessionRecord<'a> {
    /// 1-based, in order of first connection.
    pub session: u64,
    /// The tap that saw it.
    pub tap: u16,
    /// The client identifier; empty for an anonymous client.
    pub client_id: &'a [u8],
    /// The broker.
    pub broker: Endpoint,
    /// Connections that the broker accepted.
    pub connections: u32,
    /// First byte of the first CONNECT.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// Connections that the broker answered with Session Present.
    pub resumed: u32,
    /// Connections that began while another of the same client was open.
    pub taken_over: u32,
    /// Topic filters that the broker granted.
    pub subscriptions: u64,
    /// PUBLISH packets from the client.
    pub publishes_sent: u64,
    /// PUBLISH packets to the client.
    pub publishes_received: u64,
    /// Silences of the client longer than one and a half times its keep-alive.
    pub keep_alive_violations: u64,
    /// Wills that the broker published for it, as far as a subscriber was seen to get them.
    pub will_published: u64,
}

/// A topic filter that the broker granted.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The filter as it was sent.
    pub filter: &'a [u8],
    /// The options as they were sent: the QoS asked for, and those of MQTT 5.
    pub options: u8,
    /// The QoS granted.
    pub qos: u8,
}

/// Takes what the session layer has to tell.
pub trait Observer {
    /// An exchange is over.
    fn exchange(&mut self, record: &ExchangeRecord<'_>);
    /// A subscription is over.
    fn subscription(&mut self, record: &SubscriptionRecord<'_>);
    /// A session is over, or the capture.
    fn session(&mut self, record: &SessionRecord<'_>);
    /// A delay was measured; `towards` is the way of the message or of the request.
    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta);
    /// A SUBACK granted a filter, which may replace an earlier one of the same name; or an
    /// UNSUBACK left it.
    fn granted(&mut self, _state: &ConnectionState, _grant: &Grant<'_>) {}
    /// An UNSUBSCRIBE named a filter.
    fn withdrawn(&mut self, _state: &ConnectionState, _filter: &[u8]) {}
}

impl<O: Observer> Observer for Option<O> {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.exchange(record));
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.subscription(record));
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.session(record));
    }

    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        self.iter_mut()
            .for_each(|observer| observer.delay(kind, towards, delay));
    }
}

/// Both are told, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.0.exchange(record);
        self.1.exchange(record);
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        self.0.subscription(record);
        self.1.subscription(record);
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        self.0.session(record);
        self.1.session(record);
    }

    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        self.0.delay(kind, towards, delay);
        self.1.delay(kind, towards, delay);
    }

    fn granted(&mut self, state: &ConnectionState, grant: &Grant<'_>) {
        self.0.granted(state, grant);
        self.1.granted(state, grant);
    }

    fn withdrawn(&mut self, state: &ConnectionState, filter: &[u8]) {
        self.0.withdrawn(state, filter);
        self.1.withdrawn(state, filter);
    }
}
