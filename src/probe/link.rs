//! One connection to the broker: a non-blocking socket, TLS where it is spoken, and the stamps.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ClientConnection;

use super::clock::{self, Stamp};
use super::error::{LinkError, TlsError};
use super::inbox::Inbox;
use super::outbox::{Outbox, Progress};

/// A connection.
#[derive(Debug)]
pub struct Link {
    socket: Arc<TcpStream>,
    tls: Option<Box<ClientConnection>>,
    /// What is to be written.
    pub outbox: Outbox,
    /// What was read.
    pub inbox: Inbox,
    /// Of the bytes in the outbox, those that TLS has taken and not yet written out.
    in_tls: usize,
    /// When TLS took them.
    taken: Option<Stamp>,
    last_write: Stamp,
    /// The last read took all there was.
    is_read_out: bool,
}

impl Link {
    pub(super) fn new(socket: TcpStream, tls: Option<ClientConnection>, limit: usize) -> Self {
        Self {
            socket: Arc::new(socket),
            tls: tls.map(Box::new),
            outbox: Outbox::with_capacity(256 << 10, 4_096),
            inbox: Inbox::new(limit),
            in_tls: 0,
            taken: None,
            last_write: clock::now(),
            is_read_out: false,
        }
    }

    /// The socket, to wait for.
    #[must_use]
    pub fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// Whether both ends are on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let ends = self
            .socket
            .local_addr()
            .ok()
            .zip(self.socket.peer_addr().ok());
        ends.is_some_and(|(ours, theirs)| ours.ip() == theirs.ip() || theirs.ip().is_loopback())
    }

    /// When something was last written.
    #[must_use]
    pub const fn last_write(&self) -> Stamp {
        self.last_write
    }

    /// Whether bytes wait that the socket did not take.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.outbox.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    ///
    /// The connection broke.
    #[inline]
    pub fn flush(&mut self, tell: impl FnMut(Progress)) -> Result<(), LinkError> {
        if self.tls.is_some() {
            self.flush_tls(tell)
        } else {
            self.flush_plain(tell)
        }
    }

    fn flush_plain(&mut self, mut tell: impl FnMut(Progress)) -> Result<(), LinkError> {
        while !self.outbox.is_empty() {
            let before = clock::now();
            match (&*self.socket).write(self.outbox.waiting()) {
                Ok(0) => return Err(LinkError::Closed { reason: None }),
                Ok(count) => {
                    let after = clock::now();
                    self.last_write = after;
                    self.outbox.written(count, (before, after), &mut tell);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(LinkError::Broken(error)),
            }
        }
        Ok(())
    }

    /// A record may hold many packets and leaves as a whole: all that TLS takes at once begins
    /// at one stamp and ends at one.
    fn flush_tls(&mut self, mut tell: impl FnMut(Progress)) -> Result<(), LinkError> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return Ok(());
        };
        loop {
            if self.in_tls == 0 && !self.outbox.is_empty() {
                self.taken = Some(clock::now());
                // It is bounded by TLS's own buffer; the rest follows when that is empty.
                let taken = tls.writer().write(self.outbox.waiting());
                self.in_tls = taken.map_err(LinkError::Broken)?;
            }
            while tls.wants_write() {
                match tls.write_tls(&mut &*self.socket) {
                    Ok(0) => return Err(LinkError::Closed { reason: None }),
                    Ok(_) => self.last_write = clock::now(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(LinkError::Broken(error)),
                }
            }
            if self.in_tls == 0 {
                return Ok(());
            }
            let before = self.taken.unwrap_or(self.last_write);
            let stamps = (before, self.last_write);
            self.outbox.written(self.in_tls, stamps, &mut tell);
            self.in_tls = 0;
        }
    }

    /// Whether the last read took all that the socket had; with TLS nobody knows.
    #[must_use]
    pub const fn is_read_out(&self) -> bool {
        self.is_read_out
    }

    /// Reads once what has come. Gives the stamp of when it was there, or `None` where nothing
    /// was.
    ///
    /// # Errors
    ///
    /// The broker closed the connection, or it broke.
    #[inline]
    pub fn fill(&mut self) -> Result<Option<Stamp>, LinkError> {
        let space = self.inbox.space();
        let room = space.len();
        let read = match self.tls.as_deref_mut() {
            None => (&*self.socket).read(space),
            Some(tls) => read_tls(tls, &self.socket, space)?,
        };
        match read {
            Ok(0) => Err(LinkError::Closed { reason: None }),
            Ok(count) => {
                self.inbox.filled(count);
                self.is_read_out = self.tls.is_none() && count < room;
                Ok(Some(clock::now()))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(LinkError::Closed { reason: None })
            }
            Err(error) => Err(LinkError::Broken(error)),
        }
    }
}

/// Plain bytes out of TLS. What is decrypted already comes first, because the socket tells
/// nothing of it.
fn read_tls(
    tls: &mut ClientConnection,
    mut socket: &TcpStream,
    space: &mut [u8],
) -> Result<io::Result<usize>, LinkError> {
    match tls.reader().read(space) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        read => return Ok(read),
    }
    match tls.read_tls(&mut socket) {
        Ok(0) => return Ok(Ok(0)),
        Ok(_) => {}
        Err(error) => return Ok(Err(error)),
    }
    tls.process_new_packets()
        .map_err(|error| LinkError::Tls(TlsError::from(error)))?;
    Ok(tls.reader().read(space))
}
