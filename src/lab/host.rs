//! The three hosts, and the four directions between them.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A host of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// Where publishing clients run.
    Publisher,
    /// Where the broker runs.
    Broker,
    /// Where subscribing clients run.
    Subscriber,
}

impl Host {
    /// All three, in the order of the taps.
    pub const ALL: [Self; 3] = [Self::Publisher, Self::Broker, Self::Subscriber];

    /// Its name, which is also its tap's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Broker => "broker",
            Self::Subscriber => "subscriber",
        }
    }

    /// Its address. All are in a network set aside for testing (RFC 2544), which exists in the
    /// hosts' namespaces alone.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 0, 1 + self.index() as u8)
    }

    /// Its position in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Publisher => 0,
            Self::Broker => 1,
            Self::Subscriber => 2,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One of the two links: each joins a host and the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Between publisher and broker.
    Publisher,
    /// Between subscriber and broker.
    Subscriber,
}

impl Link {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Publisher, Self::Subscriber];

    /// The host at the end that is not the broker.
    #[must_use]
    pub const fn host(self) -> Host {
        match self {
            Self::Publisher => Host::Publisher,
            Self::Subscriber => Host::Subscriber,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s link", self.host())
    }
}

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Direction {
    /// The link.
    pub link: Link,
    /// Whether it leads to the broker or to the host.
    pub toward: Toward,
}

/// Where a direction of a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toward {
    /// From the host to the broker.
    Broker,
    /// From the broker to the host.
    Host,
}

impl Direction {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::new(Link::Publisher, Toward::Broker),
        Self::new(Link::Publisher, Toward::Host),
        Self::new(Link::Subscriber, Toward::Broker),
        Self::new(Link::Subscriber, Toward::Host),
    ];

    const fn new(link: Link, toward: Toward) -> Self {
        Self { link, toward }
    }

    /// Who sends.
    #[must_use]
    pub const fn from(self) -> Host {
        match self.toward {
            Toward::Broker => self.link.host(),
            Toward::Host => Host::Broker,
        }
    }

    /// Who receives.
    #[must_use]
    pub const fn to(self) -> Host {
        match self.toward {
            Toward::Broker => Host::Broker,
            Toward::Host => self.link.host(),
        }
    }

    /// Its position in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        let link = match self.link {
            Link::Publisher => 0,
            Link::Subscriber => 2,
        };
        match self.toward {
            Toward::Broker => link,
            Toward::Host => link + 1,
        }
    }

    /// The direction of an IPv4 packet that `from` sent; `None` for one that is none, or that goes
    /// to nobody.
    pub(super) fn of(from: Host, packet: &[u8]) -> Option<Self> {
        let version = packet.first()? >> 4;
        let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
        let to = Ipv4Addr::from(destination);
        let fits = |direction: &Self| direction.from() == from && direction.to().address() == to;
        (version == 4)
            .then(|| Self::ALL.into_iter().find(fits))
            .flatten()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from(), self.to())
    }
}
