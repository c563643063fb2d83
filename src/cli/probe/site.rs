//! Where the clients connect to: the broker that was named, or an embedded one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::broker::{Broker, Config, Qos2Forwarding};
use crate::cli::error::Failure;
use crate::probe::{BrokerUrl, Direct};

use super::args::Forwarding;
use super::failure::ProbeFailure;

/// What the clients connect to. It ends with this value.
pub(super) struct Site {
    pub(super) connector: Direct,
    /// How it is called.
    pub(super) name: String,
    _embedded: Option<Broker>,
}

impl Site {
    /// The broker of a URL.
    pub(super) fn of(url: &BrokerUrl, timeout: Duration) -> Self {
        Self {
            connector: Direct {
                host: url.host.clone(),
                port: url.port,
                timeout,
            },
            name: url.to_string(),
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
        Ok(Self {
            connector: Direct {
                host: address.ip().to_string(),
                port: address.port(),
                timeout,
            },
            name: "the embedded broker".to_owned(),
            _embedded: Some(broker),
        })
    }
}
