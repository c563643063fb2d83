//! pcapng blocks (draft-ietf-opsawg-pcapng).
//!
//! Section headers, interface descriptions and statistics are taken apart by pcap-parser. Packet
//! blocks are not, because it collects the options of each in a vector, and neither are option
//! values of several bytes, because it reads them as little-endian in either byte order. The
//! framing of blocks is checked here, so that damage is named with its offset and blocks that
//! nobody needs are read past without being kept.

use pcap_parser::{
    InterfaceDescriptionBlock, InterfaceStatisticsBlock, OptionCode, PcapNGOption,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_interfacestatisticsblock_be, parse_interfacestatisticsblock_le, parse_sectionheaderblock,
};

use super::buffer::Buffer;
use super::byte_order::ByteOrder;
use super::reader::{LentFrame, Step};
use super::summary::{FileSummary, InterfaceSeen, Ledger, WarningKind};
use super::{MAX_RECORD, MAX_TAPS, SecretsFormat};
use crate::frame::LinkType;
use crate::time::Timestamp;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

/// Block type, total length, and the total length again at the end.
const FRAMING: usize = 12;

/// The longest block that describes something. Options shrink to nothing but their headers, so a
/// block's worth of them takes ten times its length once taken apart.
const MAX_DESCRIPTION: usize = 1 << 20;

/// The state of one pcapng file: its current section.
#[derive(Debug)]
pub(crate) struct Pcapng {
    file: u32,
    series: u32,
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Where the last block begins.
    offset: u64,
}

/// What is needed of an interface to make frames of its packets. The table is bounded by
/// [`MAX_TAPS`] entries.
#[derive(Debug)]
struct Interface {
    /// `None` if the description could not be read, or if there are too many taps.
    tap: Option<u16>,
    link_type: LinkType,
    snap_length: u32,
    clock: Clock,
    dropped_by_interface: u64,
    dropped_by_system: u64,
}

/// How the time stamps of an interface count (`if_tsresol`, `if_tsoffset`).
#[derive(Clone, Copy, Debug)]
struct Clock {
    unit: Unit,
    offset: i64,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// This part of a nanosecond; 0 for one so small that no time stamp reaches a nanosecond.
    Part(u64),
    /// 2⁻ⁿ seconds.
    Binary(u8),
}

/// A block whose framing was checked: its bytes are the first `length` of the buffer.
#[derive(Clone, Copy)]
struct Framed {
    kind: u32,
    length: usize,
}

impl Pcapng {
    pub(crate) fn begin(file: u32, series: u32) -> Self {
        Self {
            file,
            series,
            // Every file begins with a section header, which sets it.
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            offset: 0,
        }
    }

