//! Frames to a pcapng file.

use std::io::{self, Write};

use super::SecretsFormat;
use crate::frame::LinkType;
use crate::time::Timestamp;

/// Option codes (draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2 and 4.6).
mod code {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_FILTER: u16 = 11;
    pub(super) const ISB_IFRECV: u16 = 4;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// Writes one section of pcapng, little-endian, times in nanoseconds.
///
/// Each block goes to the stream with one or two `write_all` calls: give it a
/// [`BufWriter`](io::BufWriter), and flush after a frame where someone reads along.
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    out: W,
    interfaces: u32,
    scratch: Vec<u8>,
}

/// An interface to be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// What its frames begin with.
    pub link_type: LinkType,
    /// The longest frame that is kept, in bytes; 0 is no limit.
    pub snap_length: u32,
    /// Name, as the system has it.
    pub name: Option<&'a str>,
    /// What a person calls it.
    pub description: Option<&'a str>,
    /// The capture filter in libpcap's syntax.
    pub filter: Option<&'a str>,
}

/// What an interface counted since the capture began; `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatistics {
    /// Packets received.
    pub received: Option<u64>,
    /// Packets that the interface dropped for want of resources.
    pub dropped_by_interface: Option<u64>,
    /// Packets that the operating system dropped.
    pub dropped_by_system: Option<u64>,
}

impl<'a> Interface<'a> {
    /// An interface without a name, a limit or a filter.
    #[must_use]
    pub const fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            snap_length: 0,
            name: None,
            description: None,
            filter: None,
        }
    }

    /// The same with a name.
    #[must_use]
    pub const fn with_name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }
}

impl<W: Write> PcapngWriter<W> {
    /// Begins the section; `application` is noted as its author.
    ///
    /// # Errors
    ///
    /// What `out` fails with.
    pub fn new(out: W, application: &str) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: 0,
            scratch: Vec::with_capacity(256),
        };
        writer.begin(0x0a0d_0d0a);
        writer.put(&0x1a2b_3c4d_u32.to_le_bytes());
        writer.put(&1_u16.to_le_bytes());
        writer.put(&0_u16.to_le_bytes());
        // Unknown length of the section.
        writer.put(&u64::MAX.to_le_bytes());
        writer.option(code::SHB_USERAPPL, application.as_bytes());
        writer.option(code::END, &[]);
        writer.end()?;
        Ok(writer)
    }

    /// Describes an interface and returns its number, from 0 on. May come at any time before the
    /// interface's first frame.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn add_interface(&mut self, interface: &Interface<'_>) -> io::Result<u32> {
        self.begin(1);
        self.put(&interface.link_type.0.to_le_bytes());
        self.put(&0_u16.to_le_bytes());
        self.put(&interface.snap_length.to_le_bytes());
        if let Some(name) = interface.name {
            self.option(code::IF_NAME, name.as_bytes());
        }
        if let Some(description) = interface.description {
            self.option(code::IF_DESCRIPTION, description.as_bytes());
        }
        self.option(code::IF_TSRESOL, &[9]);
        if let Some(filter) = interface.filter {
            // The first byte says that the filter is an expression, and not a program.
            let value: Vec<u8> = [0].into_iter().chain(filter.bytes()).collect();
            self.option(code::IF_FILTER, &value);
        }
        self.option(code::END, &[]);
        self.end()?;
        let number = self.interfaces;
        self.interfaces = number.saturating_add(1);
        Ok(number)
    }

    /// Writes a frame.
    ///
    /// Times before 1970 become 1970, since the format's own are unsigned. `wire_length` is raised
    /// to the number of bytes. A comment is cut to 65,535 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an interface that was not added or a
    /// frame longer than [`MAX_RECORD`](super::MAX_RECORD), and what the stream fails with.
    pub fn write_frame(
        &mut self,
        interface: u32,
        time: Timestamp,
        wire_length: u32,
        bytes: &[u8],
        comment: Option<&str>,
    ) -> io::Result<()> {
        self.check_interface(interface)?;
        let captured = length(bytes)?;
        self.begin(6);
        self.put(&interface.to_le_bytes());
        self.put_time(time);
        self.put(&captured.to_le_bytes());
        self.put(&wire_length.max(captured).to_le_bytes());
        self.put_padded(bytes);
        if let Some(comment) = comment {
            self.option(code::COMMENT, comment.as_bytes());
            self.option(code::END, &[]);
        }
        self.end()
    }

    /// Writes keys, ahead of the frames that they are for.
    ///
    /// # Errors
    ///
    /// As [`write_frame`](Self::write_frame).
    pub fn write_secrets(&mut self, format: SecretsFormat, bytes: &[u8]) -> io::Result<()> {
        let count = length(bytes)?;
        self.begin(10);
        self.put(&format.0.to_le_bytes());
        self.put(&count.to_le_bytes());
        self.put_padded(bytes);
        self.end()
    }

    /// Writes an interface's counts as of `time`.
    ///
    /// # Errors
    ///
    /// As [`write_frame`](Self::write_frame).
    pub fn write_statistics(
        &mut self,
        interface: u32,
        time: Timestamp,
        statistics: &InterfaceStatistics,
    ) -> io::Result<()> {
        self.check_interface(interface)?;
        self.begin(5);
        self.put(&interface.to_le_bytes());
        self.put_time(time);
        for (code, count) in [
            (code::ISB_IFRECV, statistics.received),
            (code::ISB_IFDROP, statistics.dropped_by_interface),
            (code::ISB_OSDROP, statistics.dropped_by_system),
        ] {
            if let Some(count) = count {
                self.option(code, &count.to_le_bytes());
            }
        }
        self.option(code::END, &[]);
        self.end()
    }

    /// Flushes the stream.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The stream, after flushing it.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn check_interface(&self, interface: u32) -> io::Result<()> {
        if interface < self.interfaces {
            return Ok(());
        }
        let text = format!("interface {interface} was not added");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }

    /// Starts a block in the scratch buffer; its length is put in at the end.
    fn begin(&mut self, kind: u32) {
        self.scratch.clear();
        self.put(&kind.to_le_bytes());
        self.put(&[0; 4]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.scratch.extend_from_slice(bytes);
    }

    fn put_time(&mut self, time: Timestamp) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(0);
        self.put(&((nanos >> 32) as u32).to_le_bytes());
        self.put(&(nanos as u32).to_le_bytes());
    }

    fn put_padded(&mut self, bytes: &[u8]) {
        self.put(bytes);
        let padded = self.scratch.len().next_multiple_of(4);
        self.scratch.resize(padded, 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let kept = value.get(..usize::from(length)).unwrap_or(value);
        self.put(&code.to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put_padded(kept);
    }

    fn end(&mut self) -> io::Result<()> {
        let total = self.scratch.len().saturating_add(4);
        let total = u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes();
        self.put(&total);
        if let Some(field) = self.scratch.get_mut(4..8) {
            field.copy_from_slice(&total);
        }
        self.out.write_all(&self.scratch)
    }
}

/// The length of what a block carries, with room for its header and a comment.
fn length(bytes: &[u8]) -> io::Result<u32> {
    const ROOM: u32 = 1 << 17;
    match u32::try_from(bytes.len()) {
        Ok(length) if length <= super::MAX_RECORD.saturating_sub(ROOM) => Ok(length),
        _ => {
            let text = format!("{} bytes are more than a block can hold", bytes.len());
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}
