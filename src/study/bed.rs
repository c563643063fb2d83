//! Where cells are measured: emulated hosts and links, proxies on the loopback, or a real network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::design::StudyCell;
use super::error::StudyError;
use super::plan::{BrokerKind, BrokerPlan, ForwardAt};
use crate::broker::{Broker, Config, Qos2Forwarding};
use crate::lab::{
    BROKER_PORT, DeviceKind, Direction, Host, Impairment, Link, LinkCounters, Profile,
    RunningBroker, TapCounters, Testbed, TestbedSettings, mosquitto_version,
};
use crate::probe::{Connector, Direct, Role};
use crate::proxy::{Conditions, Periodic, Proxy};
use crate::results::BrokerRecord;

/// How long a client may take to connect.
const CONNECT_FOR: Duration = Duration::from_secs(10);
/// How long the last packets of a cell may be on their way.
const DRAIN_FOR: Duration = Duration::from_secs(1);
/// Share of a cell's packets that the emulator may send late.
const LATE_SHARE: f64 = 0.05;
/// Of fewer packets than this the share says nothing.
const FEWEST_PACKETS: u64 = 100;

/// How the network is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Namespaces and emulated links; packets through TUN devices, veth pairs, or the first that
    /// works.
    Lab(Option<DeviceKind>),
    /// The loopback, with a proxy for each link.
    Proxy,
    /// A broker that is there already.
    Network(Direct),
}

/// What a bed is made from.
#[derive(Clone, Debug)]
pub struct BedSettings {
    /// Where.
    pub place: Place,
    /// Which broker.
    pub broker: BrokerPlan,
    /// A command that starts another one on the broker's host, through `sh -c`. It has to listen
    /// at `$MQTTSCOPE_BROKER_ADDRESS`, port `$MQTTSCOPE_BROKER_PORT`.
    pub broker_command: Option<String>,
    /// From the monotonic clock to the calendar's.
    pub epoch_offset_ns: i64,
}

/// A network and its broker.
#[derive(Debug)]
pub enum Bed {
    /// Emulated hosts and links.
    Emulation(Box<Emulation>),
    /// Proxies.
    Proxies(Box<Proxies>),
    /// A real network.
    Network(Direct),
}

/// Emulated hosts and links.
#[derive(Debug)]
pub struct Emulation {
    pub(super) testbed: Testbed,
    broker: LabBroker,
    address: SocketAddr,
    /// Of earlier cells.
    lost_outside: u64,
    taps: bool,
}

/// The broker in the lab.
#[derive(Debug)]
enum LabBroker {
    Program(RunningBroker),
    Embedded(#[allow(dead_code, reason = "it runs as long as it is there")] Broker),
}

/// Proxies in front of an embedded broker.
#[derive(Debug)]
pub struct Proxies {
    broker: Broker,
    /// The publisher's and the subscriber's, of the cell that is measured.
    running: Option<[Proxy; 2]>,
}

/// What the network itself saw of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What became of the packets.
    pub counters: Option<LinkCounters>,
    /// What the taps saw.
    pub taps: Option<TapCounters>,
    /// Why not to trust the cell, in words.
    pub doubts: Vec<String>,
}

