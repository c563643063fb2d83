//! Frames of RFC 6455, section 5.2.

use super::super::Side;
use super::Stop;

/// What a frame is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Opcode {
    #[default]
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_data(self) -> bool {
        matches!(self, Self::Continuation | Self::Text | Self::Binary)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameHeader {
    pub(super) opcode: Opcode,
    /// Bytes of payload; below 2^63.
    pub(super) length: u64,
    /// The masking key, turned so that its first byte is for the next byte of payload.
    pub(super) mask: Option<[u8; 4]>,
    /// The length is written in as few bytes as it can be.
    pub(super) shortest: bool,
}

impl FrameHeader {
    pub(super) const fn masked(&self) -> bool {
        self.mask.is_some()
    }

    /// So many bytes of payload passed.
    pub(super) fn skip_mask(&mut self, bytes: u64) {
        if let Some(mask) = &mut self.mask {
            mask.rotate_left((bytes % 4) as usize);
        }
    }
}

/// The longest header: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;

/// The bytes of a header, gathered until they are all there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeaderBytes {
    bytes: [u8; LONGEST],
    length: usize,
}

pub(super) enum Gathered {
    Whole(FrameHeader),
    Part,
}

impl HeaderBytes {
    pub(super) const fn clear(&mut self) {
        self.length = 0;
    }

    /// Takes what the header needs from the front of `bytes`.
    pub(super) fn gather(&mut self, bytes: &mut &[u8]) -> Result<Gathered, Stop> {
        if self.length == 0
            && let Parsed::Header(header, length) = parse(bytes)?
        {
            *bytes = bytes.get(length..).unwrap_or_default();
            return Ok(Gathered::Whole(header));
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
            }
            self.length = self.length.saturating_add(1).min(LONGEST);
            let kept = self.bytes.get(..self.length).unwrap_or_default();
            if let Parsed::Header(header, _) = parse(kept)? {
                self.length = 0;
                return Ok(Gathered::Whole(header));
            }
        }
        Ok(Gathered::Part)
    }
}

enum Parsed {
    /// The header, and its length.
    Header(FrameHeader, usize),
    /// More bytes are needed.
    Part,
}

fn parse(bytes: &[u8]) -> Result<Parsed, Stop> {
    let Some(&first) = bytes.first() else {
        return Ok(Parsed::Part);
    };
    // Reserved bits have a meaning only with an extension, and none was agreed on; the first one
    // is permessage-deflate's, whose agreement may not be in the capture.
    if first & 0x70 != 0 {
        return Err(if first & 0x70 == 0x40 {
            Stop::Compressed
        } else {
            Stop::BadFrame
        });
    }
    let opcode = Opcode::from_byte(first).ok_or(Stop::BadFrame)?;
    let Some(&second) = bytes.get(1) else {
        return Ok(Parsed::Part);
    };
    let short = second & 0x7f;
    if !opcode.is_data() && (short > 125 || first & 0x80 == 0) {
        return Err(Stop::BadFrame);
    }
    let rest = bytes.get(2..).unwrap_or_default();
    let (length, shortest, rest) = match short {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else {
                return Ok(Parsed::Part);
            };
            let length = u64::from(u16::from_be_bytes(*length));
            (length, length > 125, rest)
        }
        127 => {
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(Stop::BadLength);
            }
            let Some((length, rest)) = rest.split_first_chunk() else {
                return Ok(Parsed::Part);
            };
            let length = u64::from_be_bytes(*length);
            (length, length > u64::from(u16::MAX), rest)
        }
        length => (u64::from(length), true, rest),
    };
    let (mask, rest) = if second & 0x80 != 0 {
        let Some((mask, rest)) = rest.split_first_chunk() else {
            return Ok(Parsed::Part);
        };
        (Some(*mask), rest)
    } else {
        (None, rest)
    };
    let header = FrameHeader {
        opcode,
        length,
        mask,
        shortest,
    };
    Ok(Parsed::Header(
        header,
        bytes.len().saturating_sub(rest.len()),
    ))
}

/// Most frames of a segment that are looked at.
const FRAMES: usize = 1 << 12;

/// Whether bytes at the beginning of a segment are frames of this side that fill it exactly, or
/// the beginning of one that goes on: what a gap is followed by in mid-stream. Whatever is inside
/// them is verified again by who reads it.
pub(super) fn fill(mut bytes: &[u8], side: Side, ends: bool) -> bool {
    let mut data = false;
    for _ in 0..FRAMES {
        let Ok(Parsed::Header(header, length)) = parse(bytes) else {
            return false;
        };
        let expected = side == Side::Client;
        if header.masked() != expected || !header.shortest {
            return false;
        }
        data |= header.opcode == Opcode::Binary;
        let whole = usize::try_from(header.length)
            .ok()
            .and_then(|payload| length.checked_add(payload));
        let Some(whole) = whole else { return false };
        match bytes.get(whole..) {
            Some([]) => return data && ends,
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    false
}

/// Takes the mask away, eight bytes at a time.
pub(super) fn unmask(bytes: &mut [u8], mask: Option<[u8; 4]>) {
    let Some([a, b, c, d]) = mask else { return };
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d].iter().cycle()) {
        *byte ^= key;
    }
}
