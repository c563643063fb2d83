//! What is measured: the broker's address, how to speak with it, and who makes the connections.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::mqtt::ProtocolLevel;

use super::tls::Tls;

/// The address of a broker, as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// Why a URL is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// User or password stand in it.
    Credentials,
    /// The scheme is none of those known.
    Scheme(String),
    /// There is no host.
    Host,
    /// The port is no number from 1 to 65535.
    Port(String),
    /// Something stands behind the address.
    Trailing(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials => f.write_str(
                "has a user name or password in it, which others on this machine can see; put \
                 them into MQTTSCOPE_USERNAME and MQTTSCOPE_PASSWORD, or name a file with \
                 --credentials",
            ),
            Self::Scheme(scheme) => write!(
                f,
                "begins with {scheme}://, which is not known; write mqtt://HOST:PORT or \
                 mqtts://HOST:PORT"
            ),
            Self::Host => f.write_str("names no host; write mqtt://HOST:PORT"),
            Self::Port(text) => write!(f, "has the port {text:?}, which is none from 1 to 65535"),
            Self::Trailing(text) => write!(f, "goes on behind the address ({text:?})"),
        }
    }
}

impl std::str::FromStr for BrokerUrl {
    type Err = UrlError;

    /// `mqtt://host:port`, `mqtts://host:port`, `host:port`, `host`; `tcp`, `ssl` and `tls` are
    /// other words for the schemes. Ports default to 1883 and 8883.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" | "tls" => true,
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        if rest.contains('@') {
            return Err(UrlError::Credentials);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(at) = rest.find(['/', '?', '#']) {
            return Err(UrlError::Trailing(rest[at..].to_owned()));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, behind) = bracketed.split_once(']').ok_or(UrlError::Host)?;
                (host, behind.strip_prefix(':'))
            }
            // More than one colon is an IPv6 address without brackets.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match port {
            None => [1883, 8883][usize::from(tls)],
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(UrlError::Port(text.to_owned())),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Whether every address of the host is this machine's loopback.
#[must_use]
pub fn is_loopback(url: &BrokerUrl) -> bool {
    is_local_address((&url.host, url.port))
}

/// Whether every address of it is this machine's loopback.
pub(super) fn is_local_address(address: (&str, u16)) -> bool {
    match address.to_socket_addrs() {
        Ok(addresses) => {
            let mut addresses = addresses.peekable();
            addresses.peek().is_some() && addresses.all(|address| address.ip().is_loopback())
        }
        Err(_) => false,
    }
}

/// Which client of a cell a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publisher of this number, from 0.
    Publisher(u32),
    /// Subscriber of this number, from 0.
    Subscriber(u32),
    /// Anything beside the measurement.
    Control,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(number) => write!(f, "publisher {number}"),
            Self::Subscriber(number) => write!(f, "subscriber {number}"),
            Self::Control => f.write_str("control client"),
        }
    }
}

/// Makes TCP connections to the broker. A caller with hosts of its own (network namespaces, a
/// proxy) decides here from where and to where each client connects.
pub trait Connector: Send + Sync {
    /// A connected, blocking socket for this client.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn connect(&self, role: Role) -> io::Result<TcpStream>;

    /// Host and port, for clients that make their connections themselves; `None` where there is
    /// no such address.
    fn address(&self) -> Option<(&str, u16)> {
        None
    }
}

impl<F: Fn(Role) -> io::Result<TcpStream> + Send + Sync> Connector for F {
    fn connect(&self, role: Role) -> io::Result<TcpStream> {
        self(role)
    }
}

/// Connects to a host by name, every address after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Longest time for each address.
    pub timeout: Duration,
}

impl Connector for Direct {
    fn connect(&self, _role: Role) -> io::Result<TcpStream> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let mut last = io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no address of {:?}", self.host),
        );
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn address(&self) -> Option<(&str, u16)> {
        Some((&self.host, self.port))
    }
}

/// User name and password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    /// Says whether there are any, never which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |text: &Option<String>| text.as_ref().map(|_| "given");
        f.debug_struct("Credentials")
            .field("user_name", &given(&self.user_name))
            .field("password", &given(&self.password))
            .finish()
    }
}

/// How clients speak with the broker.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// MQTT 3.1.1 or 5.
    pub level: ProtocolLevel,
    /// TLS, where it is spoken.
    pub tls: Option<Tls>,
    /// User name and password.
    pub credentials: Credentials,
    /// How long to wait for the answer to CONNECT and the like.
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, host, port, tls) in [
            ("mqtt://broker.example:1884", "broker.example", 1884, false),
            ("mqtts://broker.example", "broker.example", 8883, true),
            ("ssl://broker.example/", "broker.example", 8883, true),
            ("localhost", "localhost", 1883, false),
            ("10.0.0.1:99", "10.0.0.1", 99, false),
            ("mqtt://[::1]:1885", "::1", 1885, false),
            ("::1", "::1", 1883, false),
        ] {
            let url: BrokerUrl = text.parse().expect(text);
            assert_eq!((url.host.as_str(), url.port, url.tls), (host, port, tls));
        }
        let url: BrokerUrl = "mqtt://[::1]:1885".parse().unwrap();
        assert_eq!(url.to_string(), "mqtt://[::1]:1885");
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        for (text, error) in [
            ("mqtt://me:secret@host", UrlError::Credentials),
            ("http://host", UrlError::Scheme("http".into())),
            ("mqtt://", UrlError::Host),
            ("mqtt://:1883", UrlError::Host),
            ("host:0", UrlError::Port("0".into())),
            ("host:70000", UrlError::Port("70000".into())),
            ("host:1883/topic", UrlError::Trailing("/topic".into())),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn credentials_do_not_show() {
        let credentials = Credentials {
            user_name: Some("alice".into()),
            password: Some("sesame".into()),
        };
        let shown = format!("{credentials:?}");
        assert!(
            !shown.contains("alice") && !shown.contains("sesame"),
            "{shown}"
        );
    }
}
