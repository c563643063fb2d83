//! What is kept of a cell's capture: packets cut to a length, compressed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::StudyError;
use crate::capture::{Capture, Interface, Item, PcapngWriter};
use crate::frame::{Frame, LinkType};
use crate::lab::Host;
use crate::wire::{Dissection, Dissector, Endpoint, Segment, WireLimits};

/// What a cell's capture is called.
#[must_use]
pub fn file_name(cell: u32) -> String {
    format!("cell-{cell:04}.pcapng.zst")
}

/// zstd's level: fast, since it runs between two cells.
const LEVEL: i32 = 3;
/// So much of a control packet says what it is: a PUBLISH's header, topic and properties, and the
/// mark that payloads begin with.
const HEAD_BYTES: usize = 112;
/// Bytes of segments that wait for those before them; of a stream with more, everything is kept.
const WAITING: usize = 4 << 20;

/// Copies the packets of a recording to `to`, cut to `snap_length` bytes (0: whole), with zstd.
/// The file has its name when it is whole.
///
/// A cut at the same place in every packet would lose messages: TCP puts small ones together when
/// it sends them late or again, and large ones do not begin where a segment does. So a packet is
/// kept up to the head of the last message that begins in it, where that is more, and as a whole
/// where it came out of order.
///
/// # Errors
///
/// What cannot be read or written.
pub fn keep(from: &Path, to: &Path, snap_length: u32) -> Result<(), StudyError> {
    let mut aside = to.as_os_str().to_owned();
    aside.push(".partial");
    let aside = Path::new(&aside);
    let failed = |source| StudyError::Write {
        path: to.to_owned(),
        source,
    };
    let mut capture = Capture::open(&[from]).map_err(StudyError::Capture)?;
    copy(&mut capture, aside, snap_length).map_err(failed)?;
    fs::rename(aside, to).map_err(failed)
}

fn copy(capture: &mut Capture, to: &Path, snap_length: u32) -> io::Result<()> {
    let file = BufWriter::new(File::create(to)?);
    let compressed = zstd::Encoder::new(file, LEVEL)?;
    let application = concat!("mqttscope ", env!("CARGO_PKG_VERSION"));
    let mut writer = PcapngWriter::new(compressed, application)?;
    for host in Host::ALL {
        let description = format!("the {host}'s end of the emulated links");
        writer.add_interface(&Interface {
            description: Some(&description),
            ..Interface::new(LinkType::RAW).with_name(host.name())
        })?;
    }
    let mut heads = Heads::new();
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        let kept = match snap_length {
            0 => frame.bytes.len(),
            limit => (limit as usize).max(heads.needed(&frame)),
        };
        let bytes = &frame.bytes[..frame.bytes.len().min(kept)];
        let tap = u32::from(frame.tap);
        writer.write_frame(tap, frame.time, frame.wire_length, bytes, None)?;
    }
    writer.into_inner()?.finish()?.flush()
}

/// Where the heads of control packets are, in every stream at every tap.
struct Heads {
    dissector: Dissector,
    streams: HashMap<(u16, Endpoint, Endpoint), Stream>,
}

/// One direction of a connection at one tap.
#[derive(Debug, Default)]
struct Stream {
    /// Sequence number of the next byte in order.
    next: u32,
    walk: Walk,
    /// Segments that came before others that they follow.
    early: BTreeMap<u32, Vec<u8>>,
    waiting: usize,
    lost_track: bool,
}

/// Where in a control packet a stream stands.
#[derive(Debug, Default)]
struct Walk {
    /// The fixed header, as far as it came.
    header: Vec<u8>,
    /// Bytes of the packet's head that are still to come.
    head: usize,
    /// Bytes of the rest of it.
    rest: usize,
    is_lost: bool,
}

impl Heads {
    fn new() -> Self {
        Self {
            dissector: Dissector::new(WireLimits {
                mirror_window: None,
                ..WireLimits::default()
            }),
            streams: HashMap::new(),
        }
    }

    /// How many bytes of a frame have to be kept for the packets that begin in it.
    fn needed(&mut self, frame: &Frame<'_>) -> usize {
        let whole = frame.bytes.len();
        let Dissection::Tcp(segment) = self.dissector.dissect(frame) else {
            return whole;
        };
        let key = (frame.tap, segment.source, segment.destination);
        let stream = self.streams.entry(key).or_default();
        match stream.take(&segment) {
            Needed::Everything => whole,
            Needed::Payload(bytes) => whole - segment.payload.len() + bytes,
        }
    }
}

/// What has to be kept of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Everything,
    /// So many bytes of its payload.
    Payload(usize),
}

impl Stream {
    fn take(&mut self, segment: &Segment<'_>) -> Needed {
        if segment.flags.syn() {
            *self = Self {
                next: segment.sequence.wrapping_add(1),
                ..Self::default()
            };
            return Needed::Everything;
        }
        if self.lost_track || self.walk.is_lost {
            return Needed::Everything;
        }
        let ahead = segment.sequence.wrapping_sub(self.next) as i32;
        if ahead > 0 {
            self.waiting += segment.payload.len();
            self.lost_track = self.waiting > WAITING;
            self.early
                .insert(segment.sequence, segment.payload.to_vec());
            return Needed::Everything;
        }
        // What this tap has seen before is not needed again.
        let known = ahead.unsigned_abs() as usize;
        let Some(new) = segment.payload.get(known..).filter(|new| !new.is_empty()) else {
            return Needed::Payload(0);
        };
        let needed = self.walk.over(new);
        self.next = self.next.wrapping_add(new.len() as u32);
        self.catch_up();
        Needed::Payload(if needed > 0 { known + needed } else { 0 })
    }

