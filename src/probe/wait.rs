//! Waiting as exactly as the system allows: sleep until shortly before, then look again and again.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use crate::waiting::{CLOCK_ONLY_NS, Margin};

use super::clock::{self, Stamp};

/// The longest sleep: flags are looked at in between.
pub(super) const NAP_NS: i64 = 20_000_000;
/// While a line is being made.
pub(super) const SHORT_NAP_NS: i64 = 1_000_000;

/// Input always, output where bytes wait.
#[inline]
pub(super) fn ask(entry: &mut PollFd<'_>, wants_write: bool) {
    let mut events = PollFlags::POLLIN;
    events.set(PollFlags::POLLOUT, wants_write);
    entry.set_events(events);
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

/// How a thread waits: until shortly before a deadline asleep, and then looking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    margin: Margin,
    /// After the last thing that happened sockets are polled so long without sleeping.
    eager_ns: i64,
    /// When something last happened.
    happened: Stamp,
}

/// How long an eager thread looks for more before it sleeps.
const EAGER_NS: i64 = 100_000;

impl Default for Waiter {
    /// For deadlines.
    fn default() -> Self {
        Self {
            margin: Margin::default(),
            eager_ns: 0,
            happened: Stamp::from_nanos(1),
        }
    }
}

impl Waiter {
    /// For sockets as fast as can be: falling asleep and being woken costs both ends more than
    /// looking again.
    pub(super) fn eager() -> Self {
        Self {
            eager_ns: EAGER_NS,
            ..Self::default()
        }
    }

    /// Waits until a socket is ready, or until about `until`: it may return earlier, never much
    /// later. Gives whether a socket is ready.
    #[inline]
    pub(super) fn wait(&mut self, sockets: &mut [PollFd<'_>], now: Stamp, until: Stamp) -> bool {
        let left = until.since(now);
        let is_eager = now.since(self.happened) < self.eager_ns;
        if left <= self.margin.nanos() || is_eager {
            let is_ready = poll(sockets, 0);
            if is_ready {
                self.happened = now;
            } else if is_eager && left > CLOCK_ONLY_NS {
                // The broker may be waiting for this processor.
                std::thread::yield_now();
            } else if left > 0 && left < CLOCK_ONLY_NS {
                while clock::now() < until {
                    std::hint::spin_loop();
                }
            }
            return is_ready;
        }
        let sleep = left - self.margin.nanos();
        let is_ready = poll(sockets, sleep);
        if is_ready {
            self.happened = now;
        } else {
            self.margin.learn(clock::now().since(now) - sleep);
        }
        is_ready
    }
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
