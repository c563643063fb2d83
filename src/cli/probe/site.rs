//! Where the clients connect to: the broker that was named, or an embedded one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::broker::{Broker, Config, Qos2Forwarding};
use crate::cli::error::Failure;
use crate::probe::{BrokerUrl, Direct};
use crate::proxy::{Conditions, Counts, Proxy};

use super::args::Forwarding;
use super::failure::ProbeFailure;

/// What the clients connect to. It ends with this value.
pub(super) struct Site {
    pub(super) connector: Direct,
    /// The broker itself, past the proxy.
    pub(super) control: Direct,
    /// How it is called.
    pub(super) name: String,
    /// What stands in between. It goes before the broker does.
    proxy: Option<Proxy>,
    _embedded: Option<Broker>,
}

impl Site {
    /// The broker of a URL.
    pub(super) fn of(url: &BrokerUrl, timeout: Duration) -> Self {
        let connector = Direct {
            host: url.host.clone(),
            port: url.port,
            timeout,
        };
        Self {
            control: connector.clone(),
            connector,
            name: url.to_string(),
            proxy: None,
            _embedded: None,
        }
    }

    /// A broker of our own, on a free port of the loopback.
    pub(super) fn embedded(forwarding: Forwarding, timeout: Duration) -> Result<Self, Failure> {
        let config = Config {
            qos2: match forwarding {
                Forwarding::Pubrel => Qos2Forwarding::AtPubrel,
                Forwarding::Publish => Qos2Forwarding::AtPublish,
            },
            ..Config::default()
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let broker = Broker::start(any, config).map_err(ProbeFailure::Embedded)?;
        let address = broker.address();
        let connector = Direct {
            host: address.ip().to_string(),
            port: address.port(),
            timeout,
        };
        Ok(Self {
            control: connector.clone(),
            connector,
            name: "the embedded broker".to_owned(),
            proxy: None,
            _embedded: Some(broker),
        })
    }

    /// Puts a proxy that does this in front of it, if there is anything to do.
    pub(super) fn through(mut self, conditions: Conditions) -> Result<Self, Failure> {
        if conditions.is_none() {
            return Ok(self);
        }
        let target = (self.connector.host.as_str(), self.connector.port);
        let proxy = target.to_socket_addrs().and_then(|mut addresses| {
            let target = addresses.next().ok_or(io::ErrorKind::NotFound)?;
            Proxy::start(
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                target,
                conditions,
            )
        });
        let proxy = proxy.map_err(|source| ProbeFailure::Proxy {
            target: self.name.clone(),
            source,
        })?;
        self.connector.host = proxy.address().ip().to_string();
        self.connector.port = proxy.address().port();
        self.proxy = Some(proxy);
        Ok(self)
    }

    /// A cell begins: so does the proxy's schedule.
    pub(super) fn begin_cell(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.restart();
        }
    }

    /// What the proxy did so far.
    pub(super) fn counts(&self) -> Counts {
        self.proxy.as_ref().map(Proxy::counts).unwrap_or_default()
    }
}
