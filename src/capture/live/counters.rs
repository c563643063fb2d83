//! What the threads of a capture count, for all to see.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that the reading thread writes and others read.
#[derive(Debug, Default)]
pub struct Counters {
    frames: AtomicU64,
    bytes: AtomicU64,
    received: AtomicU64,
    dropped_by_system: AtomicU64,
    dropped_by_interface: AtomicU64,
    dropped_by_queue: AtomicU64,
}

/// Their values at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounts {
    /// Frames handed on.
    pub frames: u64,
    /// Captured bytes of these.
    pub bytes: u64,
    /// Frames that the system counted as matching the filter, dropped ones included.
    pub received: u64,
    /// Frames that the system dropped, because its buffer was full.
    pub dropped_by_system: u64,
    /// Frames that the interface or its driver dropped.
    pub dropped_by_interface: u64,
    /// Frames that were dropped because the queue between the threads was full.
    pub dropped_by_queue: u64,
}

impl CaptureCounts {
    /// All that were dropped.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped_by_system
            .saturating_add(self.dropped_by_interface)
            .saturating_add(self.dropped_by_queue)
    }
}

impl Counters {
    /// Their values now.
    #[must_use]
    pub fn get(&self) -> CaptureCounts {
        CaptureCounts {
            frames: self.frames.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            received: self.received.load(Relaxed),
            dropped_by_system: self.dropped_by_system.load(Relaxed),
            dropped_by_interface: self.dropped_by_interface.load(Relaxed),
            dropped_by_queue: self.dropped_by_queue.load(Relaxed),
        }
    }

    /// Frames were handed on.
    pub(super) fn add_frames(&self, frames: u64, bytes: u64) {
        self.frames.fetch_add(frames, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// A frame found no room.
    pub(super) fn add_overflow(&self) {
        self.dropped_by_queue.fetch_add(1, Relaxed);
    }

    /// The system counted more.
    #[cfg_attr(not(feature = "live"), expect(dead_code))]
    pub(super) fn add_system(&self, received: u64, by_system: u64, by_interface: u64) {
        self.received.fetch_add(received, Relaxed);
        self.dropped_by_system.fetch_add(by_system, Relaxed);
        self.dropped_by_interface.fetch_add(by_interface, Relaxed);
    }
}
