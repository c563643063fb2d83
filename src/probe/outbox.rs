//! Bytes on their way to the socket, and what is to be stamped when they are written.

use std::collections::VecDeque;

use super::clock::Stamp;

/// What bytes are, for the one who wants their stamps. Numbers are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A PUBLISH.
    Publish(u32),
    /// A PUBREL.
    Release(u32),
    /// A PUBACK or PUBREC.
    Acknowledge(u32),
    /// A PUBCOMP.
    Complete(u32),
}

/// A write that took place: the first byte of `token`'s packet was in a write that began at
/// `started`, or its last in one that ended at `written`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The write of its first byte is about to begin at this stamp.
    Started(Token, Stamp),
    /// The write of its last byte ended at this stamp.
    Written(Token, Stamp),
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Counted from the first byte that ever went through.
    first: u64,
    end: u64,
    token: Token,
    started: bool,
}

/// The bytes of packets that were not written yet.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    start: usize,
    /// How many bytes were written in all.
    passed: u64,
    marks: VecDeque<Mark>,
}

/// Written bytes are moved away when there are so many of them.
const COMPACT_AT: usize = 256 << 10;

impl Outbox {
    /// Room for this many bytes and packets before anything is allocated again.
    #[must_use]
    pub fn with_capacity(bytes: usize, packets: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            marks: VecDeque::with_capacity(packets),
            ..Self::default()
        }
    }

    /// Where the next packet is appended. Call [`Outbox::mark`] behind it if it has stamps.
    pub fn packet(&mut self) -> &mut Vec<u8> {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= COMPACT_AT {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Where in the stream the next byte will stand.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed + self.len() as u64
    }

    /// Says what was appended since `first`, an earlier [`Outbox::position`].
    pub fn mark(&mut self, first: u64, token: Token) {
        let end = self.position();
        self.marks.push_back(Mark {
            first,
            end,
            token,
            started: false,
        });
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits, to hand to the socket.
    #[must_use]
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// `count` of the waiting bytes were written, by a write from `before` to `after`.
    pub fn written(
        &mut self,
        count: usize,
        (before, after): (Stamp, Stamp),
        mut tell: impl FnMut(Progress),
    ) {
        let count = count.min(self.len());
        self.start += count;
        self.passed += count as u64;
        for mark in &mut self.marks {
            if mark.first >= self.passed {
                break;
            }
            if !mark.started {
                mark.started = true;
                tell(Progress::Started(mark.token, before));
            }
            if mark.end <= self.passed {
                tell(Progress::Written(mark.token, after));
            }
        }
        while self
            .marks
            .front()
            .is_some_and(|mark| mark.end <= self.passed)
        {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(n: i64) -> (Stamp, Stamp) {
        (Stamp::from_nanos(n), Stamp::from_nanos(n + 1))
    }

    fn put(outbox: &mut Outbox, bytes: &[u8], token: Token) {
        let first = outbox.position();
        outbox.packet().extend_from_slice(bytes);
        outbox.mark(first, token);
    }

    fn write(outbox: &mut Outbox, count: usize, at: i64) -> Vec<Progress> {
        let mut told = Vec::new();
        outbox.written(count, stamps(at), |progress| told.push(progress));
        told
    }

    #[test]
    fn first_and_last_bytes_have_their_own_writes() {
        let mut outbox = Outbox::default();
        let (a, b) = (Token::Publish(1), Token::Release(2));
        put(&mut outbox, &[1; 10], a);
        put(&mut outbox, &[2; 4], b);
        let at = Stamp::from_nanos;
        assert_eq!(write(&mut outbox, 3, 100), [Progress::Started(a, at(100))]);
        assert_eq!(outbox.waiting().len(), 11);
        assert_eq!(
            write(&mut outbox, 8, 200),
            [Progress::Written(a, at(201)), Progress::Started(b, at(200))]
        );
        assert_eq!(write(&mut outbox, 3, 300), [Progress::Written(b, at(301))]);
        assert!(outbox.is_empty() && write(&mut outbox, 0, 400).is_empty());
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut outbox = Outbox::with_capacity(16, 4);
        let mut expected = Vec::new();
        let mut got = Vec::new();
        for round in 0_u32..3_000 {
            let packet = vec![round as u8; 1 + (round as usize * 7) % 600];
            put(&mut outbox, &packet, Token::Publish(round));
            expected.extend_from_slice(&packet);
            let count = (round as usize * 13) % 550;
            let count = count.min(outbox.len());
            got.extend_from_slice(&outbox.waiting()[..count]);
            write(&mut outbox, count, i64::from(round));
        }
        got.extend_from_slice(outbox.waiting());
        let rest = outbox.len();
        write(&mut outbox, rest, 9_999);
        assert_eq!(got, expected);
        assert!(outbox.marks.is_empty());
    }
}
