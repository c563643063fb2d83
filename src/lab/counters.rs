//! What became of the packets of one direction.

use serde::{Deserialize, Serialize};

use crate::time::TimeDelta;

/// A departure later than this after its time is counted as late, in nanoseconds: 0.2 ms, the
/// tolerance of a calibrated delay.
pub const LATE_NS: i64 = 200_000;

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The link was out.
    Outage,
    /// The queue in front of the transmitter was full.
    Queue,
    /// The medium lost it.
    Loss,
    /// The emulator held [`MAX_IN_FLIGHT`](super::MAX_IN_FLIGHT) packets.
    Full,
}

/// Counts of one direction since its link was set.
///
/// `received + duplicated = sent + in_flight + dropped()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that came in.
    pub received: u64,
    /// Dropped in an outage.
    pub dropped_outage: u64,
    /// Dropped at the full queue.
    pub dropped_queue: u64,
    /// Dropped by the medium's loss.
    pub dropped_loss: u64,
    /// Dropped because the emulator held too many packets.
    pub dropped_full: u64,
    /// Second copies that were made.
    pub duplicated: u64,
    /// Packets that left, second copies included.
    pub sent: u64,
    /// Packets that are on their way.
    pub in_flight: u64,
    /// Packets that left more than [`LATE_NS`] after their time.
    pub late: u64,
    /// By how much the latest packet missed its time, in nanoseconds.
    pub latest_ns: i64,
}

impl Counters {
    /// All that were dropped, for whatever cause.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_outage + self.dropped_queue + self.dropped_loss + self.dropped_full
    }

    pub(super) fn drop_one(&mut self, cause: Cause) {
        *match cause {
            Cause::Outage => &mut self.dropped_outage,
            Cause::Queue => &mut self.dropped_queue,
            Cause::Loss => &mut self.dropped_loss,
            Cause::Full => &mut self.dropped_full,
        } += 1;
    }

    pub(super) fn send_one(&mut self, lateness: TimeDelta) {
        self.sent += 1;
        self.in_flight -= 1;
        self.late += u64::from(lateness.as_nanos() > LATE_NS);
        self.latest_ns = self.latest_ns.max(lateness.as_nanos());
    }
}
