//! What a user asks of the pipeline.

use std::fmt;
use std::hint::cold_path;
use std::str::FromStr;
use std::sync::Arc;

use crate::delivery::DeliveryLimits;
use crate::mqtt::stream::StreamLimits;
use crate::mqtt::topic;
use crate::session::{ConnectionState, SessionLimits};
use crate::stream::tls::{KeyLog, TlsLimits};
use crate::tcp::Limits;
use crate::time::TimeDelta;
use crate::wire::WireLimits;

/// What carries MQTT on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP alone.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket.
    WebSocket,
    /// WebSocket within TLS.
    SecureWebSocket,
}

impl Transport {
    /// As the tables and `--port` spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }
}

/// A port on which MQTT is spoken: `1883`, `8883/tls`, `9001/ws`, `443/wss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRule {
    /// The broker's port.
    pub port: u16,
    /// What is spoken there.
    pub transport: Transport,
}

/// A port that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRuleError {
    /// Not a number from 1 to 65535.
    Number(String),
    /// Not one of the known transports.
    Transport(String),
}

impl fmt::Display for PortRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(text) => {
                write!(f, "{text:?} is no port: a number from 1 to 65535 is needed")
            }
            Self::Transport(text) => write!(
                f,
                "{text:?} is no transport: write PORT, PORT/tls, PORT/ws or PORT/wss"
            ),
        }
    }
}

impl std::error::Error for PortRuleError {}

impl FromStr for PortRule {
    type Err = PortRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, transport) = text.split_once('/').unwrap_or((text, "tcp"));
        let port = number
            .parse()
            .ok()
            .filter(|&port| port > 0)
            .ok_or_else(|| PortRuleError::Number(number.to_owned()))?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            "ws" => Transport::WebSocket,
            "wss" => Transport::SecureWebSocket,
            other => return Err(PortRuleError::Transport(other.to_owned())),
        };
        Ok(Self { port, transport })
    }
}

/// Which connections and messages are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only connections of this client identifier.
    pub client_id: Option<Vec<u8>>,
    /// Only messages whose topic matches this filter.
    pub topic: Option<Vec<u8>>,
}

impl Selection {
    /// Whether a connection is wanted.
    #[must_use]
    pub fn client(&self, client_id: Option<&[u8]>) -> bool {
        self.client_id
            .as_deref()
            .is_none_or(|wanted| client_id == Some(wanted))
    }

    /// Whether a connection is wanted, by what is known of it now.
    #[must_use]
    #[inline]
    pub fn connection(&self, state: &ConnectionState) -> bool {
        // Who is asked for nobody in particular need not look up the identifier.
        self.client_id.is_none() || {
            cold_path();
            self.client(state.client_id())
        }
    }

    /// Whether a message is wanted.
    #[must_use]
    pub fn topic(&self, name: Option<&[u8]>) -> bool {
        self.topic
            .as_deref()
            .is_none_or(|wanted| name.is_some_and(|name| topic::matches(wanted, name)))
    }
}

/// Settings of a [`super::Pipeline`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Ports on which MQTT is expected.
    pub ports: Vec<PortRule>,
    /// Whether a connection on another port that begins with a CONNECT is MQTT too.
    pub detect: bool,
    /// What is wanted.
    pub selection: Selection,
    /// Bounds of the link and network layer.
    pub wire: WireLimits,
    /// Bounds of the flow table.
    pub tcp: Limits,
    /// Bounds of unfinished packets.
    pub stream: StreamLimits,
    /// Bytes of unfinished packets in all connections together; beyond it, the payload of a
    /// packet that is split over segments is not kept.
    pub stream_bytes: usize,
    /// Bounds of sessions and exchanges.
    pub session: SessionLimits,
    /// Whether messages are matched with their receivers.
    pub matching: bool,
    /// A message that takes longer to a receiver is late; after twice as long it is lost.
    pub deadline: TimeDelta,
    /// Bounds of the matching of messages.
    pub delivery: DeliveryLimits,
    /// Secrets of TLS connections.
    pub key_log: Arc<KeyLog>,
    /// Secrets may come after the frames that need them ([`super::Pipeline::add_secrets`]), so
    /// these wait.
    pub more_keys: bool,
    /// Bounds of a connection that TLS carries.
    pub tls: TlsLimits,
    /// Bytes that may wait in TLS records and WebSocket upgrades of all connections together;
    /// beyond it, the connection that needs more is not read on.
    pub carried_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: vec![
                PortRule {
                    port: 1883,
                    transport: Transport::Tcp,
                },
                PortRule {
                    port: 8883,
                    transport: Transport::Tls,
                },
            ],
            detect: true,
            selection: Selection::default(),
            wire: WireLimits::default(),
            tcp: Limits::default(),
            stream: StreamLimits::default(),
            stream_bytes: 128 << 20,
            session: SessionLimits::default(),
            matching: true,
            deadline: TimeDelta::from_secs(10),
            delivery: DeliveryLimits::default(),
            key_log: Arc::default(),
            more_keys: false,
            tls: TlsLimits::default(),
            carried_bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_their_transport() {
        assert_eq!(
            "1883".parse(),
            Ok(PortRule {
                port: 1883,
                transport: Transport::Tcp
            })
        );
        assert_eq!(
            "443/wss".parse(),
            Ok(PortRule {
                port: 443,
                transport: Transport::SecureWebSocket
            })
        );
        for (text, message) in [
            ("0", "\"0\" is no port: a number from 1 to 65535 is needed"),
            (
                "70000/tls",
                "\"70000\" is no port: a number from 1 to 65535 is needed",
            ),
            (
                "1/udp",
                "\"udp\" is no transport: write PORT, PORT/tls, PORT/ws or PORT/wss",
            ),
        ] {
            assert_eq!(text.parse::<PortRule>().unwrap_err().to_string(), message);
        }
    }
}
