//! One direction of one connection: bytes wait until they are due. No clock, no socket.

use std::collections::VecDeque;
use std::time::Duration;

use super::text::Rate;

/// Bytes that go through a limited link at once: an Ethernet frame's worth.
const PIECE_BYTES: usize = 1_448;
/// A lane without a rate limit holds so much; what is more waits in the sender.
const MOST_BYTES: usize = 4 << 20;
const LEAST_BYTES: usize = 16 << 10;
/// Of a limited link, so much time's worth waits in a lane besides what its delay keeps.
const QUEUE: Duration = Duration::from_millis(100);

/// One direction of the link, which all connections share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    delay: Duration,
    rate: Option<Rate>,
    /// When the last byte before leaves the limited part.
    free_at: Duration,
}

impl Link {
    pub(super) const fn new(delay: Duration, rate: Option<Rate>) -> Self {
        Self {
            delay,
            rate,
            free_at: Duration::ZERO,
        }
    }

    /// How much one lane may hold.
    pub(super) fn capacity(&self) -> usize {
        let Some(rate) = self.rate else {
            return MOST_BYTES;
        };
        let time = (QUEUE + self.delay).as_millis();
        let bytes = u128::from(rate.bytes_per_s()) * time / 1000;
        usize::try_from(bytes)
            .unwrap_or(MOST_BYTES)
            .clamp(LEAST_BYTES, MOST_BYTES)
    }

    /// When so many bytes that come now are through.
    fn pass(&mut self, bytes: usize, now: Duration) -> Duration {
        if let Some(rate) = self.rate {
            self.free_at = self.free_at.max(now) + rate.time_of(bytes);
            return self.free_at + self.delay;
        }
        now + self.delay
    }
}

#[derive(Debug)]
struct Piece {
    due: Duration,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Lane {
    bytes: VecDeque<u8>,
    pieces: VecDeque<Piece>,
    capacity: usize,
    /// When the end of the stream is due, once it came.
    end: Option<Duration>,
}

impl Lane {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            pieces: VecDeque::new(),
            capacity,
            end: None,
        }
    }

    /// How many bytes it takes now.
    pub(super) fn room(&self) -> usize {
        if self.end.is_some() {
            return 0;
        }
        self.capacity.saturating_sub(self.bytes.len())
    }

    pub(super) fn push(&mut self, bytes: &[u8], now: Duration, link: &mut Link) {
        self.bytes.extend(bytes);
        for piece in bytes.chunks(PIECE_BYTES) {
            // Stamps of what came may be a little out of order; the bytes are not.
            let last = self.pieces.back().map_or(Duration::ZERO, |last| last.due);
            let due = link.pass(piece.len(), now).max(last);
            match self.pieces.back_mut() {
                Some(last) if last.due == due => last.bytes += piece.len(),
                _ => self.pieces.push_back(Piece {
                    due,
                    bytes: piece.len(),
                }),
            }
        }
    }

    /// The stream ended; its end takes as long as a byte.
    pub(super) fn end(&mut self, now: Duration, link: &mut Link) {
        if self.end.is_none() {
            self.end = Some(link.pass(0, now));
        }
    }

    /// Bytes that are due, as far as they lie together.
    pub(super) fn due(&self, now: Duration) -> &[u8] {
        let due = self.pieces.iter().take_while(|piece| piece.due <= now);
        let count: usize = due.map(|piece| piece.bytes).sum();
        let (front, _) = self.bytes.as_slices();
        front.get(..count).unwrap_or(front)
    }

    pub(super) fn pop(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        let mut left = count;
        while left > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let taken = left.min(piece.bytes);
            piece.bytes -= taken;
            left -= taken;
            if piece.bytes == 0 {
                self.pieces.pop_front();
            }
        }
    }

    /// Whether all went out, and the end of the stream is due.
    pub(super) fn has_ended(&self, now: Duration) -> bool {
        self.bytes.is_empty() && self.end.is_some_and(|end| end <= now)
    }

    /// When the next bytes, or the end, are due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.pieces.front().map(|piece| piece.due).or(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn take(lane: &mut Lane, now: Duration) -> Vec<u8> {
        let mut taken = Vec::new();
        loop {
            let due = lane.due(now).to_vec();
            if due.is_empty() {
                return taken;
            }
            lane.pop(due.len());
            taken.extend(due);
        }
    }

    #[test]
    fn bytes_are_due_after_the_delay_and_the_end_after_them() {
        let mut link = Link::new(ms(20), None);
        let mut lane = Lane::new(link.capacity());
        lane.push(b"first", ms(1), &mut link);
        lane.push(b"second", ms(5), &mut link);
        lane.end(ms(6), &mut link);
        assert_eq!(lane.room(), 0, "nothing comes after the end");
        assert_eq!(lane.next_due(), Some(ms(21)));
        assert!(take(&mut lane, ms(20)).is_empty());
        assert_eq!(take(&mut lane, ms(21)), b"first");
        assert_eq!(take(&mut lane, ms(25)), b"second");
        assert!(!lane.has_ended(ms(25)));
        assert_eq!(lane.next_due(), Some(ms(26)));
        assert!(lane.has_ended(ms(26)));
    }

    #[test]
    fn a_limited_link_takes_its_time_and_is_shared() {
        let mut link = Link::new(ms(10), Rate::from_bytes_per_s(1_448_000));
        let [mut one, mut other] = [(); 2].map(|()| Lane::new(link.capacity()));
        // A millisecond for each full piece.
        one.push(&[1; 1_448 * 3], ms(0), &mut link);
        other.push(&[2; 1_448], ms(0), &mut link);
        assert_eq!(take(&mut one, ms(11)).len(), 1_448);
        assert_eq!(take(&mut one, ms(13)).len(), 1_448 * 2);
        assert_eq!(other.next_due(), Some(ms(14)), "after the others");
        // An idle link saves nothing up.
        other.push(&[3; 1_448], ms(500), &mut link);
        assert_eq!(take(&mut other, ms(510)).len(), 1_448);
        assert_eq!(other.next_due(), Some(ms(511)));
    }

    #[test]
    fn a_lane_holds_what_the_link_keeps_and_little_more() {
        assert_eq!(Link::new(ms(20), None).capacity(), MOST_BYTES);
        let rate = Rate::from_bytes_per_s(1_000_000);
        assert_eq!(Link::new(ms(400), rate).capacity(), 500_000);
        let slow = Rate::from_bytes_per_s(1_000);
        assert_eq!(Link::new(ms(400), slow).capacity(), LEAST_BYTES);
        let mut link = Link::new(ms(0), slow);
        let mut lane = Lane::new(10);
        lane.push(b"1234567", ms(0), &mut link);
        assert_eq!(lane.room(), 3);
    }

    /// In whatever pieces bytes come and go, they stay the same.
    #[test]
    fn bytes_stay_in_order() {
        let mut link = Link::new(ms(3), Rate::from_bytes_per_s(700_000));
        let mut lane = Lane::new(usize::MAX);
        let (mut sent, mut got): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        for step in 0..2_000u64 {
            let bytes: Vec<u8> = (0..step * 31 % 97).map(|i| (step + i) as u8).collect();
            lane.push(&bytes, ms(step), &mut link);
            sent.extend(&bytes);
            let due = lane.due(ms(step)).len().min((step * 17 % 53) as usize);
            got.extend(&lane.due(ms(step))[..due]);
            lane.pop(due);
        }
        got.extend(take(&mut lane, ms(1_000_000)));
        assert_eq!(got, sent);
        assert!(lane.bytes.is_empty() && lane.next_due().is_none());
    }
}
