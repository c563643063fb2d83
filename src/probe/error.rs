//! Why a connection to a broker could not be made, or ended: in words, with what to do about it.

use std::fmt;
use std::io;

use crate::mqtt::{PacketType, ProtocolLevel, reason_text};

/// Why there is no connection.
#[derive(Debug)]
pub enum LinkError {
    /// TCP did not connect.
    Unreachable(io::Error),
    /// TLS did not come about.
    Tls(TlsError),
    /// The broker answered CONNECT with this code.
    Refused {
        /// Reason or return code.
        code: u8,
        /// The level of the CONNECT.
        level: ProtocolLevel,
    },
    /// The broker refused a subscription with this code.
    SubscriptionRefused {
        /// Reason or return code.
        code: u8,
        /// The level of the connection.
        level: ProtocolLevel,
    },
    /// No answer to this packet within so many milliseconds.
    NoAnswer {
        /// What was sent.
        to: &'static str,
        /// How long was waited.
        milliseconds: u128,
    },
    /// The broker closed the connection.
    Closed {
        /// The reason code of its DISCONNECT, where it sent one.
        reason: Option<u8>,
    },
    /// The connection broke.
    Broken(io::Error),
    /// What came is no MQTT.
    Garbage(String),
    /// A client that is not this crate's says so, in its own words.
    Client(String),
    /// More came than anybody asked for.
    Flood(usize),
    /// A packet was announced that is longer than anything that was asked for.
    TooLong {
        /// Bytes announced.
        announced: u64,
        /// Bytes allowed.
        allowed: u64,
    },
}

/// Why TLS did not come about.
#[derive(Debug)]
pub enum TlsError {
    /// The certificate is for other names.
    Name {
        /// The name that was connected to.
        wanted: String,
        /// The names of the certificate, as far as known.
        presented: Vec<String>,
    },
    /// The certificate was issued by nobody that is trusted.
    UnknownIssuer,
    /// The certificate is not valid any more, or not yet.
    Expired,
    /// The peer does not speak TLS.
    NotTls,
    /// Anything else, in the words of the TLS library.
    Other(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str(
                    "nothing listens there (connection refused); is the broker running, and is \
                     this its port?",
                ),
                io::ErrorKind::TimedOut => f.write_str(
                    "no answer to the TCP connection; is the address right, and does a firewall \
                     let it through?",
                ),
                _ => write!(f, "no TCP connection: {error}"),
            },
            Self::Tls(error) => error.fmt(f),
            Self::Refused { code, level } => {
                let text = reason_text(PacketType::Connack, *code, *level);
                let text = text.unwrap_or("a code that no specification has");
                write!(f, "the broker refused the connection: {text} (code {code})")?;
                f.write_str(match code {
                    1 | 0x84 => "; try --mqtt 3.1.1",
                    4 | 5 | 0x86 | 0x87 => {
                        "; user name and password are taken from MQTTSCOPE_USERNAME and \
                         MQTTSCOPE_PASSWORD, or from --credentials FILE"
                    }
                    _ => "",
                })
            }
            Self::SubscriptionRefused { code, level } => {
                let text = reason_text(PacketType::Suback, *code, *level);
                let text = text.unwrap_or("a code that no specification has");
                write!(
                    f,
                    "the broker refused the subscription: {text} (code {code}); may this client \
                     subscribe there? --topic-prefix chooses other topics"
                )
            }
            Self::NoAnswer { to, milliseconds } => write!(
                f,
                "no answer to {to} within {milliseconds} ms; does the broker speak MQTT on this \
                 port, and is TLS wanted there (mqtts://)?"
            ),
            Self::Closed { reason: None } => f.write_str("the broker closed the connection"),
            Self::Closed { reason: Some(code) } => {
                let text = reason_text(PacketType::Disconnect, *code, ProtocolLevel::V5);
                let text = text.unwrap_or("a code that no specification has");
                write!(f, "the broker closed the connection: {text} (code {code})")
            }
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Garbage(detail) => {
                write!(
                    f,
                    "what the broker sent is no MQTT: {detail}; is this its port?"
                )
            }
            Self::Client(detail) => {
                write!(f, "the client under test lost its connection: {detail}")
            }
            Self::Flood(count) => write!(
                f,
                "the broker sends on and on: more than {count} packets came that nobody asked for"
            ),
            Self::TooLong { announced, allowed } => write!(
                f,
                "the broker announced a packet of {announced} bytes, where at most {allowed} can \
                 be meant"
            ),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { wanted, presented } if presented.is_empty() => write!(
                f,
                "the broker's certificate is not for the name {wanted}; connect to a name that it \
                 has"
            ),
            Self::Name { wanted, presented } => write!(
                f,
                "the broker's certificate is not for the name {wanted} but for {}; connect to \
                 that name",
                presented.join(", ")
            ),
            Self::UnknownIssuer => f.write_str(
                "the broker's certificate was issued by nobody that is trusted; name its CA's \
                 certificate with --ca FILE",
            ),
            Self::Expired => f.write_str(
                "the broker's certificate is expired or not yet valid; is this machine's clock \
                 right?",
            ),
            Self::NotTls => {
                f.write_str("the broker does not speak TLS on this port; try mqtt:// for mqtts://")
            }
            Self::Other(detail) => write!(f, "no TLS connection: {detail}"),
        }
    }
}

impl std::error::Error for LinkError {}
impl std::error::Error for TlsError {}

/// Why a cell could not be measured.
#[derive(Debug)]
pub enum CellError {
    /// A client could not connect before the first message.
    Connect {
        /// Which client.
        client: String,
        /// Why.
        error: LinkError,
    },
    /// The packet would be longer than the broker takes.
    PayloadTooLarge {
        /// Bytes of the payload.
        payload: usize,
        /// Bytes of the packet.
        packet: u64,
        /// The broker's Maximum Packet Size.
        maximum: u32,
    },
    /// The broker's Maximum QoS is lower.
    QosNotSupported {
        /// What was asked for.
        qos: u8,
        /// The broker's Maximum QoS.
        maximum: u8,
    },
    /// The plan does not fit into memory or packets.
    Plan(String),
    /// Somebody asked to stop.
    Interrupted,
    /// A thread could not be started or ended in a panic.
    Thread(String),
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { client, error } => write!(f, "{client}: {error}"),
            Self::PayloadTooLarge {
                payload,
                packet,
                maximum,
            } => write!(
                f,
                "a payload of {payload} bytes makes a packet of {packet} bytes, and the broker \
                 takes at most {maximum}; choose a smaller --payload or raise the broker's limit"
            ),
            Self::QosNotSupported { qos, maximum } => write!(
                f,
                "the broker takes at most QoS {maximum}, not {qos}; choose another --qos"
            ),
            Self::Plan(detail) => f.write_str(detail),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Thread(detail) => write!(f, "a measuring thread failed: {detail}"),
        }
    }
}

impl std::error::Error for CellError {}
