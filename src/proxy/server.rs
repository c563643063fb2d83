//! A running proxy as its owner sees it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt,
    socket, sockopt,
};

use super::conditions::{Conditions, Happening};
use super::pair::Pair;
use super::relay::Relay;

/// Occurrences that are kept; the oldest beyond are forgotten.
const KEPT_OCCURRENCES: usize = 10_000;

/// How long a new start of the schedule is waited for.
const RESTART_PATIENCE: Duration = Duration::from_secs(5);

/// Something that the schedule did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Occurrence {
    /// What.
    pub happening: Happening,
    /// When it was due, on the monotonic clock.
    pub at: Instant,
}

/// What a proxy did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Connections of clients that it took.
    pub accepted: u64,
    /// Connections that an outage or a reset cut.
    pub cut: u64,
    /// Resets of the schedule.
    pub resets: u64,
    /// Outages that began.
    pub outages: u64,
    /// Stalls that began.
    pub stalls: u64,
    /// Bytes written to the target, of connections that are over.
    pub bytes_to_target: u64,
    /// Bytes written to clients, of connections that are over.
    pub bytes_to_client: u64,
}

/// A proxy on a thread of its own; dropping it ends it and closes its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    waker: UnixStream,
    /// Holds the port while an outage has no listener.
    _reserved: std::os::fd::OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at `address` (port 0: any free one) and passes connections on to `target`. The
    /// schedule begins now; see [`Proxy::restart`].
    ///
    /// # Errors
    /// The address cannot be listened at, or the thread cannot be started.
    pub fn start(
        address: SocketAddr,
        target: SocketAddr,
        conditions: Conditions,
    ) -> io::Result<Self> {
        let reserved = bound(address)?;
        let bound_at: SockaddrStorage =
            nix::sys::socket::getsockname(std::os::fd::AsRawFd::as_raw_fd(&reserved))?;
        let address = with_port_of(address, &bound_at);
        let listener = listen(address)?;
        let (waker, woken) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let relay = Relay::new(listener, target, conditions, Arc::clone(&shared), woken)?;
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || relay.run())?;
        Ok(Self {
            address,
            shared,
            waker,
            _reserved: reserved,
            thread: Some(thread),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins the schedule again, now: the first outage is as far away as the first one ever was.
    /// Waits until connections are accepted again, should an outage have been on.
    pub fn restart(&self) {
        self.shared.ask_for_restart();
        self.wake();
        self.shared.wait_for_restart();
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// What the schedule did so far, in order; at most the last 10,000.
    #[must_use]
    pub fn occurrences(&self) -> Vec<Occurrence> {
        self.shared.log().clone()
    }

    /// Ends it and waits for its thread.
    pub fn stop(self) {
        drop(self);
    }

    fn wake(&self) {
        // When the pipe is full, the thread is woken already.
        let _ = (&self.waker).write(&[0]);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the proxy's thread and its owner share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    restart: Mutex<bool>,
    restarted: Condvar,
    accepted: AtomicU64,
    cut: AtomicU64,
    bytes_to_target: AtomicU64,
    bytes_to_client: AtomicU64,
    resets: AtomicU64,
    outages: AtomicU64,
    stalls: AtomicU64,
    log: Mutex<Vec<Occurrence>>,
}

impl Shared {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn ask_for_restart(&self) {
        *self.restart_asked() = true;
    }

    /// Whether the schedule is to begin again.
    pub(super) fn is_restart_asked(&self) -> bool {
        *self.restart_asked()
    }

    /// The schedule has begun again.
    pub(super) fn has_restarted(&self) {
        *self.restart_asked() = false;
        self.restarted.notify_all();
    }

    /// Not for ever: the proxy's thread may have ended for want of memory.
    fn wait_for_restart(&self) {
        let asked = self.restart_asked();
        drop(
            self.restarted
                .wait_timeout_while(asked, RESTART_PATIENCE, |asked| *asked),
        );
    }

    fn restart_asked(&self) -> std::sync::MutexGuard<'_, bool> {
        self.restart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn drain(&self, waker: &mut UnixStream) {
        while waker.read(&mut [0; 64]).is_ok_and(|count| count == 64) {}
    }

    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, pair: &Pair, is_cut: bool) {
        let (to_target, to_client) = pair.passed();
        self.bytes_to_target.fetch_add(to_target, Ordering::Relaxed);
        self.bytes_to_client.fetch_add(to_client, Ordering::Relaxed);
        self.cut.fetch_add(u64::from(is_cut), Ordering::Relaxed);
    }

    pub(super) fn happened(&self, happening: Happening, at: Instant) {
        let counter = match happening {
            Happening::Reset => Some(&self.resets),
            Happening::OutageBegan => Some(&self.outages),
            Happening::StallBegan => Some(&self.stalls),
            Happening::OutageEnded | Happening::StallEnded => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut log = self.log();
        if log.len() >= KEPT_OCCURRENCES {
            log.drain(..KEPT_OCCURRENCES / 2);
        }
        log.push(Occurrence { happening, at });
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Occurrence>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            accepted: get(&self.accepted),
            cut: get(&self.cut),
            resets: get(&self.resets),
            outages: get(&self.outages),
            stalls: get(&self.stalls),
            bytes_to_target: get(&self.bytes_to_target),
            bytes_to_client: get(&self.bytes_to_client),
        }
    }
}

/// A socket with a name and no listener. Two of them may have the same one (`SO_REUSEPORT`), so
/// that the port stays ours when the one that listens is closed for an outage.
fn bound(address: SocketAddr) -> io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::ReusePort, &true)?;
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&fd),
        &SockaddrStorage::from(address),
    )?;
    Ok(fd)
}

/// Listens without waiting in `accept`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let fd = bound(address)?;
    nix::sys::socket::listen(&fd, Backlog::MAXCONN)?;
    Ok(TcpListener::from(fd))
}

/// The address with the port that the kernel chose.
fn with_port_of(mut address: SocketAddr, bound: &SockaddrStorage) -> SocketAddr {
    let port = bound
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port)
        .or_else(|| {
            bound
                .as_sockaddr_in6()
                .map(nix::sys::socket::SockaddrIn6::port)
        });
    address.set_port(port.unwrap_or(address.port()));
    address
}