    /// Where the block that the last step found begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next packet or secrets; other blocks are taken notice of on the way.
    #[inline]
    pub(crate) fn next(&mut self, buffer: &mut Buffer, ledger: &mut Ledger) -> Step {
        loop {
            let framed = match self.frame(buffer) {
                Ok(framed) => framed,
                Err(step) => return step,
            };
            let step = match framed.kind {
                ENHANCED_PACKET | PACKET => self.packet(buffer, framed),
                SIMPLE_PACKET => self.simple_packet(buffer, framed),
                DECRYPTION_SECRETS => self.secrets(buffer, framed),
                _ => self.description(buffer, framed, ledger),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Whether the next block is one with a packet, and there without reading.
    #[inline]
    pub(crate) fn has_packet(&self, buffer: &Buffer) -> bool {
        let unread = buffer.unread();
        let Some(head) = unread.first_chunk::<FRAMING>() else {
            return false;
        };
        self.order.u32(head, 0) == ENHANCED_PACKET
            && self.order.u32(head, 4) <= MAX_RECORD
            && self.order.u32(head, 4) as usize <= unread.len()
    }

    /// Checks the framing of the next block, after which it can be read whole.
    fn frame(&mut self, buffer: &mut Buffer) -> Result<Framed, Step> {
        self.offset = buffer.position();
        if !buffer.fill(FRAMING) {
            return Err(Step::ended(buffer));
        }
        let head: [u8; FRAMING] = buffer.head();
        // The type of a section header reads the same in both byte orders.
        if self.order.u32(&head, 0) == SECTION_HEADER {
            self.order = match ByteOrder::Little.u32(&head, 8) {
                0x1a2b_3c4d => ByteOrder::Little,
                0x4d3c_2b1a => ByteOrder::Big,
                other => return Err(Step::Damaged(WarningKind::ByteOrderMagic(other))),
            };
        }
        let kind = self.order.u32(&head, 0);
        let declared = self.order.u32(&head, 4);
        let length = declared as usize;
        if length < least_length(kind) || !length.is_multiple_of(4) || declared > MAX_RECORD {
            return Err(Step::Damaged(WarningKind::BlockLength(declared)));
        }
        if !is_kept(kind) {
            self.skip(buffer, declared)?;
            return Ok(Framed { kind, length: 0 });
        }
        if !buffer.fill(length) {
            return Err(Step::Truncated);
        }
        self.check_trailer(buffer, length.saturating_sub(4), declared)?;
        Ok(Framed { kind, length })
    }

    fn skip(&self, buffer: &mut Buffer, declared: u32) -> Result<(), Step> {
        if !buffer.skip(declared.saturating_sub(4) as usize) || !buffer.fill(4) {
            return Err(Step::Truncated);
        }
        self.check_trailer(buffer, 0, declared)?;
        buffer.consume(4, 0);
        Ok(())
    }

    fn check_trailer(&self, buffer: &Buffer, at: usize, first: u32) -> Result<(), Step> {
        let second = self.order.u32(buffer.unread(), at);
        if first == second {
            Ok(())
        } else {
            Err(Step::Damaged(WarningKind::BlockLengthsDiffer {
                first,
                second,
            }))
        }
    }

    /// Enhanced Packet Block, and the Packet Block that it replaced, whose interface number has
    /// 16 bits and is followed by a drop count. Options follow the packet and are left alone.
    #[inline]
    fn packet(&self, buffer: &mut Buffer, block: Framed) -> Option<Step> {
        const HEADER: usize = 28;
        let head: [u8; HEADER] = buffer.head();
        let order = self.order;
        let index = if block.kind == PACKET {
            u32::from(order.u16(&head, 8))
        } else {
            order.u32(&head, 8)
        };
        let time = u64::from(order.u32(&head, 12)) << 32 | u64::from(order.u32(&head, 16));
        let captured = order.u32(&head, 20);
        let length = captured as usize;
        let at = buffer.consume(block.length, HEADER);
        if length > block.length.saturating_sub(HEADER.saturating_add(4)) {
            return Some(Step::Unassigned(WarningKind::BlockContent(block.kind)));
        }
        let interface = match self.interface(index) {
            Ok(interface) => interface,
            Err(step) => return Some(step),
        };
        Some(Step::Frame(LentFrame {
            time: Some(interface.clock.time(time)),
            link_type: interface.link_type,
            wire_length: order.u32(&head, 24).max(captured),
            tap: interface.tap?,
            at,
            length,
        }))
    }

    /// Simple Packet Block: no time, the first interface, and a captured length that follows from
    /// the length on the wire and the snap length.
    fn simple_packet(&self, buffer: &mut Buffer, block: Framed) -> Option<Step> {
        const HEADER: usize = 12;
        let head: [u8; HEADER] = buffer.head();
        let wire_length = self.order.u32(&head, 8);
        let at = buffer.consume(block.length, HEADER);
        let interface = match self.interface(0) {
            Ok(interface) => interface,
            Err(step) => return Some(step),
        };
        let snapped = match interface.snap_length {
            0 => wire_length,
            limit => wire_length.min(limit),
        };
        let room = block.length.saturating_sub(HEADER.saturating_add(4));
        Some(Step::Frame(LentFrame {
            time: None,
            link_type: interface.link_type,
            wire_length,
            tap: interface.tap?,
            at,
            length: room.min(snapped as usize),
        }))
    }

    /// The interface of a packet, if it has a tap.
    #[inline]
    fn interface(&self, index: u32) -> Result<&Interface, Step> {
        match self.interfaces.get(index as usize) {
            Some(interface) if interface.tap.is_some() => Ok(interface),
            None if self.interfaces.len() < MAX_TAPS => {
                Err(Step::Unassigned(WarningKind::UnknownInterface(index)))
            }
            _ => Err(Step::Unassigned(WarningKind::TooManyInterfaces)),
        }
    }

    /// Decryption Secrets Block: type, length, secrets, padding, options.
    fn secrets(&self, buffer: &mut Buffer, block: Framed) -> Option<Step> {
        const HEADER: usize = 16;
        let head: [u8; HEADER] = buffer.head();
        let format = SecretsFormat(self.order.u32(&head, 8));
        let length = self.order.u32(&head, 12) as usize;
        let at = buffer.consume(block.length, HEADER);
        if length > block.length.saturating_sub(HEADER.saturating_add(4)) {
            return Some(Step::Noted(WarningKind::BlockContent(block.kind)));
        }
        Some(Step::Secrets { format, at, length })
    }

    /// Blocks that are not handed on.
    fn description(
        &mut self,
        buffer: &mut Buffer,
        block: Framed,
        ledger: &mut Ledger,
    ) -> Option<Step> {
        let offset = self.offset;
        let bytes = buffer.first(block.length);
        let readable = bytes.len() <= MAX_DESCRIPTION;
        let good = match block.kind {
            SECTION_HEADER => readable && self.begin_section(bytes, offset, ledger),
            INTERFACE_DESCRIPTION => {
                let described = readable.then(|| self.describe(bytes)).flatten();
                self.add_interface(described, offset, ledger)
            }
            INTERFACE_STATISTICS => {
                readable && self.count_drops(bytes, ledger.files.get_mut(self.file as usize))
            }
            _ => {
                // What Wireshark numbers like a packet is numbered here too.
                if is_numbered(block.kind)
                    && let Some(summary) = ledger.files.get_mut(self.file as usize)
                {
                    summary.frames = summary.frames.saturating_add(1);
                }
                true
            }
        };
        let step = (!good).then_some(Step::Noted(WarningKind::BlockContent(block.kind)));
        buffer.consume(block.length, 0);
        step
    }

    fn begin_section(&mut self, bytes: &[u8], offset: u64, ledger: &mut Ledger) -> bool {
        // Interface numbers count anew in each section.
        self.interfaces.clear();
        let Ok((_, section)) = parse_sectionheaderblock(bytes) else {
            return false;
        };
        // 1.2 was written by some early versions and has the format of 1.0.
        let known = section.major_version == 1 && matches!(section.minor_version, 0 | 2);
        if !known && let Some(summary) = ledger.files.get_mut(self.file as usize) {
            let (major, minor) = (section.major_version, section.minor_version);
            summary.warn(offset, WarningKind::Version { major, minor });
        }
        true
    }

    fn describe<'a>(&self, bytes: &'a [u8]) -> Option<InterfaceDescriptionBlock<'a>> {
        let parsed = match self.order {
            ByteOrder::Little => parse_interfacedescriptionblock_le(bytes),
            ByteOrder::Big => parse_interfacedescriptionblock_be(bytes),
        };
        parsed.ok().map(|(_, block)| block)
    }

    /// Adds the interface, an unusable one if its description could not be read: those after it
    /// keep their numbers.
    fn add_interface(
        &mut self,
        described: Option<InterfaceDescriptionBlock<'_>>,
        offset: u64,
        ledger: &mut Ledger,
    ) -> bool {
        let Some(summary) = ledger.files.get_mut(self.file as usize) else {
            return true;
        };
        let interface = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        if self.interfaces.len() >= MAX_TAPS {
            summary.warn(offset, WarningKind::TooManyInterfaces);
            return true;
        }
        let good = described.is_some();
        let mut added = Interface::default();
        if let Some(block) = described {
            added.link_type = LinkType((block.linktype.0 & 0xffff) as u16);
            added.snap_length = block.snaplen;
            summary.note_link_type(added.link_type);
            let option = |code| option(&block.options, code);
            if let Some([resolution]) = option(OptionCode::IfTsresol) {
                added.clock.unit = Unit::new(*resolution);
                if !Unit::is_usable(*resolution) {
                    summary.warn(offset, WarningKind::TimeResolution(*resolution));
                }
            }
            if let Some(seconds) = option(OptionCode::IfTsoffset).and_then(|v| self.order.u64(v)) {
                added.clock.offset = (seconds as i64).saturating_mul(1_000_000_000);
            }
            added.tap = ledger.taps.number(&InterfaceSeen {
                series: self.series,
                file: self.file,
                interface,
                link_type: added.link_type,
                snap_length: added.snap_length,
                name: option(OptionCode::IfName),
                description: option(OptionCode::IfDescription),
            });
            if added.tap.is_none() {
                summary.warn(offset, WarningKind::TooManyInterfaces);
            }
        }
        self.interfaces.push(added);
        good
    }

    /// Interface Statistics Block. Its counts run from the start of the capture, so a later block
    /// of the same interface replaces an earlier one.
    fn count_drops(&mut self, bytes: &[u8], summary: Option<&mut FileSummary>) -> bool {
        let parsed = match self.order {
            ByteOrder::Little => parse_interfacestatisticsblock_le(bytes),
            ByteOrder::Big => parse_interfacestatisticsblock_be(bytes),
        };
        let (Ok((_, block)), Some(summary)) = (parsed, summary) else {
            return false;
        };
        let block: InterfaceStatisticsBlock<'_> = block;
        let Some(interface) = self.interfaces.get_mut(block.if_id as usize) else {
            return false;
        };
        let order = self.order;
        let count = |code| option(&block.options, code).and_then(|value| order.u64(value));
        if let Some(now) = count(OptionCode::IsbIfDrop) {
            let before = std::mem::replace(&mut interface.dropped_by_interface, now);
            replace(&mut summary.dropped_by_interface, before, now);
        }
        if let Some(now) = count(OptionCode::IsbOsDrop) {
            let before = std::mem::replace(&mut interface.dropped_by_system, now);
            replace(&mut summary.dropped_by_system, before, now);
        }
        true
    }
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            tap: None,
            link_type: LinkType::NULL,
            snap_length: 0,
            // "If this option is not present, a resolution of 10^-6 is assumed" (section 4.2).
            clock: Clock {
                unit: Unit::Nanoseconds(1_000),
                offset: 0,
            },
            dropped_by_interface: 0,
            dropped_by_system: 0,
        }
    }
}

