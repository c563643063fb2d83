//! What is inside a message: which run and cell it belongs to, and its number, in 16 bytes where
//! they fit. Below that as many low bytes of the number as there is room for; the topic and the
//! order then say the rest.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a whole mark: 8 of the cell's tag, 8 of the number.
pub const MARK_BYTES: usize = 16;

/// What sets a sentinel's tag apart from its cell's.
const SENTINEL: u64 = 0x5e47_19e1_5e47_19e1;

/// What a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Message `index` of its publisher.
    Message(u32),
    /// The message behind the last one.
    Sentinel,
    /// Nothing of this cell.
    Foreign,
}

/// Makes and reads the payloads of one cell: all of the same size, all different.
#[derive(Clone, Debug)]
pub struct Payloads {
    tag: u64,
    size: usize,
    template: Vec<u8>,
}

impl Payloads {
    /// Payloads of `size` bytes for the cell that `tag` names.
    #[must_use]
    pub fn new(tag: u64, size: usize) -> Self {
        Self {
            tag,
            size,
            template: filler(tag, size.max(MARK_BYTES)),
        }
    }

    /// Bytes of a payload.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The payload of message `index` of `publisher`.
    pub fn message(&mut self, publisher: u32, index: u32) -> &[u8] {
        let number = number(publisher, index).to_be_bytes();
        let size = self.size;
        if size >= MARK_BYTES {
            self.template[..8].copy_from_slice(&self.tag.to_be_bytes());
            self.template[8..MARK_BYTES].copy_from_slice(&number);
        } else {
            let kept = size.min(8);
            self.template[..kept].copy_from_slice(&number[8 - kept..]);
        }
        &self.template[..size]
    }

    /// The payload of a publisher's sentinel, whatever the size of the others: a whole mark.
    #[must_use]
    pub fn sentinel(&self, publisher: u32) -> [u8; MARK_BYTES] {
        let mut mark = [0; MARK_BYTES];
        mark[..8].copy_from_slice(&(self.tag ^ SENTINEL).to_be_bytes());
        mark[8..].copy_from_slice(&number(publisher, 0).to_be_bytes());
        mark
    }

    /// XXH3-64 of the payload of a message.
    pub fn hash(&mut self, publisher: u32, index: u32) -> u64 {
        xxh3_64(self.message(publisher, index))
    }

    /// What a payload says that came on the topic of `publisher`. Where the number is cut, it is
    /// the one nearest to `expected`, which is one more than the highest that came before.
    #[must_use]
    pub fn recognise(&self, publisher: u32, expected: u32, payload: &[u8]) -> Recognised {
        if let Some((mark, _)) = payload.split_first_chunk::<MARK_BYTES>() {
            let (tag, number) = mark.split_at(8);
            let read = |bytes: &[u8]| bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b));
            let (tag, read_number) = (read(tag), read(number));
            let of_publisher = (read_number >> 32) as u32 == publisher;
            if of_publisher && tag == self.tag ^ SENTINEL && payload.len() == MARK_BYTES {
                return Recognised::Sentinel;
            }
            if of_publisher && tag == self.tag && payload.len() == self.size {
                return Recognised::Message(read_number as u32);
            }
            return Recognised::Foreign;
        }
        if payload.len() != self.size || payload.is_empty() {
            return Recognised::Foreign;
        }
        let kept = self.size.min(8);
        let low = payload[..kept]
            .iter()
            .fold(0, |sum, &b| sum << 8 | u64::from(b));
        match nearest(low, kept, expected) {
            Some(index) => Recognised::Message(index),
            None => Recognised::Foreign,
        }
    }
}

const fn number(publisher: u32, index: u32) -> u64 {
    (publisher as u64) << 32 | index as u64
}

/// The index nearest to `expected` whose number ends in these `kept` bytes.
fn nearest(low: u64, kept: usize, expected: u32) -> Option<u32> {
    if kept >= 4 {
        return Some(low as u32);
    }
    let modulus = 1_i64 << (8 * kept);
    let ahead = (low as i64 - i64::from(expected)).rem_euclid(modulus);
    // Losses are likelier than very old copies, but the middle decides.
    let delta = if ahead <= modulus / 2 {
        ahead
    } else {
        ahead - modulus
    };
    let index = i64::from(expected) + delta;
    u32::try_from(if index < 0 { index + modulus } else { index }).ok()
}

/// Bytes that do not compress, the same for the same tag: xorshift64 (G. Marsaglia, 2003).
fn filler(tag: u64, size: usize) -> Vec<u8> {
    let mut state = tag | 1;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_be_bytes).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_exact_and_recognised() {
        for size in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 128, 70_000] {
            let mut payloads = Payloads::new(0x0123_4567_89ab_cdef, size);
            for index in [0, 1, 255, 256, 65_535, 65_536, 1_000_000] {
                let payload = payloads.message(3, index).to_vec();
                assert_eq!(payload.len(), size);
                assert_eq!(
                    payloads.recognise(3, index, &payload),
                    Recognised::Message(index),
                    "{size} {index}"
                );
            }
        }
    }

    /// Behind a gap and before: what is missing or comes again does not shift the rest.
    #[test]
    fn short_numbers_are_completed_by_order() {
        let mut payloads = Payloads::new(9, 1);
        for (expected, index) in [(1_000, 1_100), (1_000, 990), (0, 120), (3, 0), (256, 255)] {
            let payload = payloads.message(0, index).to_vec();
            assert_eq!(
                payloads.recognise(0, expected, &payload),
                Recognised::Message(index)
            );
        }
    }

    #[test]
    fn others_are_foreign() {
        let mut ours = Payloads::new(1, 32);
        let mut other_cell = Payloads::new(2, 32);
        let message = ours.message(0, 5).to_vec();
        assert_eq!(ours.recognise(1, 5, &message), Recognised::Foreign);
        assert_eq!(
            ours.recognise(0, 5, other_cell.message(0, 5)),
            Recognised::Foreign
        );
        assert_eq!(ours.recognise(0, 5, &message[..31]), Recognised::Foreign);
        assert_eq!(ours.recognise(0, 5, b""), Recognised::Foreign);
        for size in [1, 16, 32] {
            let payloads = Payloads::new(1, size);
            let sentinel = payloads.sentinel(4);
            assert_eq!(payloads.recognise(4, 0, &sentinel), Recognised::Sentinel);
        }
    }

    #[test]
    fn no_two_messages_of_a_cell_have_the_same_hash() {
        let mut payloads = Payloads::new(77, 128);
        let hashes: std::collections::BTreeSet<u64> = (0..3)
            .flat_map(|publisher| (0..1_000).map(move |index| (publisher, index)))
            .map(|(publisher, index)| payloads.hash(publisher, index))
            .collect();
        assert_eq!(hashes.len(), 3_000);
    }
}
