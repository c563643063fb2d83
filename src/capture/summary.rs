//! What is known of each file and tap, and what was wrong with a file.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::path::PathBuf;

use super::MAX_TAPS;
use super::source::{Compression, Container};
use crate::frame::LinkType;
use crate::time::Timestamp;

/// How many bytes of an interface's name or description are kept.
const MAX_NAME: usize = 128;

/// How many link types a file's summary lists.
const MAX_LINK_TYPES: usize = 64;

/// One input, as far as it has been read.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// As named (`-` is standard input).
    pub path: PathBuf,
    /// The capture format.
    pub container: Container,
    /// How the file is packed, if it is.
    pub compression: Option<Compression>,
    /// The link types that the file declares, in order of appearance; at most 64.
    pub link_types: Vec<LinkType>,
    /// Frames in the file, handed out or not.
    pub frames: u64,
    /// Bytes read, headers included; of a packed file, unpacked.
    pub bytes: u64,
    /// The earliest time of a frame.
    pub first: Option<Timestamp>,
    /// The latest time of a frame.
    pub last: Option<Timestamp>,
    /// The file ends in the middle of a record, or could not be read to its end.
    pub truncated: bool,
    /// What was wrong with it: each kind once, with its count.
    pub warnings: Vec<Warning>,
    /// Frames with an earlier time than the frame before them in the file.
    pub out_of_order_frames: u64,
    /// Frames that could not be handed out: their interface is unknown or beyond
    /// [`MAX_TAPS`], or the block that holds them contradicts itself.
    pub unassigned_frames: u64,
    /// Frames without a time of their own (pcapng's Simple Packet Block), which carry the time of
    /// the frame before.
    pub untimed_frames: u64,
    /// Packets that the interfaces dropped for want of resources (`isb_ifdrop`), if told.
    pub dropped_by_interface: Option<u64>,
    /// Packets that the operating system dropped (`isb_osdrop`), if told.
    pub dropped_by_system: Option<u64>,
}

/// One tap: one interface of one capture, or of a series of rotated files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapSummary {
    /// The files that declare the interface, as 0-based indexes.
    pub files: Vec<u32>,
    /// 0-based index of the interface in its file or section.
    pub interface: u32,
    /// The interface's name (`if_name`), cut to 128 bytes. It comes from the file: escape it.
    pub name: Option<String>,
    /// The interface's description (`if_description`), cut to 128 bytes; escape it too.
    pub description: Option<String>,
    /// What its frames begin with.
    pub link_type: LinkType,
    /// The snap length in bytes that the capture declares; 0 is none. It is reported and not
    /// relied on: a frame that is longer is handed out whole.
    pub snap_length: u32,
}

/// Something wrong with a file that did not keep its readable part from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Offset in the (unpacked) file of the record or block where it was first seen.
    pub offset: u64,
    /// What it is.
    pub kind: WarningKind,
    /// How often it was seen.
    pub count: u64,
}

/// What can be wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A pcap record declares more than [`MAX_RECORD`](super::MAX_RECORD) bytes; reading stopped.
    RecordLength(u32),
    /// A pcapng block declares a length that no such block can have; reading stopped.
    BlockLength(u32),
    /// The two lengths of a pcapng block differ; reading stopped.
    BlockLengthsDiffer {
        /// At its begin.
        first: u32,
        /// At its end.
        second: u32,
    },
    /// A section does not begin with the byte order magic; reading stopped.
    ByteOrderMagic(u32),
    /// A version of the format that is not known; it was read as the known one.
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A block of this type contradicts itself and was skipped.
    BlockContent(u32),
    /// A packet names an interface that is not described.
    UnknownInterface(u32),
    /// More interfaces than [`MAX_TAPS`].
    TooManyInterfaces,
    /// An interface's time stamps are finer than 10⁻¹⁹ or 2⁻⁶³ s (`if_tsresol`): no date of our
    /// time can be written with that.
    TimeResolution(u8),
    /// Packets without a time.
    NoTime,
    /// Reading or unpacking failed here; reading stopped.
    Read(String),
    /// The file begins before the one ahead of it in its series of rotated files ended.
    SeriesOverlap,
    /// So many files were open that this one was begun late: its frames come after later ones of
    /// other files.
    StartedLate,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.kind)?;
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordLength(length) => write!(
                f,
                "a record claims {length} bytes; the file is damaged, nothing after it was read"
            ),
            Self::BlockLength(length) => write!(
                f,
                "a block claims {length} bytes; the file is damaged, nothing after it was read"
            ),
            Self::BlockLengthsDiffer { first, second } => write!(
                f,
                "a block's lengths differ ({first} and {second}); the file is damaged, nothing \
                 after it was read"
            ),
            Self::ByteOrderMagic(magic) => write!(
                f,
                "a section has byte order magic {magic:#010x}; the file is damaged, nothing after \
                 it was read"
            ),
            Self::Version { major, minor } => {
                write!(f, "unknown format version {major}.{minor}")
            }
            Self::BlockContent(kind) => {
                write!(
                    f,
                    "a block of type {kind:#010x} contradicts itself and was skipped"
                )
            }
            Self::UnknownInterface(interface) => {
                write!(f, "packet of interface {interface}, which is not described")
            }
            Self::TooManyInterfaces => write!(f, "more than {MAX_TAPS} interfaces"),
            Self::TimeResolution(value) => {
                write!(
                    f,
                    "an interface's time resolution ({value:#04x}) is no usable one"
                )
            }
            Self::NoTime => write!(f, "packet without a time; that of the one before is used"),
            Self::Read(reason) => write!(f, "reading failed ({reason}); nothing after it was read"),
            Self::SeriesOverlap => write!(
                f,
                "begins before the file ahead of it in its series of rotated files ended"
            ),
            Self::StartedLate => write!(
                f,
                "begun late, because {} files were open",
                super::MAX_OPEN_FILES
            ),
        }
    }
}