impl Clock {
    /// The time of a time stamp, at the end of the range where it does not fit.
    #[inline]
    fn time(self, stamp: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Nanoseconds(unit) => {
                i64::try_from(stamp.saturating_mul(unit)).unwrap_or(i64::MAX)
            }
            Unit::Part(parts) => {
                i64::try_from(stamp.checked_div(parts).unwrap_or(0)).unwrap_or(i64::MAX)
            }
            Unit::Binary(shift) => {
                let scaled = u128::from(stamp).saturating_mul(1_000_000_000);
                let nanos = scaled.checked_shr(u32::from(shift)).unwrap_or(0);
                i64::try_from(nanos).unwrap_or(i64::MAX)
            }
        };
        Timestamp::from_nanos(nanos.saturating_add(self.offset))
    }
}

impl Unit {
    /// From `if_tsresol`: the negative power of 10, or of 2 if the highest bit is set.
    fn new(resolution: u8) -> Self {
        let power = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return Self::Binary(resolution & 0x7f);
        }
        match 9_u32.checked_sub(power) {
            Some(up) => Self::Nanoseconds(10_u64.saturating_pow(up)),
            None => Self::Part(10_u64.checked_pow(power.saturating_sub(9)).unwrap_or(0)),
        }
    }

    /// Whether a time of today can be written in 64 bits.
    fn is_usable(resolution: u8) -> bool {
        resolution & 0x7f <= if resolution & 0x80 == 0 { 19 } else { 63 }
    }
}

