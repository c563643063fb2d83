//! Where packets leave a host's kernel and come to the emulator, and back: a TUN device, or a pair
//! of Ethernet interfaces with a packet socket at our end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{bind, recv, send, setsockopt, socket, sockopt};
use serde::{Deserialize, Serialize};

use super::namespace::Namespace;
use super::netlink::{InterfaceSettings, Netlink};
use super::sys;

/// The interface of every host.
pub(super) const INTERFACE: &str = "mqttscope0";
/// Our end of the pair, in a namespace of its own.
const FAR_END: &str = "mqttscope1";
/// The network of the three hosts: 198.18.0.0/15 is set aside for testing network devices
/// (RFC 2544, section C.2.2).
pub(super) const PREFIX: u8 = 24;
/// Packets that a TUN device holds for the emulator.
const QUEUE: u32 = 10_000;
/// What a packet socket holds for it, in bytes.
const RECEIVE_BUFFER: usize = 16 << 20;
const ETHERNET_HEADER: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// How packets come from the hosts' kernels to the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A TUN device in each host's namespace.
    Tun,
    /// A veth pair for each host, with an AF_PACKET socket at our end.
    Veth,
}

/// The emulator's side of a host's interface.
#[derive(Debug)]
pub(super) enum Device {
    Tun(File),
    Veth {
        socket: OwnedFd,
        /// What stands in front of each packet to the host.
        header: [u8; ETHERNET_HEADER],
        /// Holds our end of the pair.
        _middle: Namespace,
    },
}

impl Device {
    /// Makes the interface of a host, with its address, and sets it up.
    pub(super) fn open(
        kind: DeviceKind,
        namespace: &Namespace,
        address: Ipv4Addr,
    ) -> io::Result<Self> {
        match kind {
            DeviceKind::Tun => namespace.enter(|| {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open("/dev/net/tun")?;
                sys::attach_tun(&file, INTERFACE)?;
                set_up_host(address)?;
                Ok(Self::Tun(file))
            }),
            DeviceKind::Veth => Self::open_veth(namespace, address),
        }
    }

    fn open_veth(namespace: &Namespace, address: Ipv4Addr) -> io::Result<Self> {
        let middle = Namespace::new()?;
        let host_mac = namespace.enter(|| {
            Netlink::open()?.add_veth(INTERFACE, FAR_END, middle.descriptor())?;
            set_up_host(address)?;
            sys::switch_off_offloads(&control_socket()?, INTERFACE)?;
            link_address(INTERFACE)?
                .addr()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })?;
        let (socket, our_mac) = middle.enter(|| {
            let netlink = Netlink::open()?;
            let settings = InterfaceSettings {
                arp: false,
                queue: None,
            };
            netlink.set_up(if_nametoindex(FAR_END)?, settings)?;
            sys::switch_off_offloads(&control_socket()?, FAR_END)?;
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::EthIp,
            )?;
            // Where it is refused, bursts may overrun the smaller one, which is counted.
            let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER);
            let far = link_address(FAR_END)?;
            bind(socket.as_raw_fd(), &far)?;
            let mac = far
                .addr()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok((socket, mac))
        })?;
        let mut header = [0; ETHERNET_HEADER];
        header[..6].copy_from_slice(&host_mac);
        header[6..12].copy_from_slice(&our_mac);
        header[12..].copy_from_slice(&ETHERTYPE_IPV4);
        Ok(Self::Veth {
            socket,
            header,
            _middle: middle,
        })
    }

    /// Takes the next IP packet that the host sent; `None` when there is none now.
    pub(super) fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let (count, skip) = match self {
            Self::Tun(file) => (file.read(buffer), 0),
            Self::Veth { socket, .. } => (
                recv(socket.as_raw_fd(), buffer, MsgFlags::empty()).map_err(io::Error::from),
                ETHERNET_HEADER,
            ),
        };
        match count {
            Ok(count) => Ok(Some(buffer.get(skip..count).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands an IP packet to the host.
    pub(super) fn send(&mut self, packet: &[u8], scratch: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Tun(file) => file.write(packet).map(drop),
            Self::Veth { socket, header, .. } => {
                scratch.clear();
                scratch.extend_from_slice(header);
                scratch.extend_from_slice(packet);
                send(socket.as_raw_fd(), scratch, MsgFlags::empty())?;
                Ok(())
            }
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tun(file) => file.as_fd(),
            Self::Veth { socket, .. } => socket.as_fd(),
        }
    }
}

/// Sets up the host's interfaces, inside its namespace.
fn set_up_host(address: Ipv4Addr) -> io::Result<()> {
    let netlink = Netlink::open()?;
    // The kernel would announce itself over IPv6, and remember round trips from one connection to
    // the next, which would tie measurements together. Where /proc/sys is read-only both stay;
    // the emulator passes over IPv6.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
    let loopback = InterfaceSettings {
        arp: true,
        queue: None,
    };
    netlink.set_up(if_nametoindex("lo")?, loopback)?;
    let index = if_nametoindex(INTERFACE)?;
    let settings = InterfaceSettings {
        arp: false,
        queue: Some(QUEUE),
    };
    netlink.set_up(index, settings)?;
    netlink.add_address(index, address, PREFIX)
}

fn control_socket() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    Ok(socket)
}

/// The link-layer address of an interface of the calling thread's namespace.
fn link_address(name: &str) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == name)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Packets that a host's kernel handed to its interface, and that it dropped there, as the
/// interface counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceCounters {
    /// Packets to the emulator.
    pub transmitted: u64,
    /// Packets that did not fit the queue to the emulator: it never saw them.
    pub transmit_dropped: u64,
    /// Packets from the emulator.
    pub received: u64,
    /// Packets from the emulator that the kernel dropped.
    pub receive_dropped: u64,
}

/// Reads the counters of a host's interface.
pub(super) fn interface_counters(namespace: &Namespace) -> io::Result<InterfaceCounters> {
    let text = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?;
    parse_counters(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The line of our interface in /proc/net/dev: eight columns of receiving, eight of transmitting
/// (proc(5)).
fn parse_counters(text: &str) -> Option<InterfaceCounters> {
    let line = text.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name.trim() == INTERFACE).then_some(rest)
    })?;
    let columns: Vec<u64> = line
        .split_ascii_whitespace()
        .map(|word| word.parse().ok())
        .collect::<Option<_>>()?;
    Some(InterfaceCounters {
        received: *columns.get(1)?,
        receive_dropped: *columns.get(3)?,
        transmitted: *columns.get(9)?,
        transmit_dropped: *columns.get(11)?,
    })
}
