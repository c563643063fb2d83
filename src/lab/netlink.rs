//! As much of rtnetlink(7) as three hosts need: interfaces up, addresses, veth pairs. Without it
//! every step would need the `ip` program.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{recv, send, socket};

// linux/if_link.h, linux/veth.h.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const HEADER: usize = 16;

/// A routing socket of the calling thread's network namespace.
pub(super) struct Netlink(OwnedFd);

/// What an interface is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct InterfaceSettings {
    /// Whether it resolves neighbours by ARP.
    pub(super) arp: bool,
    /// Packets in its transmit queue; `None` leaves it.
    pub(super) queue: Option<u32>,
}

/// A request that grows at its end.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: i32) -> Self {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self(bytes)
    }

    /// `struct ifinfomsg`.
    fn interface(mut self, index: u32, flags: i32, change: i32) -> Self {
        self.0.extend([0; 4]);
        self.0.extend(index.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(change.to_ne_bytes());
        self
    }

    fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.nested(kind, |mut message| {
            message.0.extend(value);
            message
        })
    }

    /// An attribute whose value is whatever `fill` appends.
    fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.0.len();
        self.0.extend([0, 0]);
        self.0.extend(kind.to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.0.len() - at) as u16;
        filled.0[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        let padded = filled.0.len().next_multiple_of(4);
        filled.0.resize(padded, 0);
        filled
    }
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self(socket))
    }

    /// Sends a request and waits for its acknowledgement.
    fn request(&self, message: Message) -> io::Result<()> {
        let mut bytes = message.0;
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        send(self.0.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let count = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        // A header and `struct nlmsgerr`, which begins with the negative error number.
        match answer[..count].get(HEADER..HEADER + 4) {
            Some(code) => match i32::from_ne_bytes([code[0], code[1], code[2], code[3]]) {
                0 => Ok(()),
                negative => Err(io::Error::from_raw_os_error(-negative)),
            },
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    /// Sets an interface up.
    pub(super) fn set_up(&self, index: u32, settings: InterfaceSettings) -> io::Result<()> {
        let no_arp = if settings.arp { 0 } else { libc::IFF_NOARP };
        let message = Message::new(libc::RTM_NEWLINK, 0).interface(
            index,
            libc::IFF_UP | no_arp,
            libc::IFF_UP | libc::IFF_NOARP,
        );
        self.request(message)?;
        if let Some(queue) = settings.queue {
            let message = Message::new(libc::RTM_NEWLINK, 0)
                .interface(index, 0, 0)
                .attribute(libc::IFLA_TXQLEN, &queue.to_ne_bytes());
            // A user namespace may not; a shorter queue only drops earlier, and its drops are seen.
            let _ = self.request(message);
        }
        Ok(())
    }

    /// Gives an interface an address; the addresses of the prefix are then reached through it.
    pub(super) fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWADDR, create);
        // `struct ifaddrmsg`: family, prefix length, flags, scope, index.
        message.0.extend([libc::AF_INET as u8, prefix, 0, 0]);
        message.0.extend(index.to_ne_bytes());
        let octets = address.octets();
        let message = message
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets);
        self.request(message)
    }

    /// Makes a pair of Ethernet interfaces, one here and one in the namespace of `peer_namespace`.
    pub(super) fn add_veth(
        &self,
        name: &str,
        peer_name: &str,
        peer_namespace: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let namespace = peer_namespace.as_raw_fd().to_ne_bytes();
        let message = Message::new(libc::RTM_NEWLINK, create)
            .interface(0, 0, 0)
            .attribute(libc::IFLA_IFNAME, &text(name))
            .nested(libc::IFLA_LINKINFO, |info| {
                info.attribute(IFLA_INFO_KIND, b"veth")
                    .nested(IFLA_INFO_DATA, |data| {
                        data.nested(VETH_INFO_PEER, |peer| {
                            peer.interface(0, 0, 0)
                                .attribute(libc::IFLA_IFNAME, &text(peer_name))
                                .attribute(libc::IFLA_NET_NS_FD, &namespace)
                        })
                    })
            });
        self.request(message)
    }
}

/// A name with its terminating zero.
fn text(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}
