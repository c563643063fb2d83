//! From nothing to a connection that MQTT is spoken on: TCP, TLS, CONNECT and SUBSCRIBE, one after
//! the other, with a limit for each answer. Nothing here is measured.

use std::io;
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use crate::mqtt::{
    Connack, Packet, Parsed, Property, PropertyId, ProtocolLevel, Secret, Subscription, parse,
    write,
};

use crate::results::escape;

use super::error::{LinkError, TlsError};
use super::link::Link;
use super::target::{Connector, Dialect, Role};

/// How a client introduces itself.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Client identifier.
    pub client_id: String,
    /// Clean Start (5), Clean Session (3.1.1).
    pub clean_start: bool,
    /// Whether the session is to outlive the connection.
    pub keep_session: bool,
    /// Longest packet that the broker may send, in bytes.
    pub longest_packet: usize,
}

/// Seconds for which a session that is to be resumed is kept (MQTT 5).
const SESSION_EXPIRY_S: u32 = 3_600;
/// Seconds of keep alive.
pub const KEEP_ALIVE_S: u16 = 60;

/// What a CONNACK says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The broker has the session still.
    pub session_present: bool,
    /// How many messages of QoS 1 and 2 it takes at once.
    pub receive_maximum: u16,
    /// Longest packet that it takes; `None` where it does not say.
    pub maximum_packet: Option<u32>,
    /// Highest QoS that it takes.
    pub maximum_qos: u8,
    /// Whether it takes retained messages.
    pub retain_available: bool,
    /// Whether it has shared subscriptions; before MQTT 5 nobody says.
    pub shared_available: bool,
    /// Whether it has wildcard subscriptions.
    pub wildcard_available: bool,
    /// How many topic aliases it takes.
    pub topic_alias_maximum: u16,
}

impl Welcome {
    fn of(connack: &Connack<'_>) -> Self {
        let get = |id| connack.properties.get(id);
        let off = |property| {
            matches!(
                property,
                Some(
                    Property::RetainAvailable(0)
                        | Property::SharedSubscriptionAvailable(0)
                        | Property::WildcardSubscriptionAvailable(0)
                )
            )
        };
        Self {
            session_present: connack.session_present().unwrap_or(false),
            receive_maximum: match get(PropertyId::ReceiveMaximum) {
                Some(Property::ReceiveMaximum(maximum)) => maximum.max(1),
                _ => u16::MAX,
            },
            maximum_packet: match get(PropertyId::MaximumPacketSize) {
                Some(Property::MaximumPacketSize(size)) => Some(size),
                _ => None,
            },
            maximum_qos: match get(PropertyId::MaximumQos) {
                Some(Property::MaximumQos(qos)) => qos,
                _ => 2,
            },
            retain_available: !off(get(PropertyId::RetainAvailable)),
            shared_available: !off(get(PropertyId::SharedSubscriptionAvailable)),
            wildcard_available: !off(get(PropertyId::WildcardSubscriptionAvailable)),
            topic_alias_maximum: match get(PropertyId::TopicAliasMaximum) {
                Some(Property::TopicAliasMaximum(maximum)) => maximum,
                _ => 0,
            },
        }
    }
}

/// What the first answer is to.
const CONNECT: &str = "CONNECT";

/// Connects one client: afterwards its socket does not block.
///
/// # Errors
///
/// Why there is no connection.
pub fn open(
    connector: &dyn Connector,
    role: Role,
    dialect: &Dialect,
    introduction: &Introduction,
) -> Result<(Link, Welcome), LinkError> {
    let socket = connector.connect(role).map_err(LinkError::Unreachable)?;
    socket.set_nodelay(true).map_err(LinkError::Unreachable)?;
    let tls = match &dialect.tls {
        None => None,
        Some(tls) => Some(secure(tls.session()?, &socket, dialect.timeout)?),
    };
    let mut link = Link::new(socket, tls, introduction.longest_packet);
    write_connect(&mut link, dialect, introduction)?;
    let welcome = ask(&mut link, dialect, CONNECT, |packet| match packet {
        Packet::Connack(connack) => Some(match connack.reason_code {
            Some(0) => Ok(Welcome::of(connack)),
            Some(code) => Err(LinkError::Refused {
                code,
                level: dialect.level,
            }),
            None => Err(LinkError::Garbage("a CONNACK without a code".into())),
        }),
        other => Some(Err(LinkError::Garbage(format!(
            "{} instead of CONNACK",
            other.packet_type().name()
        )))),
    })?;
    Ok((link, welcome))
}

impl From<TlsError> for LinkError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

/// The TLS handshake, on the blocking socket.
fn secure(
    mut tls: ClientConnection,
    mut socket: &std::net::TcpStream,
    timeout: Duration,
) -> Result<ClientConnection, LinkError> {
    let set = |timeout| socket.set_read_timeout(timeout);
    set(Some(timeout)).map_err(LinkError::Broken)?;
    while tls.is_handshaking() {
        match tls.complete_io(&mut socket) {
            Ok(_) => {}
            Err(error) => return Err(tls_failure(error, timeout)),
        }
    }
    set(None).map_err(LinkError::Broken)?;
    Ok(tls)
}

/// `complete_io` wraps what TLS objects to into an I/O error.
fn tls_failure(error: io::Error, timeout: Duration) -> LinkError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LinkError::NoAnswer {
            to: "the TLS handshake",
            milliseconds: timeout.as_millis(),
        },
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            LinkError::Tls(TlsError::Other(
                "the broker closed the connection during the handshake; does it want a client \
                 certificate (--cert, --key)?"
                    .into(),
            ))
        }
        _ => match error.downcast::<rustls::Error>() {
            Ok(error) => LinkError::Tls(error.into()),
            Err(error) => LinkError::Broken(error),
        },
    }
}

