//! Waiting as exactly as the system allows: sleep until shortly before, then look again and again.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use super::clock::Stamp;
use super::line::Wire;

/// From so long before a deadline on, sockets are polled without sleeping: a sleeping thread is
/// woken some 50 µs late.
pub(super) const SPIN_NS: i64 = 80_000;

/// The longest sleep: flags are looked at in between.
pub(super) const NAP_NS: i64 = 20_000_000;
/// While a line is being made.
pub(super) const SHORT_NAP_NS: i64 = 1_000_000;

/// The sockets of those clients that have one, each with its client's place.
pub(super) fn sockets<'w>(
    wires: impl Iterator<Item = &'w mut Wire>,
) -> Vec<(usize, Arc<TcpStream>)> {
    let found = wires.enumerate();
    found
        .filter_map(|(index, wire)| Some((index, wire.socket()?)))
        .collect()
}

/// What to wait for at each of them.
pub(super) fn poll_set(sockets: &[(usize, Arc<TcpStream>)]) -> Vec<PollFd<'_>> {
    let entries = sockets.iter();
    entries
        .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
        .collect()
}

/// Input always, output where bytes wait.
#[inline]
pub(super) fn ask(entry: &mut PollFd<'_>, wants_write: bool) {
    let mut events = PollFlags::POLLIN;
    events.set(PollFlags::POLLOUT, wants_write);
    entry.set_events(events);
}

/// Whether something came, or the connection ended.
#[inline]
pub(super) fn is_readable(entry: &PollFd<'_>) -> bool {
    let ready = entry.revents().unwrap_or(PollFlags::empty());
    ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
}

/// Makes this thread's timers exact. By default the kernel may wake it 50 µs later than asked, to
/// save power.
pub(super) fn tune_thread() {
    #[cfg(target_os = "linux")]
    {
        // Where it is refused timers are less exact, which the send lag shows.
        let _ = nix::sys::prctl::set_timerslack(1);
    }
}

/// Waits until a socket is ready, or until about `until`: it may return earlier, never much
/// later. Gives whether a socket is ready.
pub(super) fn wait(sockets: &mut [PollFd<'_>], now: Stamp, until: Stamp) -> bool {
    let left = until.since(now);
    let sleep = if left > SPIN_NS { left - SPIN_NS } else { 0 };
    poll(sockets, sleep)
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn poll(sockets: &mut [PollFd<'_>], nanos: i64) -> bool {
    let timeout = TimeSpec::new(nanos / 1_000_000_000, nanos % 1_000_000_000);
    match nix::poll::ppoll(sockets, Some(timeout), None) {
        Ok(ready) => ready > 0,
        // A signal: the caller looks at its flags and comes again.
        Err(Errno::EINTR) => false,
        Err(_) => true,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn poll(sockets: &mut [PollFd<'_>], nanos: i64) -> bool {
    let milliseconds = u16::try_from(nanos / 1_000_000).unwrap_or(u16::MAX);
    match nix::poll::poll(sockets, milliseconds) {
        Ok(ready) => ready > 0,
        Err(Errno::EINTR) => false,
        Err(_) => true,
    }
}
