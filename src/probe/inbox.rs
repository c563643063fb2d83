//! Bytes from the socket, cut into control packets. What a broker announces is checked before a
//! byte of it is kept.

use crate::mqtt::{HeaderResult, parse_fixed_header};

use super::error::LinkError;

/// So much is read at once, at least.
const PART: usize = 64 << 10;

/// Collects bytes and cuts them into packets.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Longest packet that is taken, in bytes.
    limit: usize,
}

impl Inbox {
    /// Takes packets of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: vec![0; PART],
            start: 0,
            end: 0,
            limit,
        }
    }

    /// Where the next bytes are to be put.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < PART / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < PART / 2 {
                // At most the longest packet and a part: nothing longer gets past `take_packet`.
                self.bytes.resize(self.bytes.len() + PART, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were put there.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// What came and was not taken yet.
    #[must_use]
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The next whole packet: its first byte, and what follows the fixed header.
    ///
    /// # Errors
    ///
    /// The remaining length is malformed, or the packet longer than the limit.
    pub fn take_packet(&mut self) -> Result<Option<(u8, &[u8])>, LinkError> {
        let waiting = &self.bytes[self.start..self.end];
        let header = match parse_fixed_header(waiting) {
            HeaderResult::Complete(header) => header,
            HeaderResult::Incomplete => return Ok(None),
            HeaderResult::Malformed => {
                return Err(LinkError::Garbage(
                    "a remaining length of more than four bytes".into(),
                ));
            }
        };
        let length = header.packet_length() as usize;
        if length > self.limit {
            return Err(LinkError::TooLong {
                announced: length as u64,
                allowed: self.limit as u64,
            });
        }
        if waiting.len() < length {
            return Ok(None);
        }
        let body = self.start + usize::from(header.header_length)..self.start + length;
        self.start += length;
        Ok(Some((header.first_byte, &self.bytes[body])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(inbox: &mut Inbox, bytes: &[u8]) {
        for part in bytes.chunks(1_000) {
            inbox.space()[..part.len()].copy_from_slice(part);
            inbox.filled(part.len());
        }
    }

    #[test]
    fn packets_are_cut_wherever_the_bytes_were() {
        let mut stream = Vec::new();
        for length in [0_usize, 1, 127, 128, 5_000, 90_000] {
            stream.push(0x30);
            let mut rest = length;
            loop {
                let more = if rest > 127 { 0x80 } else { 0 };
                stream.push((rest & 0x7f) as u8 | more);
                rest >>= 7;
                if rest == 0 {
                    break;
                }
            }
            stream.extend(std::iter::repeat_n(length as u8, length));
        }
        for part in [1, 7, 1_000, stream.len()] {
            let mut inbox = Inbox::new(100_000);
            let mut lengths = Vec::new();
            for bytes in stream.chunks(part) {
                push(&mut inbox, bytes);
                while let Some((first, body)) = inbox.take_packet().unwrap() {
                    assert_eq!(first, 0x30);
                    assert!(body.iter().all(|byte| *byte == body.len() as u8));
                    lengths.push(body.len());
                }
            }
            assert_eq!(lengths, [0, 1, 127, 128, 5_000, 90_000], "{part}");
        }
    }

    #[test]
    fn a_packet_of_256_mebibytes_is_refused_at_its_header() {
        let mut inbox = Inbox::new(2_000);
        push(&mut inbox, &[0x30, 0xff, 0xff, 0xff, 0x7f]);
        let error = inbox.take_packet().unwrap_err();
        assert!(
            matches!(
                error,
                LinkError::TooLong {
                    announced: 268_435_460,
                    allowed: 2_000
                }
            ),
            "{error}"
        );
        let mut inbox = Inbox::new(2_000);
        push(&mut inbox, &[0x30, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(inbox.take_packet(), Err(LinkError::Garbage(_))));
    }
}
