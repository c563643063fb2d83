//! Each packet of the loopback interface once.
//!
//! Linux shows it on its way out and on its way in. libpcap passes over the former, but only after
//! it took room in the system's buffer and was counted there, so that every packet counts, and
//! every drop may count, twice. A filter cannot help: libpcap itself tests what was captured
//! before the filter was set, and does not know which way a packet went.

use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// The socket gets no packet on its way out (packet(7); Linux 4.20 and later).
    IgnoreOutgoing,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_IGNORE_OUTGOING,
    bool
);

/// Has the system leave out packets on their way out; an older system goes on as it was.
pub(super) fn ignore_outgoing(socket: &impl AsFd) {
    let _ = setsockopt(socket, IgnoreOutgoing, &true);
}
