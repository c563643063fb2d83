//! The lab as its users see it: three hosts, two links, taps.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::device::{Device, DeviceKind, InterfaceCounters, interface_counters};
use super::error::LabError;
use super::host::{Direction, Host, Link};
use super::namespace::{Namespace, Program};
use super::profiles::{Profile, ProfileError};
use super::relay::{Clock, Relay};
use super::run_directory::RunDirectory;
use super::taps::{self, TapCounters, TapWriter};
use crate::processors::KeepAwake;
use crate::time::Timestamp;

/// How a lab is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestbedSettings {
    /// How packets come to the emulator; `None` takes TUN devices, and veth pairs where
    /// `/dev/net/tun` cannot be opened.
    pub device: Option<DeviceKind>,
    /// What to add to the system's monotonic clock to get nanoseconds since the Unix epoch: times
    /// in captures are on that clock, so that they compare with those of a prober that adds the
    /// same.
    pub epoch_offset_ns: i64,
}

/// Gives the calling thread, and the threads and programs that it starts from now on, precedence
/// over all others, or takes it away again; says whether the system allows that. A measurement that
/// waits for a processor measures this machine.
pub fn set_precedence(on: bool) -> bool {
    use crate::processors::{Schedule, set_schedule};
    set_schedule(if on {
        Schedule::InTurns
    } else {
        Schedule::Ordinary
    })
}

/// Three hosts in network namespaces, and the links between them.
///
/// Nothing of it has a name outside this process: namespaces and devices go with it, however it
/// ends. Dropping it ends the emulation. Meanwhile the machine's processors are kept awake
/// ([`KeepAwake`]).
pub struct Testbed {
    relay: Relay,
    hosts: Arc<[Namespace; 3]>,
    device: DeviceKind,
    tap_writer: Option<TapWriter>,
    directory: RunDirectory,
    _awake: KeepAwake,
}

/// What became of all packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    /// Per direction, in the order of [`Direction::ALL`], since its link was set.
    pub directions: [Counters; 4],
    /// Packets that were no IPv4 packets from one host to another that it has a link to.
    pub ignored: u64,
    /// Packets that a host's kernel did not take from the emulator.
    pub refused: u64,
    /// What the hosts' interfaces counted, in the order of [`Host::ALL`]: what was dropped there
    /// the emulator never saw.
    pub interfaces: [InterfaceCounters; 3],
}

impl LinkCounters {
    /// The counts of a direction.
    #[must_use]
    pub fn of(&self, direction: Direction) -> Counters {
        self.directions[direction.index()]
    }

    /// Packets that went missing outside the emulator: at the hosts' interfaces, or refused. A
    /// measurement with any of them measured this machine and not its links.
    #[must_use]
    pub fn lost_outside(&self) -> u64 {
        let dropped: u64 = self
            .interfaces
            .iter()
            .map(|interface| interface.transmit_dropped + interface.receive_dropped)
            .sum();
        dropped + self.refused
    }
}

impl fmt::Debug for Testbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Testbed")
            .field("device", &self.device)
            .field("directory", &self.directory.path())
            .finish_non_exhaustive()
    }
}

impl Testbed {
    /// Builds the network, with links that do nothing. The rights come first
    /// ([`Rights::acquire`](super::Rights::acquire)).
    ///
    /// # Errors
    ///
    /// The step that failed, with what the system said.
    pub fn new(settings: &TestbedSettings) -> Result<Self, LabError> {
        let directory = RunDirectory::new()?;
        let made = LabError::network("making a network namespace");
        let [publisher, broker, subscriber] = Host::ALL.map(|_| Namespace::new());
        let hosts = [
            publisher.map_err(&made)?,
            broker.map_err(&made)?,
            subscriber.map_err(&made)?,
        ];
        let (device, devices) = open_devices(settings.device, &hosts)?;
        let clock = Clock {
            epoch_offset_ns: settings.epoch_offset_ns,
        };
        Ok(Self {
            relay: Relay::start(devices, clock)?,
            hosts: Arc::new(hosts),
            device,
            tap_writer: None,
            directory,
            _awake: KeepAwake::begin(),
        })
    }

    /// How packets come to the emulator.
    #[must_use]
    pub fn device(&self) -> DeviceKind {
        self.device
    }

