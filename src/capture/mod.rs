//! Capture files to frames, and frames to a capture file.
//!
//! [`Capture`] reads pcap and pcapng, plain or packed with gzip or zstd, from files, directories
//! and standard input, several at once as one timeline. Formats are told by their first bytes,
//! never by a file's name. Frames are lent from the reader's buffer: nothing is copied and
//! nothing is allocated per frame.
//!
//! What is wrong with an input is said in one of two ways. Where nothing can be read (missing,
//! empty, foreign, no permission), opening fails with a [`CaptureError`]. Where part of it can be
//! read, that part is handed out and the file's [`FileSummary`] says what happened: `truncated`
//! for a file that was cut, a [`Warning`] with the byte offset for one that is damaged.
//!
//! # Bounds
//!
//! A record or block above [`MAX_RECORD`] counts as damage, so memory does not follow a length
//! that a damaged or hostile file declares; the buffer grows only as bytes arrive. Taps are capped
//! at [`MAX_TAPS`], open files at [`MAX_OPEN_FILES`]; what lies beyond is counted or waits.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod buffer;
mod byte_order;
mod error;
mod filter;
mod inputs;
pub mod live;
mod pcap;
mod pcapng;
mod reader;
mod secrets;
mod series;
mod source;
mod summary;
mod timeline;
mod writer;

pub use error::{CaptureError, Foreign};
pub use filter::{FilterError, FrameFilter};
pub use secrets::read_secrets;
pub use source::{Compression, Container};
pub use summary::{FileSummary, TapSummary, Warning, WarningKind};
pub use timeline::{Batch, Capture};
pub use writer::{Interface, InterfaceStatistics, PcapngWriter};

use crate::frame::Frame;

/// The longest record (pcap) or block (pcapng) that is read, in bytes: 16 MiB, as in Wireshark,
/// and 64 times the longest frame that libpcap captures. A longer one is taken for damage.
pub const MAX_RECORD: u32 = 16 << 20;

/// How many taps a timeline can have. Frames of interfaces beyond are counted in
/// [`FileSummary::unassigned_frames`] and dropped.
pub const MAX_TAPS: usize = 65_535;

/// How many files are open at once. Files whose first frame comes while that many are open wait
/// until one of them ends; they carry a [`WarningKind::StartedLate`] then.
pub const MAX_OPEN_FILES: usize = 256;

/// What a capture hands out.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A captured frame.
    Frame(Frame<'a>),
    /// Keys that the capture carries for its encrypted connections (pcapng's Decryption Secrets
    /// Block). They are handed out as soon as they are read, ahead of the frames of other files.
    Secrets {
        /// 0-based index of the file, as in [`Frame::file`].
        file: u32,
        /// What the bytes are.
        format: SecretsFormat,
        /// The secrets, without padding.
        bytes: &'a [u8],
    },
}

/// The format of a Decryption Secrets Block, as numbered by the pcapng specification
/// (draft-ietf-opsawg-pcapng, section 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretsFormat(pub u32);

impl SecretsFormat {
    /// NSS key log of TLS, as written to `SSLKEYLOGFILE`.
    pub const TLS_KEY_LOG: Self = Self(0x544c_534b);
    /// WireGuard key log.
    pub const WIREGUARD_KEY_LOG: Self = Self(0x5747_4b4c);
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
