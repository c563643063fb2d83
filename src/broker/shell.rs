//! The broker on a socket: a listener and a thread with a runtime of its own.
//!
//! All the state is the core's, on one thread. A task per connection waits for its socket; what it
//! reads goes to the core, and what the core has to say to any connection is written at once, in
//! the same wake-up, with one write per connection.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::time::Timestamp;

use super::config::Config;
use super::connection::{Closing, ConnectionId};
use super::core::Core;

/// Read at once, from one connection.
const READ_BYTES: usize = 256 << 10;
/// How long a client may take to read the last words, and to close its side.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after a failed accept: the process has no more file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running broker; dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker that listens at `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// The address cannot be listened at, or the thread cannot be started.
    pub fn start(address: SocketAddr, config: Config) -> io::Result<Self> {
        Self::serve(TcpListener::bind(address)?, config)
    }

    /// Starts a broker on a socket that listens already: one of another network namespace, say.
    ///
    /// # Errors
    /// The socket is of no use, or the thread cannot be started.
    pub fn serve(listener: TcpListener, config: Config) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || {
                let tasks = LocalSet::new();
                tasks.block_on(&runtime, run(listener, config, stopped));
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections (MQTT 5: with 0x8B, Server shutting down) and waits for the thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It fails when the thread is gone already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Socket {
    stream: TcpStream,
    id: ConnectionId,
    /// The connection's task has something to look at.
    wake: Notify,
    /// The last write would have waited.
    is_blocked: Cell<bool>,
    has_failed: Cell<bool>,
}

struct Hub {
    core: RefCell<Core>,
    began: Instant,
    /// By the index of the connection.
    sockets: RefCell<Vec<Option<Rc<Socket>>>>,
    buffer: RefCell<Vec<u8>>,
    /// When the timer's task wakes by itself.
    alarm: Cell<Option<Timestamp>>,
    earlier: Notify,
}

async fn run(listener: TcpListener, config: Config, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let hub = Rc::new(Hub {
        core: RefCell::new(Core::new(config, Timestamp::default())),
        began: Instant::now(),
        sockets: RefCell::default(),
        buffer: RefCell::new(vec![0; READ_BYTES]),
        alarm: Cell::new(None),
        earlier: Notify::new(),
    });
    let timer = tokio::task::spawn_local(keep_time(Rc::clone(&hub)));
    tokio::select! {
        () = accept(listener, &hub) => {}
        _ = stopped => {}
    }
    timer.abort();
    hub.core.borrow_mut().shut_down(hub.now());
    hub.flush();
}

async fn accept(listener: tokio::net::TcpListener, hub: &Rc<Hub>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => hub.open(stream),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Tells the core of the time when something is due.
async fn keep_time(hub: Rc<Hub>) {
    loop {
        let alarm = hub.core.borrow().next_deadline();
        hub.alarm.set(alarm);
        let earlier = hub.earlier.notified();
        match alarm {
            None => earlier.await,
            Some(alarm) => {
                let nanos = u64::try_from(alarm.as_nanos()).unwrap_or(0);
                let at = hub.began + Duration::from_nanos(nanos);
                // Either way it is time to look again.
                let _ = tokio::time::timeout_at(at.into(), earlier).await;
            }
        }
        hub.core.borrow_mut().time_passed(hub.now());
        hub.flush();
    }
}

impl Hub {
    fn now(&self) -> Timestamp {
        let nanos = self.began.elapsed().as_nanos();
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    fn open(self: &Rc<Self>, stream: TcpStream) {
        // With Nagle's algorithm small packets would wait for acknowledgements of TCP.
        let _ = stream.set_nodelay(true);
        let Some(id) = self.core.borrow_mut().connection_opened(self.now()) else {
            return;
        };
        let socket = Rc::new(Socket {
            stream,
            id,
            wake: Notify::new(),
            is_blocked: Cell::new(false),
            has_failed: Cell::new(false),
        });
        let mut sockets = self.sockets.borrow_mut();
        if sockets.len() <= id.index() {
            sockets.resize(id.index() + 1, None);
        }
        if let Some(slot) = sockets.get_mut(id.index()) {
            *slot = Some(Rc::clone(&socket));
        }
        drop(sockets);
        tokio::task::spawn_local(serve(Rc::clone(self), socket));
        self.flush();
    }

    /// Writes what the core has to say, and sees whether it wants to be woken earlier.
    fn flush(&self) {
        let mut core = self.core.borrow_mut();
        while let Some(id) = core.next_ready() {
            let sockets = self.sockets.borrow();
            if let Some(Some(socket)) = sockets.get(id.index()) {
                socket.write(&mut core);
            }
        }
        let next = core.next_deadline();
        let alarm = self.alarm.get();
        if next.is_some_and(|next| alarm.is_none_or(|alarm| next < alarm)) {
            self.alarm.set(next);
            self.earlier.notify_one();
        }
    }

    /// Reads once and hands it to the core; `false` at the end of the stream.
    fn read(&self, socket: &Socket) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        match socket.stream.try_read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                let now = self.now();
                self.core.borrow_mut().bytes_received(socket.id, bytes, now);
                self.flush();
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    fn close(&self, socket: &Socket) {
        let now = self.now();
        self.core.borrow_mut().connection_closed(socket.id, now);
        if let Some(slot) = self.sockets.borrow_mut().get_mut(socket.id.index()) {
            *slot = None;
        }
        self.flush();
    }
}

impl Socket {
    /// Writes as much as the socket takes.
    fn write(&self, core: &mut Core) {
        loop {
            let output = core.output(self.id);
            if output.is_empty() || self.has_failed.get() {
                break;
            }
            match self.stream.try_write(output) {
                Ok(count) => core.written(self.id, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked.set(true);
                    self.wake.notify_one();
                    return;
                }
                Err(_) => self.has_failed.set(true),
            }
        }
        self.is_blocked.set(false);
        if self.has_failed.get() || core.closing(self.id).is_some() {
            self.wake.notify_one();
        }
    }
}

/// What to do with a connection next.
enum Next {
    Wait(Option<Interest>),
    End(Option<Closing>),
}

impl Hub {
    fn next(&self, socket: &Socket) -> Next {
        let core = self.core.borrow();
        let closing = core.closing(socket.id);
        if socket.has_failed.get() || closing == Some(Closing::Reset) {
            return Next::End(closing);
        }
        let writes = socket.is_blocked.get();
        if closing.is_some() && !writes {
            return Next::End(closing);
        }
        Next::Wait(match (core.wants_input(socket.id), writes) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        })
    }
}

/// One connection, from its opening to its end.
async fn serve(hub: Rc<Hub>, socket: Rc<Socket>) {
    let closing = loop {
        let interest = match hub.next(&socket) {
            Next::End(closing) => break closing,
            Next::Wait(interest) => interest,
        };
        let Some(interest) = interest else {
            socket.wake.notified().await;
            continue;
        };
        let is_leaving = hub.core.borrow().closing(socket.id).is_some();
        let ready = tokio::select! {
            biased;
            ready = socket.stream.ready(interest) => ready,
            () = socket.wake.notified() => continue,
            // Who does not read the last words is left.
            () = tokio::time::sleep(FAREWELL), if is_leaving => break Some(Closing::Reset),
        };
        let Ok(ready) = ready else { break None };
        if ready.is_writable() && socket.is_blocked.get() {
            socket.write(&mut hub.core.borrow_mut());
            hub.flush();
        }
        if ready.is_readable() && !hub.read(&socket) {
            break None;
        }
    };
    hub.close(&socket);
    match closing {
        Some(Closing::Finish) => farewell(&socket).await,
        Some(Closing::Reset) => {
            let _ = socket.stream.set_zero_linger();
        }
        None => {}
    }
}

/// Closes so that the client gets the last packet: a socket that is closed with unread bytes
/// resets the connection, and the client may lose what it had not read.
async fn farewell(socket: &Socket) {
    if nix::sys::socket::shutdown(fd(&socket.stream), nix::sys::socket::Shutdown::Write).is_err() {
        return;
    }
    let drain = async {
        let mut rest = [0; 4096];
        loop {
            let readable = socket.stream.readable().await;
            match socket.stream.try_read(&mut rest) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && readable.is_ok() => {}
                Ok(1..) => {}
                _ => return,
            }
        }
    };
    let _ = timeout(FAREWELL, drain).await;
}

fn fd(stream: &TcpStream) -> std::os::fd::RawFd {
    std::os::fd::AsRawFd::as_raw_fd(stream)
}