fn write_connect(
    link: &mut Link,
    dialect: &Dialect,
    introduction: &Introduction,
) -> Result<(), LinkError> {
    let longest = u32::try_from(introduction.longest_packet).unwrap_or(u32::MAX);
    let properties = [
        Property::SessionExpiryInterval(if introduction.keep_session {
            SESSION_EXPIRY_S
        } else {
            0
        }),
        Property::MaximumPacketSize(longest),
    ];
    let credentials = &dialect.credentials;
    let connect = write::Connect {
        level: dialect.level,
        clean_start: introduction.clean_start,
        keep_alive: KEEP_ALIVE_S,
        properties: &properties,
        client_id: introduction.client_id.as_bytes(),
        will: None,
        user_name: credentials.user_name.as_deref().map(str::as_bytes),
        password: credentials
            .password
            .as_deref()
            .map(|password| Secret::new(password.as_bytes())),
    };
    write::connect(link.outbox.packet(), &connect)
        .map_err(|error| LinkError::Garbage(format!("CONNECT cannot be written: {error}")))
}

/// Subscribes to one filter; gives the QoS that was granted.
///
/// # Errors
///
/// The broker refuses, does not answer, or the connection ends.
pub fn subscribe(
    link: &mut Link,
    dialect: &Dialect,
    filter: &str,
    qos: u8,
) -> Result<u8, LinkError> {
    const PACKET_ID: u16 = 1;
    let subscription = Subscription {
        filter: filter.as_bytes(),
        options: qos,
    };
    write::subscribe(
        link.outbox.packet(),
        dialect.level,
        PACKET_ID,
        &[],
        &[subscription],
    )
    .map_err(|error| LinkError::Garbage(format!("SUBSCRIBE cannot be written: {error}")))?;
    ask(link, dialect, "SUBSCRIBE", |packet| match packet {
        Packet::Suback(suback) if suback.packet_id == Some(PACKET_ID) => {
            Some(match suback.reason_codes.first() {
                Some(&code) if code <= 2 => Ok(code),
                Some(&code) => Err(LinkError::SubscriptionRefused {
                    code,
                    level: dialect.level,
                }),
                None => Err(LinkError::Garbage("a SUBACK without a code".into())),
            })
        }
        // Whatever else comes first is not what was asked.
        _ => None,
    })
}

/// Writes what waits and reads packets until `answer` takes one.
fn ask<T>(
    link: &mut Link,
    dialect: &Dialect,
    to: &'static str,
    answer: impl Fn(&Packet<'_>) -> Option<Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let blocking = |link: &Link, on: bool| {
        link.socket()
            .set_nonblocking(!on)
            .map_err(LinkError::Broken)
    };
    blocking(link, true)?;
    let result = exchange(link, dialect, to, answer);
    blocking(link, false)?;
    result
}

fn exchange<T>(
    link: &mut Link,
    dialect: &Dialect,
    to: &'static str,
    answer: impl Fn(&Packet<'_>) -> Option<Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let deadline = Instant::now() + dialect.timeout;
    let socket = std::sync::Arc::clone(link.socket());
    socket
        .set_write_timeout(Some(dialect.timeout))
        .map_err(LinkError::Broken)?;
    link.flush(|_| {})?;
    loop {
        while let Some((first_byte, body)) = link.inbox.take_packet()? {
            let packet = checked(parse(first_byte, body, dialect.level))?;
            if let Packet::Disconnect(disconnect) = packet {
                let reason = disconnect.reason_code;
                return Err(LinkError::Closed { reason });
            }
            if let Some(result) = answer(&packet) {
                return result;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(LinkError::NoAnswer {
                to,
                milliseconds: dialect.timeout.as_millis(),
            });
        }
        socket
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .map_err(LinkError::Broken)?;
        link.fill()?;
        if to == CONNECT {
            begins_well(link.inbox.waiting())?;
        }
    }
}

/// Whether the first bytes from a broker can be the answer to a CONNECT: a whole packet may never
/// come of what a web server says.
fn begins_well(bytes: &[u8]) -> Result<(), LinkError> {
    const SHOWN: usize = 24;
    match bytes.first() {
        // CONNACK, DISCONNECT (MQTT 5 does not allow it here, but it tells why), AUTH.
        None | Some(0x20 | 0xe0 | 0xf0) => Ok(()),
        Some(_) => Err(LinkError::Garbage(format!(
            "it begins with \"{}\" and not with a CONNACK",
            escape(bytes.get(..SHOWN).unwrap_or(bytes))
        ))),
    }
}

/// The packet, if nothing in it contradicts that it is one.
///
/// # Errors
///
/// It is malformed, or of a type that no broker sends.
pub fn checked<'a>(parsed: Parsed<'a>) -> Result<Packet<'a>, LinkError> {
    if let Some(malformed) = parsed.malformed {
        let name = parsed.packet.packet_type().name();
        return Err(LinkError::Garbage(format!("{name}: {malformed}")));
    }
    match parsed.packet {
        Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::Pingreq
        | Packet::Reserved => Err(LinkError::Garbage(format!(
            "{}, which no broker sends",
            parsed.packet.packet_type().name()
        ))),
        packet => Ok(packet),
    }
}

/// Appends DISCONNECT to what is to be written; at level 5 it ends the session too.
pub fn write_disconnect(link: &mut Link, level: ProtocolLevel, end_session: bool) {
    let end = [Property::SessionExpiryInterval(0)];
    let properties: &[Property<'_>] = if end_session && level.is_v5() {
        &end
    } else {
        &[]
    };
    // So short a packet can always be written.
    let _ = write::disconnect(link.outbox.packet(), level, 0, properties);
}
