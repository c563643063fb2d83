//! rumqttc 0.25 as the client under test: the same cells, schedules and bookkeeping, with its own
//! connections and its own handshakes.
//!
//! It is no clock. Messages are handed to it on time by a thread of this crate, and what it tells is
//! stamped when its event comes out, after it has written and flushed whatever answers the packets
//! that it read at once. So receive times hold the writing of acknowledgements at QoS 1 and 2 and not
//! at QoS 0, and when PUBREL and the receiver's acknowledgements were written nobody can say. It
//! never sets DUP on what it sends again, and where the broker has no session any more after a lost
//! connection it drops what was queued without a word: those messages end as not written.
//!
//! Each event loop is polled by a task of its own and never cancelled, which it could not bear while
//! it connects.

mod events;
mod publish;
mod subscribe;

use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnAck, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    QoS, StateError, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::runtime::{Builder, Runtime};

use crate::mqtt::{MAXIMUM_REMAINING_LENGTH, ProtocolLevel};
use crate::results::escape;

use super::error::{CellError, LinkError};
use super::handshake::{KEEP_ALIVE_S, Welcome};
use super::line::Context;
use super::target::{Dialect, Role};

pub(super) use publish::publish;
pub(super) use subscribe::subscribe;

/// Requests that wait for the event loop: as many as its examples have. What is more waits
/// outside, where it counts as held up.
const REQUESTS: usize = 10;
/// Room for what a broker may add to a packet.
const ROOM: usize = 16 << 10;

/// A client that is connected, and subscribed if it is a subscriber.
struct Client {
    requests: AsyncClient,
    events: EventLoop,
    /// The QoS of the subscription.
    granted: u8,
    session_present: bool,
}

/// The clients of one side of a cell, and what they run on.
pub(super) struct Opened {
    runtime: Runtime,
    clients: Vec<Client>,
}

/// What rumqttc hands on of a CONNACK of MQTT 3.1.1, which has no limits in it.
pub(super) fn welcome(session_present: bool) -> Welcome {
    Welcome {
        session_present,
        receive_maximum: u16::MAX,
        maximum_packet: None,
        maximum_qos: 2,
        retain_available: true,
        shared_available: true,
        wildcard_available: true,
        topic_alias_maximum: 0,
    }
}

/// Connects the clients of one side, one after the other.
pub(super) fn open(
    context: &Context<'_>,
    count: u32,
    role: fn(u32) -> Role,
) -> Result<Opened, CellError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CellError::Thread(error.to_string()))?;
    let clients: Result<Vec<Client>, CellError> = (0..count)
        .map(|number| {
            let role = role(number);
            let (requests, mut events) = make(context, role)?;
            let limit = context.dialect.timeout;
            let connected = runtime.block_on(async {
                tokio::time::timeout(limit, connect(context, role, &requests, &mut events)).await
            });
            let error = |error| CellError::Connect {
                client: role.to_string(),
                error,
            };
            let no_answer = |_| LinkError::NoAnswer {
                to: "CONNECT or SUBSCRIBE",
                milliseconds: limit.as_millis(),
            };
            let connected = connected.map_err(no_answer).and_then(|result| result);
            let (session_present, granted) = connected.map_err(error)?;
            Ok(Client {
                requests,
                events,
                granted,
                session_present,
            })
        })
        .collect();
    Ok(Opened {
        clients: clients?,
        runtime,
    })
}

impl Opened {
    /// What the broker said to the first of them.
    pub(super) fn welcome(&self) -> Option<Welcome> {
        let first = self.clients.first()?;
        Some(welcome(first.session_present))
    }
}

fn make(context: &Context<'_>, role: Role) -> Result<(AsyncClient, EventLoop), CellError> {
    let plan = context.plan;
    if context.dialect.level != ProtocolLevel::V3_1_1 {
        return Err(CellError::Plan(
            "rumqttc is driven at MQTT 3.1.1 only".into(),
        ));
    }
    let Some((host, port)) = context.connector.address() else {
        return Err(CellError::Plan(
            "rumqttc makes its connections itself, and here it has no address to make them to"
                .into(),
        ));
    };
    let client_id = match role {
        Role::Publisher(number) => plan.client_id('p', number),
        Role::Subscriber(number) => plan.client_id('s', number),
        Role::Control => plan.client_id('c', 0),
    };
    let mut options = options(client_id, (host, port), context.dialect);
    options.set_clean_session(!plan.keep_session);
    options.set_inflight(plan.window.max(1));
    // By default 10 KiB each way, which ends the connection for larger payloads.
    let longest = usize::try_from(plan.packet_bytes())
        .unwrap_or(usize::MAX)
        .saturating_add(ROOM)
        .min(MAXIMUM_REMAINING_LENGTH as usize);
    options.set_max_packet_size(longest, longest);
    let (requests, mut events) = AsyncClient::new(options, REQUESTS);
    events.set_network_options(network(context.dialect));
    Ok((requests, events))
}

/// Options of a client of rumqttc, with user, password and TLS.
pub(super) fn options(
    client_id: String,
    (host, port): (&str, u16),
    dialect: &Dialect,
) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, host, port);
    options.set_keep_alive(Duration::from_secs(u64::from(KEEP_ALIVE_S)));
    let credentials = &dialect.credentials;
    if let Some(user_name) = &credentials.user_name {
        let password = credentials.password.clone().unwrap_or_default();
        options.set_credentials(user_name.clone(), password);
    }
    if let Some(tls) = &dialect.tls {
        let configuration = TlsConfiguration::Rustls(tls.config());
        options.set_transport(Transport::tls_with_config(configuration));
    }
    options
}

/// Without Nagle's algorithm, which rumqttc leaves on.
pub(super) fn network(dialect: &Dialect) -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(dialect.timeout.as_secs().max(1));
    network
}

/// Until CONNACK, and of a subscriber until SUBACK.
async fn connect(
    context: &Context<'_>,
    role: Role,
    requests: &AsyncClient,
    events: &mut EventLoop,
) -> Result<(bool, u8), LinkError> {
    let subscribes = matches!(role, Role::Subscriber(_));
    let mut present = false;
    loop {
        match events.poll().await.map_err(|error| failure(&error))? {
            Event::Incoming(Packet::ConnAck(ConnAck {
                session_present, ..
            })) => {
                present = session_present;
                if !subscribes {
                    return Ok((present, 0));
                }
                ask_for_messages(context, requests);
            }
            Event::Incoming(Packet::SubAck(answer)) => {
                return match answer.return_codes.first() {
                    Some(SubscribeReasonCode::Success(qos)) => Ok((present, *qos as u8)),
                    _ => Err(LinkError::SubscriptionRefused {
                        code: 0x80,
                        level: ProtocolLevel::V3_1_1,
                    }),
                };
            }
            _ => {}
        }
    }
}

fn ask_for_messages(context: &Context<'_>, requests: &AsyncClient) {
    let qos = qos_of(context.plan.subscriber_qos);
    // There is room: nothing else is asked for by a subscriber.
    let _ = requests.try_subscribe(context.plan.filter(), qos);
}

fn qos_of(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// Why the event loop has no connection, in this crate's words where it has any.
fn failure(error: &ConnectionError) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(code) => LinkError::Refused {
            code: *code as u8,
            level: ProtocolLevel::V3_1_1,
        },
        ConnectionError::Io(error) => {
            LinkError::Unreachable(std::io::Error::new(error.kind(), error.to_string()))
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            LinkError::Closed { reason: None }
        }
        // It may hold what the broker sent.
        other => LinkError::Client(escape(other.to_string().as_bytes()).into_owned()),
    }
}
