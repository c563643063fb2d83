//! pcap records (draft-ietf-opsawg-pcap).
//!
//! The file header is read by pcap-parser. The records are not: their header is four integers,
//! and reading them in place spares the incremental parser's results, which cost more than the
//! rest of the read loop.

use pcap_parser::{PcapHeader, parse_pcap_header};

use super::MAX_RECORD;
use super::buffer::Buffer;
use super::byte_order::ByteOrder;
use super::reader::{LentFrame, Record, Step};
use super::source::Container;
use super::summary::{FileSummary, InterfaceSeen, Ledger, WarningKind};
use crate::frame::LinkType;
use crate::time::Timestamp;

/// Length of the file header.
const FILE_HEADER: usize = 24;

/// How the records of one pcap file are written.
#[derive(Debug)]
pub(crate) struct Pcap {
    order: ByteOrder,
    nanoseconds: bool,
    record_header: usize,
    link_type: LinkType,
    tap: Option<u16>,
}

impl Pcap {
    /// Reads the file header; `None` if the file ends within it.
    ///
    /// The link type is the lower half of its field; the upper half tells the length of a frame
    /// check sequence, if there is one (draft-ietf-opsawg-pcap, section 4).
    pub(crate) fn begin(
        buffer: &mut Buffer,
        file: u32,
        series: u32,
        ledger: &mut Ledger,
    ) -> Option<Self> {
        if !buffer.fill(FILE_HEADER) {
            return None;
        }
        let (order, header) = file_header(buffer.head())?;
        buffer.consume(FILE_HEADER, 0);
        let link_type = LinkType((header.network.0 & 0xffff) as u16);
        let summary = ledger.files.get_mut(file as usize)?;
        check_version(&header, summary);
        summary.note_link_type(link_type);
        let modified = summary.container == Container::ModifiedPcap;
        let nanoseconds = summary.container == Container::NanosecondPcap;
        let tap = ledger.taps.number(&InterfaceSeen {
            series,
            file,
            interface: 0,
            link_type,
            snap_length: header.snaplen,
            name: None,
            description: None,
        });
        Some(Self {
            order,
            nanoseconds,
            record_header: if modified { 24 } else { 16 },
            link_type,
            tap,
        })
    }

    /// Whether its frames can be handed out.
    pub(crate) const fn has_tap(&self) -> bool {
        self.tap.is_some()
    }

    /// What all its frames share: link type and tap.
    pub(crate) fn interface(&self) -> (LinkType, u16) {
        (self.link_type, self.tap.unwrap_or_default())
    }

    /// The record at `at` of the bytes that can be had without reading, if it is whole, and where
    /// the next one begins.
    #[inline]
    pub(crate) fn record_at(&self, bytes: &[u8], at: usize) -> Option<(Record, usize)> {
        let unread = bytes.get(at..)?;
        let head = unread.first_chunk::<16>()?;
        let captured = self.order.u32(head, 8);
        let whole = self.record_header.saturating_add(captured as usize);
        if captured > MAX_RECORD || whole > unread.len() {
            return None;
        }
        let record = Record {
            time: self.time(head),
            at: at.saturating_add(self.record_header),
            length: captured,
            wire_length: self.order.u32(head, 12).max(captured),
        };
        Some((record, at.saturating_add(whole)))
    }

    #[inline]
    fn time(&self, head: &[u8; 16]) -> Timestamp {
        let seconds = i64::from(self.order.u32(head, 0));
        let fraction = i64::from(self.order.u32(head, 4));
        let scale = if self.nanoseconds { 1 } else { 1_000 };
        // Two fields of 32 bits cannot reach beyond 64.
        let nanos = seconds
            .wrapping_mul(1_000_000_000)
            .wrapping_add(fraction.wrapping_mul(scale));
        Timestamp::from_nanos(nanos)
    }

    /// The next record.
    ///
    /// A captured length above the length on the wire is believed, and the wire length raised to
    /// it; one above the snap length is believed too: both are written by real tools.
    #[inline]
    pub(crate) fn next(&self, buffer: &mut Buffer) -> Step {
        if !buffer.fill(self.record_header) {
            return Step::ended(buffer);
        }
        let head: [u8; 16] = buffer.head();
        let captured = self.order.u32(&head, 8);
        if captured > MAX_RECORD {
            return Step::Damaged(WarningKind::RecordLength(captured));
        }
        let length = captured as usize;
        let whole = self.record_header.saturating_add(length);
        if !buffer.fill(whole) {
            return Step::Truncated;
        }
        let at = buffer.consume(whole, self.record_header);
        let Some(tap) = self.tap else {
            return Step::Unassigned(WarningKind::TooManyInterfaces);
        };
        Step::Frame(LentFrame {
            time: Some(self.time(&head)),
            link_type: self.link_type,
            wire_length: self.order.u32(&head, 12).max(captured),
            tap,
            at,
            length,
        })
    }
}

/// The byte order and the fields of the file header.
fn file_header(mut bytes: [u8; FILE_HEADER]) -> Option<(ByteOrder, PcapHeader)> {
    // pcap-parser knows the modified format in little-endian order only; but for the magic its
    // file header is that of the plain format.
    if let Some(magic) = bytes.first_chunk_mut::<4>()
        && *magic == [0xa1, 0xb2, 0xcd, 0x34]
    {
        *magic = [0xa1, 0xb2, 0xc3, 0xd4];
    }
    let (_, header) = parse_pcap_header(&bytes).ok()?;
    let order = if header.is_bigendian() {
        ByteOrder::Big
    } else {
        ByteOrder::Little
    };
    Some((order, header))
}

fn check_version(header: &PcapHeader, summary: &mut FileSummary) {
    if header.version_major != 2 {
        summary.warn(
            0,
            WarningKind::Version {
                major: header.version_major,
                minor: header.version_minor,
            },
        );
    }
}
