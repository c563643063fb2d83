//! One client and its connection to the target.

use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, setsockopt, socket,
    sockopt,
};

use super::intake::{Intake, ask_for_stamps};
use super::lane::{Lane, Link};

/// One of the two sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Client,
    Target,
}

/// Bytes on the way from one side to the other.
#[derive(Debug)]
struct Way {
    lane: Lane,
    /// The other side takes no more for now.
    is_blocked: bool,
    /// All went out, and the end of the stream with it.
    is_over: bool,
    passed: u64,
}

impl Way {
    fn new(link: &Link) -> Self {
        Self {
            lane: Lane::new(link.capacity()),
            is_blocked: false,
            is_over: false,
            passed: 0,
        }
    }

    fn read(&mut self, from: &TcpStream, link: &mut Link, intake: &mut Intake) -> io::Result<()> {
        let room = self.lane.room();
        if room == 0 {
            return Ok(());
        }
        match intake.read(from, room) {
            Ok(([], came)) => self.lane.end(came, link),
            Ok((bytes, came)) => self.lane.push(bytes, came, link),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, to: &mut TcpStream, now: Duration) -> io::Result<()> {
        self.is_blocked = false;
        loop {
            let due = self.lane.due(now);
            if due.is_empty() {
                break;
            }
            match to.write(due) {
                Ok(count) => {
                    self.lane.pop(count);
                    self.passed += count as u64;
                }
                Err(error) if is_passing(&error) => {
                    self.is_blocked = error.kind() == ErrorKind::WouldBlock;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.lane.has_ended(now) && !self.is_over {
            self.is_over = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// When it wants to write next by itself.
    fn next_due(&self) -> Option<Duration> {
        let waits = !self.is_blocked && !self.is_over;
        self.lane.next_due().filter(|_| waits)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[derive(Debug)]
pub(super) struct Pair {
    client: TcpStream,
    target: TcpStream,
    is_connecting: bool,
    to_target: Way,
    to_client: Way,
}

impl Pair {
    /// Begins to connect to the target.
    pub(super) fn new(
        client: TcpStream,
        target: SocketAddr,
        to_target: &Link,
        to_client: &Link,
    ) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        let (target, is_connecting) = begin_connect(target)?;
        target.set_nodelay(true)?;
        ask_for_stamps(&client);
        ask_for_stamps(&target);
        Ok(Self {
            client,
            target,
            is_connecting,
            to_target: Way::new(to_target),
            to_client: Way::new(to_client),
        })
    }

    /// What to wait for on one side, if for anything.
    pub(super) fn interest(&self, side: Side) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (stream, reads, writes) = match side {
            Side::Client => (&self.client, &self.to_target, &self.to_client),
            Side::Target => (&self.target, &self.to_client, &self.to_target),
        };
        let mut flags = PollFlags::empty();
        if side == Side::Target && self.is_connecting {
            flags |= PollFlags::POLLOUT;
        } else {
            flags.set(PollFlags::POLLIN, reads.lane.room() > 0);
            flags.set(PollFlags::POLLOUT, writes.is_blocked);
        }
        (!flags.is_empty()).then(|| (stream.as_fd(), flags))
    }

    pub(super) fn read(
        &mut self,
        side: Side,
        link: &mut Link,
        intake: &mut Intake,
    ) -> io::Result<()> {
        if side == Side::Client {
            return self.to_target.read(&self.client, link, intake);
        }
        if self.is_connecting {
            if let Some(error) = self.target.take_error()? {
                return Err(error);
            }
            self.is_connecting = false;
            return Ok(());
        }
        self.to_client.read(&self.target, link, intake)
    }

    /// Writes what is due in both directions.
    pub(super) fn write(&mut self, now: Duration) -> io::Result<()> {
        if !self.is_connecting {
            self.to_target.write(&mut self.target, now)?;
        }
        self.to_client.write(&mut self.client, now)
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let to_target = self.to_target.next_due().filter(|_| !self.is_connecting);
        to_target.into_iter().chain(self.to_client.next_due()).min()
    }

    pub(super) fn is_over(&self) -> bool {
        self.to_target.is_over && self.to_client.is_over
    }

    /// Bytes that went to the target, and to the client.
    pub(super) fn passed(&self) -> (u64, u64) {
        (self.to_target.passed, self.to_client.passed)
    }

    /// Ends both connections with a TCP reset: what is on the way is lost.
    pub(super) fn reset(self) {
        for stream in [&self.client, &self.target] {
            reset_on_close(stream);
        }
    }
}

/// A socket that is closed with a linger time of 0 sends RST in place of FIN.
fn reset_on_close(stream: &TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // If it fails, the connection ends with FIN.
    let _ = setsockopt(stream, sockopt::Linger, &linger);
}

/// Connects without waiting for it; says whether it is still going on.
fn begin_connect(address: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    let stream = TcpStream::from(stream);
    let to = SockaddrStorage::from(address);
    match connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &to) {
        Ok(()) => Ok((stream, false)),
        Err(Errno::EINPROGRESS) => Ok((stream, true)),
        Err(error) => Err(error.into()),
    }
}