impl FileSummary {
    pub(crate) fn new(
        path: PathBuf,
        container: Container,
        compression: Option<Compression>,
    ) -> Self {
        Self {
            path,
            container,
            compression,
            link_types: Vec::new(),
            frames: 0,
            bytes: 0,
            first: None,
            last: None,
            truncated: false,
            warnings: Vec::new(),
            out_of_order_frames: 0,
            unassigned_frames: 0,
            untimed_frames: 0,
            dropped_by_interface: None,
            dropped_by_system: None,
        }
    }

    /// Notes a warning. A kind that is known already is only counted, so that the list stays
    /// short whatever the file does.
    #[cold]
    pub(crate) fn warn(&mut self, offset: u64, kind: WarningKind) {
        let same =
            |known: &&mut Warning| mem::discriminant(&known.kind) == mem::discriminant(&kind);
        match self.warnings.iter_mut().find(same) {
            Some(known) => known.count = known.count.saturating_add(1),
            None => self.warnings.push(Warning {
                offset,
                kind,
                count: 1,
            }),
        }
    }

    pub(crate) fn note_link_type(&mut self, link_type: LinkType) {
        if self.link_types.len() < MAX_LINK_TYPES && !self.link_types.contains(&link_type) {
            self.link_types.push(link_type);
        }
    }
}

/// The taps of a timeline, by what makes an interface the same one.
#[derive(Default)]
pub(crate) struct Taps {
    summaries: Vec<TapSummary>,
    known: HashMap<TapKey, u16>,
}

/// Interfaces are one tap if they belong to one series of files (or one file) and have the same
/// index, link type and name: so a later section or a later file of the series goes on with it.
#[derive(PartialEq, Eq, Hash)]
struct TapKey {
    series: u32,
    interface: u32,
    link_type: LinkType,
    name: Option<String>,
}

/// An interface as its file describes it.
pub(crate) struct InterfaceSeen<'a> {
    pub(crate) series: u32,
    pub(crate) file: u32,
    pub(crate) interface: u32,
    pub(crate) link_type: LinkType,
    pub(crate) snap_length: u32,
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) description: Option<&'a [u8]>,
}

impl Taps {
    /// The number of the interface's tap, a new one if it has none; `None` if there are too many.
    pub(crate) fn number(&mut self, seen: &InterfaceSeen<'_>) -> Option<u16> {
        let name = seen.name.map(text);
        let key = TapKey {
            series: seen.series,
            interface: seen.interface,
            link_type: seen.link_type,
            name: name.clone(),
        };
        if let Some(&tap) = self.known.get(&key) {
            if let Some(summary) = self.summaries.get_mut(usize::from(tap))
                && let Err(place) = summary.files.binary_search(&seen.file)
            {
                summary.files.insert(place, seen.file);
            }
            return Some(tap);
        }
        if self.summaries.len() >= MAX_TAPS {
            return None;
        }
        let tap = u16::try_from(self.summaries.len()).ok()?;
        self.known.insert(key, tap);
        self.summaries.push(TapSummary {
            files: vec![seen.file],
            interface: seen.interface,
            name,
            description: seen.description.map(text),
            link_type: seen.link_type,
            snap_length: seen.snap_length,
        });
        Some(tap)
    }

    pub(crate) fn summaries(&self) -> &[TapSummary] {
        &self.summaries
    }
}

fn text(bytes: &[u8]) -> String {
    let kept = bytes.get(..MAX_NAME).unwrap_or(bytes);
    // Some writers count a terminating zero into the length.
    String::from_utf8_lossy(kept)
        .trim_end_matches('\0')
        .to_owned()
}

/// The summaries that every reader of a timeline writes to.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) files: Vec<FileSummary>,
    pub(crate) taps: Taps,
}
