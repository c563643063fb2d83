//! Frames as they happen: an interface, or a stream that somebody still writes to.
//!
//! One thread reads ([`Device::run`] or [`read_stream`]) and does nothing else: it copies frames
//! into [`FrameBatch`]es and puts these into a queue. Whoever takes them out, be it an analysis or
//! [`write_file`], has its own thread, and may stall as long as the queue has room. Batches are
//! used again, so a frame costs no allocation.
//!
//! # Bounds
//!
//! The queue holds a fixed number of batches of [`FrameBatch::BYTES`]. A device does not wait:
//! when the queue is full, frames are dropped here, counted, and a [`Lost`] says when. A stream
//! waits: then whoever writes to it has to.

mod batch;
mod counters;
mod device;
mod file;
mod kernel_filter;
#[cfg(feature = "live")]
mod libpcap;
#[cfg(all(feature = "live", target_os = "linux"))]
mod once;
mod queue;
mod stream;

pub use batch::{FrameBatch, Lost, TapNote};
pub use counters::{CaptureCounts, Counters};
pub use device::{Device, DeviceInfo, DeviceSettings, LiveError, devices};
pub use file::write_file;
pub use kernel_filter::KernelFilter;
pub use queue::{Filler, Lent, Taker, queue};
pub use stream::{StreamEnd, read_stream};