    /// A directory for files of this run. It goes with the testbed.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The lab's clock, on which the captures' times are.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.relay.now()
    }

    /// Sets what a link does, and its counters to 0. Packets on their way are dropped: set links
    /// while nothing is under way ([`drain`](Self::drain)), as a rule. The same profile and seed
    /// lose the same packets.
    ///
    /// # Errors
    ///
    /// A setting that no link can have.
    pub fn set_link(&self, link: Link, profile: &Profile, seed: u64) -> Result<(), ProfileError> {
        self.relay.set_link(link, profile, seed)?;
        self.relay.wake();
        Ok(())
    }

    /// Runs `work` on a thread of a host; sockets made there belong to the host for good.
    ///
    /// # Errors
    ///
    /// What `work` fails with, and what entering the namespace does.
    pub fn inside<T: Send>(
        &self,
        host: Host,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.hosts[host.index()].enter(work)
    }

    /// A TCP connection from a host.
    ///
    /// # Errors
    ///
    /// As of [`TcpStream::connect_timeout`].
    pub fn connect(&self, host: Host, to: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        self.connector()(host, to, timeout)
    }

    /// [`connect`](Self::connect) as a function of its own, for threads.
    pub fn connector(
        &self,
    ) -> impl Fn(Host, SocketAddr, Duration) -> io::Result<TcpStream> + Clone + Send + Sync + 'static
    {
        let hosts = Arc::clone(&self.hosts);
        move |host: Host, to: SocketAddr, timeout: Duration| {
            hosts[host.index()].enter(|| TcpStream::connect_timeout(&to, timeout))
        }
    }

    /// A listening TCP socket on a host's address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As of [`TcpListener::bind`].
    pub fn listener(&self, host: Host, port: u16) -> io::Result<TcpListener> {
        self.inside(host, || TcpListener::bind((host.address(), port)))
    }

    /// A UDP socket on a host's address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// As of [`UdpSocket::bind`].
    pub fn udp_socket(&self, host: Host, port: u16) -> io::Result<UdpSocket> {
        self.inside(host, || UdpSocket::bind((host.address(), port)))
    }

    /// Starts a program on a host. It is killed when the handle is dropped, and when this process
    /// ends, however it ends.
    ///
    /// # Errors
    ///
    /// As of [`Command::spawn`].
    pub fn spawn(&self, host: Host, command: Command) -> io::Result<Program> {
        self.hosts[host.index()].spawn(command)
    }

    /// A TCP port that is free on a host now.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn free_port(&self, host: Host) -> io::Result<u16> {
        Ok(self.listener(host, 0)?.local_addr()?.port())
    }

    /// Records all packets at the three hosts' ends of the links to `path`, from now on: pcapng
    /// with an interface per host, in the order of [`Host::ALL`]. Until it is stopped the file
    /// has `.part` behind its name. `snap_length` 0 keeps packets whole.
    ///
    /// # Errors
    ///
    /// A file that cannot be made. A recording that is under way is stopped first.
    pub fn start_taps(&mut self, path: &Path, snap_length: u32) -> Result<(), LabError> {
        if self.tap_writer.is_some() {
            self.stop_taps()?;
        }
        let (sink, writer) = taps::open(path, snap_length)?;
        self.tap_writer = Some(writer);
        self.relay.lock().taps = Some(sink);
        Ok(())
    }

    /// Ends the recording and gives what was seen; `None` where there is none.
    ///
    /// # Errors
    ///
    /// A file that could not be written to its end.
    pub fn stop_taps(&mut self) -> Result<Option<TapCounters>, LabError> {
        let (sink, now) = {
            let mut state = self.relay.lock();
            (state.taps.take(), self.relay.now())
        };
        match (sink, self.tap_writer.take()) {
            (Some(sink), Some(writer)) => sink.finish(writer, now).map(Some),
            _ => Ok(None),
        }
    }

    /// What became of all packets.
    ///
    /// # Errors
    ///
    /// An interface whose counters cannot be read.
    pub fn counters(&self) -> io::Result<LinkCounters> {
        let mut counters = LinkCounters::default();
        for host in Host::ALL {
            counters.interfaces[host.index()] = interface_counters(&self.hosts[host.index()])?;
        }
        let state = self.relay.lock();
        for direction in Direction::ALL {
            counters.directions[direction.index()] = state.counters(direction);
        }
        counters.ignored = state.ignored();
        counters.refused = state.refused();
        Ok(counters)
    }

    /// Waits until no packet is on its way, at most `patience`; tells whether that came about.
    #[must_use]
    pub fn drain(&self, patience: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let mut left = patience;
        loop {
            let in_flight = {
                let state = self.relay.lock();
                Direction::ALL
                    .iter()
                    .any(|d| state.counters(*d).in_flight > 0)
            };
            if !in_flight {
                return true;
            }
            let Some(rest) = left.checked_sub(LOOK_EVERY) else {
                return false;
            };
            left = rest;
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The address of a host.
    #[must_use]
    pub fn address(&self, host: Host) -> Ipv4Addr {
        host.address()
    }
}

/// Opens the devices of one kind, or of the first kind that works.
fn open_devices(
    wanted: Option<DeviceKind>,
    hosts: &[Namespace; 3],
) -> Result<(DeviceKind, [Device; 3]), LabError> {
    let open = |kind| {
        let [a, b, c] =
            Host::ALL.map(|host| Device::open(kind, &hosts[host.index()], host.address()));
        io::Result::Ok((kind, [a?, b?, c?]))
    };
    let tun = || open(DeviceKind::Tun).map_err(LabError::network("a TUN device"));
    let veth = || open(DeviceKind::Veth).map_err(LabError::network("a veth pair"));
    match wanted {
        Some(DeviceKind::Tun) => tun(),
        Some(DeviceKind::Veth) => veth(),
        None => tun().or_else(|_| veth()),
    }
}
