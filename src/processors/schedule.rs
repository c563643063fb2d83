//! A thread's precedence, which no safe interface sets. Nothing else is in this file.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use nix::libc;

/// How the kernel shares the processors out to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Only what nobody else wants (`SCHED_IDLE`): any other thread takes the processor from it at
    /// once.
    Idle,
    /// As to all others.
    Ordinary,
    /// As to a real-time thread that takes turns with its like (`SCHED_RR`).
    InTurns,
    /// As to a real-time thread that those that take turns wait for (`SCHED_FIFO`). What it starts
    /// is ordinary again.
    First,
}

/// Makes the calling thread, and all threads and programs that it starts from now on, one of that
/// kind; whether the system allows it.
pub fn set_schedule(schedule: Schedule) -> bool {
    let (policy, priority) = match schedule {
        Schedule::Idle => (libc::SCHED_IDLE, 0),
        Schedule::Ordinary => (libc::SCHED_OTHER, 0),
        Schedule::InTurns => (libc::SCHED_RR, 1),
        Schedule::First => (libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 2),
    };
    // SAFETY: `sched_param` is plain integers, so all zeros is a value of it; the call reads one
    // from a live local during the call only. 0 is the calling thread (on Linux).
    unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority;
        libc::sched_setscheduler(0, policy, &raw const parameters) == 0
    }
}

/// Gives the calling thread the highest priority of the ordinary ones, if the system allows that.
pub fn raise_ordinary_priority() {
    const MOST: libc::c_int = -20;
    // SAFETY: the call takes three integers. 0 is the calling thread (on Linux).
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, MOST);
    }
}
