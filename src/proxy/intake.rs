//! Reading from a socket, with the moment at which the bytes came: the system's stamp of the last
//! packet where it gives one. A thread that was asleep when they came looks at its own clock too
//! late.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Read at once, from one side.
const READ_BYTES: usize = 64 << 10;
/// Nothing waits longer to be read, unless the calendar's clock was set.
#[cfg(target_os = "linux")]
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Where bytes are read to.
pub(super) struct Intake {
    buffer: Vec<u8>,
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
    /// Of the lanes' clock.
    began: Instant,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; READ_BYTES],
            #[cfg(target_os = "linux")]
            control: nix::cmsg_space!(nix::sys::time::TimeSpec),
            began: Instant::now(),
        }
    }

    pub(super) const fn began(&self) -> Instant {
        self.began
    }

    /// The lanes' time.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Reads at most so many bytes; gives them and when they came.
    pub(super) fn read(&mut self, from: &TcpStream, most: usize) -> io::Result<(&[u8], Duration)> {
        let most = most.min(self.buffer.len());
        let (count, waited) = self.receive(from, most)?;
        let came = self.now().saturating_sub(waited);
        Ok((self.buffer.get(..count).unwrap_or_default(), came))
    }

    /// How many bytes, and for how long they have lain there.
    #[cfg(target_os = "linux")]
    fn receive(&mut self, from: &TcpStream, most: usize) -> io::Result<(usize, Duration)> {
        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
        use nix::time::{ClockId, clock_gettime};

        let space = self.buffer.get_mut(..most).unwrap_or_default();
        let mut parts = [io::IoSliceMut::new(space)];
        let message = recvmsg::<()>(
            std::os::fd::AsRawFd::as_raw_fd(from),
            &mut parts,
            Some(&mut self.control),
            MsgFlags::empty(),
        )?;
        let stamp = message.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let now = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from);
        let waited = stamp
            .zip(now.ok())
            .and_then(|(stamp, now)| now.checked_sub(stamp));
        let waited = waited.filter(|waited| *waited < LONGEST_WAIT);
        Ok((message.bytes, waited.unwrap_or_default()))
    }

    #[cfg(not(target_os = "linux"))]
    fn receive(&mut self, mut from: &TcpStream, most: usize) -> io::Result<(usize, Duration)> {
        let space = self.buffer.get_mut(..most).unwrap_or_default();
        io::Read::read(&mut from, space).map(|count| (count, Duration::ZERO))
    }
}

/// Asks the system to stamp what comes. Where it does not, bytes came when they are read.
pub(super) fn ask_for_stamps(_stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::socket::setsockopt(
        _stream,
        nix::sys::socket::sockopt::ReceiveTimestampns,
        &true,
    );
}
