//! What a file is, told by its first bytes, and the stream of its unpacked content.

use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;

use super::buffer::Buffer;
use super::error::{CaptureError, Foreign};

/// How much packed data is read at a time.
const PACKED_BUFFER: usize = 128 << 10;

/// How many leading bytes decide what a file is.
const MAGIC: usize = 12;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// Zstandard (RFC 8878), one or more frames.
    Zstd,
}

/// The capture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// pcap with microseconds.
    Pcap,
    /// pcap with nanoseconds.
    NanosecondPcap,
    /// pcap as Alexey Kuznetsov's patched libpcap wrote it, with longer record headers.
    ModifiedPcap,
    /// pcapng.
    Pcapng,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcap => "pcap",
            Self::NanosecondPcap => "nanosecond pcap",
            Self::ModifiedPcap => "modified pcap",
            Self::Pcapng => "pcapng",
        })
    }
}

/// A recognised stream, unpacked, at its first byte.
pub(crate) struct Recognised {
    pub(crate) buffer: Buffer,
    pub(crate) container: Container,
    pub(crate) compression: Option<Compression>,
}

/// Finds out what the stream is; `path` names it in errors.
pub(crate) fn recognise(
    path: &Path,
    source: Box<dyn Read + Send>,
    buffer_size: usize,
) -> Result<Recognised, CaptureError> {
    let mut buffer = Buffer::new(source, buffer_size);
    // One read is enough for all but a pipe that trickles: the rest of the magic may not come.
    buffer.fill(4);
    fail_on_read_error(path, &mut buffer, None)?;
    let compression = compression_of(buffer.unread());
    if let Some(compression) = compression {
        buffer = unpack(path, buffer, compression, buffer_size)?;
        buffer.fill(4);
        fail_on_read_error(path, &mut buffer, Some(compression))?;
    }
    if buffer.unread().is_empty() {
        return Err(CaptureError::Empty {
            path: path.to_owned(),
            compression,
        });
    }
    match container_of(&mut buffer) {
        Some(container) => Ok(Recognised {
            buffer,
            container,
            compression,
        }),
        None => Err(CaptureError::NotACapture {
            path: path.to_owned(),
            compression,
            foreign: foreign_of(buffer.unread()),
        }),
    }
}

fn fail_on_read_error(
    path: &Path,
    buffer: &mut Buffer,
    compression: Option<Compression>,
) -> Result<(), CaptureError> {
    let path = path.to_owned();
    match (buffer.take_failure(), compression) {
        (None, _) => Ok(()),
        (Some(source), Some(compression)) => Err(CaptureError::Unpack {
            path,
            compression,
            source,
        }),
        (Some(source), None) => Err(CaptureError::Read { path, source }),
    }
}

fn compression_of(magic: &[u8]) -> Option<Compression> {
    match magic {
        [0x1f, 0x8b, 8, ..] => Some(Compression::Gzip),
        // A frame, or a skippable frame, which parallel packers put first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Some(Compression::Zstd)
        }
        _ => None,
    }
}

fn unpack(
    path: &Path,
    buffer: Buffer,
    compression: Compression,
    buffer_size: usize,
) -> Result<Buffer, CaptureError> {
    let packed = BufReader::with_capacity(PACKED_BUFFER, buffer.into_reader());
    let unpacked: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => {
            Box::new(
                zstd::Decoder::with_buffer(packed).map_err(|source| CaptureError::Unpack {
                    path: path.to_owned(),
                    compression,
                    source,
                })?,
            )
        }
    };
    Ok(Buffer::new(Box::new(InPieces(unpacked)), buffer_size))
}

/// How much an unpacker is asked for at a time.
const PIECE: usize = 16 << 10;

/// Asks for little at a time. An unpacker that meets damage gives up what it has unpacked in the
/// same call, and in one call it may unpack a whole file.
struct InPieces(Box<dyn Read + Send>);

impl Read for InPieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(PIECE);
        self.0.read(into.get_mut(..count).unwrap_or_default())
    }
}

/// The capture format, by the first four bytes and, for pcapng, by the byte order magic too
/// (whose absence because the file ends before it is no reason to refuse).
fn container_of(buffer: &mut Buffer) -> Option<Container> {
    match buffer.unread() {
        [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..] => Some(Container::Pcap),
        [0xa1, 0xb2, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => {
            Some(Container::NanosecondPcap)
        }
        [0xa1, 0xb2, 0xcd, 0x34, ..] | [0x34, 0xcd, 0xb2, 0xa1, ..] => {
            Some(Container::ModifiedPcap)
        }
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => {
            let whole = buffer.fill(MAGIC);
            let order = buffer.unread().get(8..MAGIC);
            let known = order == Some(&[0x1a, 0x2b, 0x3c, 0x4d])
                || order == Some(&[0x4d, 0x3c, 0x2b, 0x1a]);
            (known || !whole).then_some(Container::Pcapng)
        }
        _ => None,
    }
}

fn foreign_of(bytes: &[u8]) -> Foreign {
    match bytes {
        [b's', b'n', b'o', b'o', b'p', 0, ..] => Foreign::Snoop,
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => Foreign::NetworkMonitor,
        [b'T', b'R', b'S', b'N', b'I', b'F', b'F', ..] => Foreign::Sniffer,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Foreign::Packed("xz"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Foreign::Packed("bzip2"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Foreign::Packed("lz4"),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Foreign::Packed("zip"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Foreign::Packed("7z"),
        _ => {
            let sample = bytes.get(..512).unwrap_or(bytes);
            let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
            // 0x80 and above for UTF-8; a binary file soon has a control character.
            if sample.len() >= 4 && sample.iter().all(text) {
                Foreign::Text
            } else {
                Foreign::Unknown
            }
        }
    }
}