impl Bed {
    /// Builds the network and starts the broker. The rights come first
    /// ([`Rights::acquire`](crate::lab::Rights::acquire)).
    ///
    /// # Errors
    ///
    /// What could not be built or started.
    pub fn new(settings: &BedSettings) -> Result<(Self, BrokerRecord), StudyError> {
        match &settings.place {
            Place::Lab(device) => Emulation::new(settings, *device)
                .map(|(emulation, record)| (Self::Emulation(Box::new(emulation)), record)),
            Place::Proxy => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let broker = Broker::start(any, embedded(&settings.broker)).map_err(|source| {
                    StudyError::Io {
                        step: "the embedded broker does not start",
                        source,
                    }
                })?;
                let proxies = Proxies {
                    broker,
                    running: None,
                };
                Ok((Self::Proxies(Box::new(proxies)), embedded_record()))
            }
            Place::Network(direct) => {
                let record = BrokerRecord {
                    url: Some(format!("mqtt://{}:{}", direct.host, direct.port)),
                    ..BrokerRecord::default()
                };
                Ok((Self::Network(direct.clone()), record))
            }
        }
    }

    /// Whether packets can be lost and recorded.
    #[must_use]
    pub const fn has_packets(&self) -> bool {
        matches!(self, Self::Emulation(_))
    }

    /// How packets come to the emulator, where there is one.
    #[must_use]
    pub fn device(&self) -> Option<DeviceKind> {
        match self {
            Self::Emulation(emulation) => Some(emulation.testbed.device()),
            _ => None,
        }
    }

    /// Where the packets of a cell are recorded, where there are any: a file that goes with this
    /// value.
    #[must_use]
    pub fn recording(&self) -> Option<PathBuf> {
        match self {
            Self::Emulation(emulation) => Some(emulation.testbed.directory().join("cell.pcapng")),
            _ => None,
        }
    }

    /// What is done to the connections of a cell, in words.
    #[must_use]
    pub fn fault(&self, cell: &StudyCell) -> Option<String> {
        match (self, cell.outage) {
            (Self::Proxies(_), Some((at, lasts))) => {
                let every = every(at, lasts);
                Some(format!("outage every {every} s for {lasts} s"))
            }
            _ => cell.fault(),
        }
    }

    /// Sets the links as clients connect, and begins the recording.
    ///
    /// # Errors
    ///
    /// What could not be set or begun.
    pub fn begin(&mut self, cell: &StudyCell, recording: Option<&Path>) -> Result<(), StudyError> {
        match self {
            Self::Emulation(emulation) => emulation.begin(cell, recording),
            Self::Proxies(proxies) => proxies.begin(cell),
            Self::Network(_) => Ok(()),
        }
    }

    /// Clients are connected and the schedule has begun: what shall disturb the cell begins.
    ///
    /// # Errors
    ///
    /// A setting that no link can have.
    pub fn disturb(&mut self, cell: &StudyCell) -> Result<(), StudyError> {
        match self {
            Self::Emulation(emulation) if cell.connecting.is_some() => emulation.set(
                [&cell.publisher_link, &cell.subscriber_link],
                cell.plan.seed,
            ),
            Self::Proxies(proxies) => {
                if let (Some([publisher, _]), Some(_)) = (&proxies.running, cell.outage) {
                    publisher.restart();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the recording, and says what the network saw.
    ///
    /// # Errors
    ///
    /// A broker that ended, a recording that could not be written.
    pub fn end(&mut self) -> Result<Seen, StudyError> {
        match self {
            Self::Emulation(emulation) => emulation.end(),
            Self::Proxies(proxies) => {
                proxies.running = None;
                Ok(Seen::default())
            }
            Self::Network(_) => Ok(Seen::default()),
        }
    }

    /// Connects the clients of a cell.
    #[must_use]
    pub fn connector(&self, cell: &StudyCell) -> Box<dyn Connector> {
        let timeout = cell.user_timeout_ms;
        match self {
            Self::Emulation(emulation) => {
                let (connect, address) = (emulation.testbed.connector(), emulation.address);
                Box::new(move |role: Role| {
                    let host = match role {
                        Role::Subscriber(_) => Host::Subscriber,
                        Role::Publisher(_) | Role::Control => Host::Publisher,
                    };
                    let stream = connect(host, address, CONNECT_FOR)?;
                    if let (Some(timeout), Role::Publisher(_)) = (timeout, role) {
                        setsockopt(&stream, sockopt::TcpUserTimeout, &timeout)?;
                    }
                    Ok(stream)
                })
            }
            Self::Proxies(proxies) => {
                let broker = proxies.broker.address();
                let proxies = proxies.running.as_ref();
                let [publisher, subscriber] =
                    proxies.map_or([broker; 2], |[p, s]| [p.address(), s.address()]);
                Box::new(move |role: Role| {
                    let address = match role {
                        Role::Publisher(_) => publisher,
                        Role::Subscriber(_) => subscriber,
                        Role::Control => broker,
                    };
                    TcpStream::connect_timeout(&address, CONNECT_FOR)
                })
            }
            Self::Network(direct) => Box::new(direct.clone()),
        }
    }
}

fn embedded(plan: &BrokerPlan) -> Config {
    Config {
        qos2: match plan.forward_qos2_at {
            ForwardAt::Pubrel => Qos2Forwarding::AtPubrel,
            ForwardAt::Publish => Qos2Forwarding::AtPublish,
        },
        sys_interval: None,
        ..Config::default()
    }
}

fn embedded_record() -> BrokerRecord {
    BrokerRecord {
        name: "embedded".into(),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        ..BrokerRecord::default()
    }
}

impl Emulation {
    fn new(
        settings: &BedSettings,
        device: Option<DeviceKind>,
    ) -> Result<(Self, BrokerRecord), StudyError> {
        let testbed = Testbed::new(&TestbedSettings {
            device,
            epoch_offset_ns: settings.epoch_offset_ns,
        })?;
        let address = testbed.broker_address();
        let (broker, record) = start_broker(&testbed, settings, address)?;
        let emulation = Self {
            testbed,
            broker,
            address,
            lost_outside: 0,
            taps: false,
        };
        Ok((emulation, record))
    }

    fn set(&self, links: [&Profile; 2], seed: u64) -> Result<(), StudyError> {
        for (link, profile) in Link::ALL.into_iter().zip(links) {
            let set = self.testbed.set_link(link, profile, seed);
            set.map_err(|error| StudyError::Plan(super::PlanError::Link(error)))?;
        }
        Ok(())
    }

    fn begin(&mut self, cell: &StudyCell, recording: Option<&Path>) -> Result<(), StudyError> {
        let links = match &cell.connecting {
            Some([publisher, subscriber]) => [publisher, subscriber],
            None => [&cell.publisher_link, &cell.subscriber_link],
        };
        self.set(links, cell.plan.seed)?;
        self.lost_outside = self.counters()?.lost_outside();
        if let Some(path) = recording {
            // Whole packets: what is kept of them is decided afterwards.
            self.testbed.start_taps(path, 0)?;
            self.taps = true;
        }
        Ok(())
    }

    fn counters(&self) -> Result<LinkCounters, StudyError> {
        self.testbed.counters().map_err(|source| StudyError::Io {
            step: "the interfaces' counters",
            source,
        })
    }

    fn end(&mut self) -> Result<Seen, StudyError> {
        let _ = self.testbed.drain(DRAIN_FOR);
        let taps = if std::mem::take(&mut self.taps) {
            self.testbed.stop_taps()?
        } else {
            None
        };
        let counters = self.counters()?;
        // What TCP still wants to send of this cell goes through at once, and not in the next one.
        let calm = Profile::symmetric("calm", Impairment::default());
        self.set([&calm, &calm], 0)?;
        if let LabBroker::Program(program) = &mut self.broker {
            program.check()?;
        }
        let mut doubts = Vec::new();
        let lost = counters.lost_outside().saturating_sub(self.lost_outside);
        if lost > 0 {
            doubts.push(format!(
                "{lost} packets were lost by this machine and not by a link"
            ));
        }
        if let Some(taps) = taps {
            let missed: u64 = taps.not_recorded.iter().sum();
            if missed > 0 {
                doubts.push(format!(
                    "{missed} packets are not in the capture: the disk was slow"
                ));
            }
        }
        doubts.extend(late(&counters));
        Ok(Seen {
            counters: Some(counters),
            taps,
            doubts,
        })
    }
}

/// Whether the emulator held packets longer than it was told.
fn late(counters: &LinkCounters) -> Option<String> {
    let all = Direction::ALL.map(|direction| counters.of(direction));
    let late: u64 = all.iter().map(|counts| counts.late).sum();
    let sent: u64 = all.iter().map(|counts| counts.sent).sum();
    let share = late as f64 / sent.max(1) as f64;
    (sent >= FEWEST_PACKETS && share > LATE_SHARE).then(|| {
        format!(
            "{:.0} % of packets left the emulated links more than 0.2 ms late",
            share * 100.0
        )
    })
}

fn start_broker(
    testbed: &Testbed,
    settings: &BedSettings,
    address: SocketAddr,
) -> Result<(LabBroker, BrokerRecord), StudyError> {
    let url = Some(format!("mqtt://{address}"));
    if let Some(command) = &settings.broker_command {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("exec {command}"))
            .env("MQTTSCOPE_BROKER_ADDRESS", address.ip().to_string())
            .env("MQTTSCOPE_BROKER_PORT", address.port().to_string());
        let record = BrokerRecord {
            name: command.clone(),
            url,
            ..BrokerRecord::default()
        };
        let program = testbed.start_broker(shell, address)?;
        return Ok((LabBroker::Program(program), record));
    }
    let version = mosquitto_version();
    let mosquitto = match settings.broker.kind {
        BrokerKind::Auto => version.is_some(),
        BrokerKind::Mosquitto => true,
        BrokerKind::Embedded => false,
    };
    if mosquitto {
        let options = &settings.broker.mosquitto;
        let program = testbed.start_mosquitto(options)?;
        let record = BrokerRecord {
            name: "mosquitto".into(),
            version,
            url,
            configuration: Some(options.configuration(address)),
            ..BrokerRecord::default()
        };
        return Ok((LabBroker::Program(program), record));
    }
    let started = testbed.inside(Host::Broker, || {
        let any = SocketAddr::from((Host::Broker.address(), BROKER_PORT));
        Broker::start(any, embedded(&settings.broker))
    });
    let broker = started.map_err(|source| StudyError::Io {
        step: "the embedded broker does not start",
        source,
    })?;
    let record = BrokerRecord {
        url,
        ..embedded_record()
    };
    Ok((LabBroker::Embedded(broker), record))
}

impl Proxies {
    fn begin(&mut self, cell: &StudyCell) -> Result<(), StudyError> {
        let start = |profile: &Profile, outage| {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Proxy::start(any, self.broker.address(), conditions(profile, outage))
        };
        let failed = |source: io::Error| StudyError::Io {
            step: "a proxy does not start",
            source,
        };
        let publisher = start(&cell.publisher_link, cell.outage).map_err(failed)?;
        let subscriber = start(&cell.subscriber_link, None).map_err(failed)?;
        self.running = Some([publisher, subscriber]);
        Ok(())
    }
}

/// A proxy's schedule repeats itself: not sooner than an outage and as long again is over.
fn every(at: f64, lasts: f64) -> f64 {
    at.max(2.0 * lasts)
}

/// What a proxy can do of a profile: delay, rate, outages.
fn conditions(profile: &Profile, outage: Option<(f64, f64)>) -> Conditions {
    let delay = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1e3);
    let rate = profile
        .to_broker
        .rate
        .map(|rate| rate.mbit_per_s * 1e6 / 8.0);
    Conditions {
        delay_to_target: delay(profile.to_broker.delay_ms),
        delay_to_client: delay(profile.to_host.delay_ms),
        throttle: rate.and_then(|bytes| format!("{bytes:.0}B/s").parse().ok()),
        outage: outage.and_then(|(at, lasts)| {
            let [every, lasts] = [every(at, lasts), lasts].map(Duration::from_secs_f64);
            Periodic::new(every, lasts)
        }),
        ..Conditions::default()
    }
}
