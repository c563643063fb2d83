//! Keeps processors from falling asleep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the machine's processors awake until it is dropped, where that costs nobody anything.
///
/// A processor with nothing to do stops, and takes its time to go on: some microseconds to
/// hundreds, and milliseconds where it is a virtual one whose place another machine took meanwhile.
/// Each wait of client, broker and proxy ends that much later, and that was measured as delay. So a
/// thread of the lowest kind runs on each processor, which gives way to any other at once (Linux,
/// `SCHED_IDLE`).
///
/// It does nothing on other systems, where a limit is set to the time of the processors
/// ([`is_possible`](Self::is_possible)), and while another one is there already.
#[derive(Debug)]
pub struct KeepAwake {
    _holder: Option<Arc<Holder>>,
}

/// The last one that goes lets the processors sleep.
#[derive(Debug)]
struct Holder {
    ends: Arc<AtomicBool>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Not joined: on a busy machine it may be long until they run again, and read this.
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Of the whole process: one thread for a processor is enough.
static HOLDER: Mutex<std::sync::Weak<Holder>> = Mutex::new(std::sync::Weak::new());

impl KeepAwake {
    /// Begins, unless it is not possible or begun already.
    #[must_use]
    pub fn begin() -> Self {
        let mut current = HOLDER.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = current.upgrade().or_else(|| {
            let processors = processors();
            if processors.is_empty() {
                return None;
            }
            let ends = Arc::new(AtomicBool::new(false));
            for processor in processors {
                start(processor, Arc::clone(&ends));
            }
            Some(Arc::new(Holder { ends }))
        });
        *current = holder
            .as_ref()
            .map_or_else(Default::default, Arc::downgrade);
        Self { _holder: holder }
    }

    /// Whether this machine's processors can be kept awake: on Linux, where there are at most eight,
    /// and this process may have all of their time. What a container may use in a while would be used
    /// up, and the measurement stopped until the next.
    #[must_use]
    pub fn is_possible() -> bool {
        !processors().is_empty()
    }
}

/// The processors to keep awake.
#[cfg(target_os = "linux")]
fn processors() -> Vec<usize> {
    use nix::sched::{CpuSet, sched_getaffinity};
    use nix::unistd::Pid;

    /// More would heat a machine more than it helps.
    const MOST: usize = 8;
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else {
        return Vec::new();
    };
    let allowed: Vec<usize> = (0..CpuSet::count())
        .filter(|processor| allowed.is_set(*processor).unwrap_or(false))
        .collect();
    // What the standard library tells is less where a control group has a quota.
    let usable = std::thread::available_parallelism().map_or(0, usize::from);
    if allowed.len() > MOST || usable < allowed.len() {
        return Vec::new();
    }
    allowed
}

#[cfg(not(target_os = "linux"))]
fn processors() -> Vec<usize> {
    Vec::new()
}

/// A thread that uses what nobody wants of a processor. Where it cannot be started, or cannot be one
/// that gives way, that processor sleeps.
#[cfg(target_os = "linux")]
fn start(processor: usize, ends: Arc<AtomicBool>) {
    use super::schedule::{Schedule, set_schedule};
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    /// Looks at the flag, which another processor writes, are this far apart.
    const LOOK_EVERY: u32 = 1_000;
    let spin = move || {
        let mut only = CpuSet::new();
        let is_set = only.set(processor).is_ok()
            && sched_setaffinity(Pid::from_raw(0), &only).is_ok()
            && set_schedule(Schedule::Idle);
        while is_set && !ends.load(Ordering::Relaxed) {
            for _ in 0..LOOK_EVERY {
                std::hint::spin_loop();
            }
        }
    };
    let name = format!("awake {processor}");
    // Without it the measurement is less exact.
    let _ = std::thread::Builder::new().name(name).spawn(spin);
}

#[cfg(not(target_os = "linux"))]
fn start(_processor: usize, _ends: Arc<AtomicBool>) {}

#[cfg(all(test, target_os = "linux"))]
#[path = "tests.rs"]
mod tests;