/// The shortest a block of this type can be.
#[inline]
fn least_length(kind: u32) -> usize {
    match kind {
        ENHANCED_PACKET | PACKET => 32,
        SECTION_HEADER => 28,
        INTERFACE_STATISTICS => 24,
        INTERFACE_DESCRIPTION | DECRYPTION_SECRETS => 20,
        SIMPLE_PACKET => 16,
        _ => FRAMING,
    }
}

/// Whether a block of this type is looked into.
#[inline]
fn is_kept(kind: u32) -> bool {
    matches!(
        kind,
        ENHANCED_PACKET
            | PACKET
            | SIMPLE_PACKET
            | SECTION_HEADER
            | INTERFACE_DESCRIPTION
            | INTERFACE_STATISTICS
            | DECRYPTION_SECRETS
    )
}

/// Whether Wireshark numbers a block of this type like a packet (as of version 4.4): entries of
/// the systemd journal, Sysdig events, custom blocks.
fn is_numbered(kind: u32) -> bool {
    matches!(kind, 9 | 0x204 | 0x216 | 0x221 | 0xbad | 0x4000_0bad)
}

/// The value of the first option of this code, without padding; options end with `opt_endofopt`.
fn option<'a>(options: &'a [PcapNGOption<'_>], code: OptionCode) -> Option<&'a [u8]> {
    options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
        .find(|option| option.code == code)?
        .as_bytes()
        .ok()
}

/// Replaces one interface's share in a sum.
fn replace(sum: &mut Option<u64>, before: u64, now: u64) {
    let others = sum.unwrap_or(0).saturating_sub(before);
    *sum = Some(others.saturating_add(now));
}