    /// Goes over what came early and follows now; it was kept whole.
    fn catch_up(&mut self) {
        while let Some((&sequence, _)) =
            (self.early.iter()).find(|(sequence, _)| (sequence.wrapping_sub(self.next) as i32) <= 0)
        {
            let bytes = self.early.remove(&sequence).unwrap_or_default();
            self.waiting -= bytes.len();
            let known = self.next.wrapping_sub(sequence) as usize;
            if let Some(new) = bytes.get(known..) {
                self.walk.over(new);
                self.next = self.next.wrapping_add(new.len() as u32);
            }
        }
    }
}

impl Walk {
    /// Goes over the next bytes of the stream, and tells how many of them reach to the end of the
    /// last head among them.
    fn over(&mut self, mut bytes: &[u8]) -> usize {
        let whole = bytes.len();
        let mut needed = 0;
        while let Some((&first, others)) = bytes.split_first() {
            if self.rest + self.head == 0 {
                self.header.push(first);
                bytes = others;
                needed = whole - bytes.len();
                self.begin();
            } else if self.head > 0 {
                let step = self.head.min(bytes.len());
                self.head -= step;
                bytes = &bytes[step..];
                needed = whole - bytes.len();
            } else {
                let step = self.rest.min(bytes.len());
                self.rest -= step;
                bytes = &bytes[step..];
            }
        }
        needed
    }

    /// Whether the fixed header is whole (MQTT 5, section 2.1.4: one byte, then a length of one
    /// to four bytes), and how much follows it.
    fn begin(&mut self) {
        let Some((&last, before)) = self.header.split_last().filter(|(_, b)| !b.is_empty()) else {
            return;
        };
        if last & 0x80 != 0 {
            self.is_lost |= before.len() == 4;
            return;
        }
        let digits = self.header[1..].iter().rev();
        let length = digits.fold(0_usize, |sum, digit| sum << 7 | usize::from(digit & 0x7f));
        self.head = length.min(HEAD_BYTES);
        self.rest = length - self.head;
        self.header.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control packet with so many bytes behind its fixed header.
    fn packet(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x30];
        let mut left = length;
        loop {
            let digit = (left & 0x7f) as u8;
            left >>= 7;
            bytes.push(if left > 0 { digit | 0x80 } else { digit });
            if left == 0 {
                break;
            }
        }
        bytes.resize(bytes.len() + length, 7);
        bytes
    }

    #[test]
    fn heads_are_found_wherever_segments_end() {
        let lengths = [0, 5, 112, 113, 300, 16_400, 2, 2_000];
        let stream: Vec<u8> = lengths.iter().flat_map(|length| packet(*length)).collect();
        // Which bytes are heads, from the lengths alone.
        let mut is_head = Vec::new();
        for length in lengths {
            let fixed = packet(length).len() - length;
            let head = fixed + length.min(HEAD_BYTES);
            is_head.resize(is_head.len() + head, true);
            is_head.resize(is_head.len() + fixed + length - head, false);
        }
        for size in [1, 2, 7, 100, 1_448] {
            let mut walk = Walk::default();
            for (at, segment) in stream.chunks(size).enumerate() {
                let within = &is_head[at * size..at * size + segment.len()];
                let expected = within.iter().rposition(|head| *head).map_or(0, |at| at + 1);
                assert_eq!(walk.over(segment), expected, "{size} {at}");
            }
        }
    }

    fn segment(sequence: u32, payload: &[u8]) -> Segment<'_> {
        Segment {
            sequence,
            payload,
            payload_length: payload.len() as _,
            ..Segment::EMPTY
        }
    }

    #[test]
    fn what_comes_early_or_again_loses_no_head() {
        // Across the point where sequence numbers begin again.
        let start = u32::MAX - 100;
        let stream: Vec<u8> = [300, 2_000, 40].into_iter().flat_map(packet).collect();
        let mut at_tap = Stream {
            next: start,
            ..Stream::default()
        };
        let part =
            |from: usize, to: usize| segment(start.wrapping_add(from as u32), &stream[from..to]);
        assert_eq!(at_tap.take(&part(0, 200)), Needed::Payload(115));
        assert_eq!(at_tap.take(&part(400, 1_000)), Needed::Everything);
        assert_eq!(at_tap.take(&part(0, 200)), Needed::Payload(0));
        // The second packet begins at 303, its head ends at 303 + 3 + 112.
        assert_eq!(at_tap.take(&part(150, 400)), Needed::Payload(250));
        let end = stream.len();
        assert_eq!(at_tap.next, start.wrapping_add(1_000));
        assert_eq!(at_tap.take(&part(1_000, end)), Needed::Payload(end - 1_000));
    }
}
