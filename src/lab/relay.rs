//! The emulator in real time: one thread between the hosts' devices, which takes packets, holds
//! them and hands them on when their time has come.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::counters::Counters;
use super::device::Device;
use super::emulator::{Departure, Emulator};
use super::error::LabError;
use super::host::{Direction, Host, Link, Toward};
use super::impairment::Impairment;
use super::pacing::{Lead, Naps};
use super::profiles::{Profile, ProfileError};
use super::taps::TapSink;
use crate::processors::{self, Schedule};
use crate::time::{TimeDelta, Timestamp};

/// Packets that are taken from one device before the others have their turn.
const BATCH: usize = 8;
/// Buffers of packets that left, kept for those that come.
const SPARE_BUFFERS: usize = 1_024;
/// When the next departure is further away, what the taps saw is handed on.
const LULL: TimeDelta = TimeDelta::from_nanos(1_000_000);
/// How long the thread waits awake for another that wants its state, and then asleep. It would
/// have taken the lock again before the other is awake.
const MAKE_ROOM: TimeDelta = TimeDelta::from_nanos(50_000);
const NAP: Duration = Duration::from_micros(20);
/// More than any packet: the devices' MTU is 1,500 bytes.
const LONGEST_PACKET: usize = 65_536;

/// The lab's clock: monotonic, with an offset to the calendar's that never changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) epoch_offset_ns: i64,
}

impl Clock {
    pub(super) fn now(self) -> Timestamp {
        let since_boot = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
        let nanos = since_boot.tv_sec() * 1_000_000_000 + since_boot.tv_nsec();
        Timestamp::from_nanos(nanos.saturating_add(self.epoch_offset_ns))
    }
}

/// What the thread and those who steer it share.
pub(super) struct State {
    directions: [Emulator<Vec<u8>>; 4],
    /// IPv6, and packets to nobody.
    ignored: u64,
    /// Packets that a host's kernel did not take.
    refused: u64,
    spare: Vec<Vec<u8>>,
    pub(super) taps: Option<TapSink>,
}

/// The state, and what others tell the thread without it.
struct Shared {
    state: Mutex<State>,
    /// How many wait for the state.
    wanted: AtomicUsize,
    ends: AtomicBool,
}

/// The running emulator. Dropping it ends its thread.
pub(super) struct Relay {
    shared: Arc<Shared>,
    clock: Clock,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts between the devices of the hosts, with links that do nothing.
    pub(super) fn start(devices: [Device; 3], clock: Clock) -> Result<Self, LabError> {
        let now = clock.now();
        let nothing = |_| Emulator::new(&Impairment::default(), 0, now);
        let [a, b, c, d] = Direction::ALL.map(nothing);
        let (Ok(a), Ok(b), Ok(c), Ok(d)) = (a, b, c, d) else {
            unreachable!("a link that does nothing is possible");
        };
        let state = State {
            directions: [a, b, c, d],
            ignored: 0,
            refused: 0,
            spare: Vec::with_capacity(SPARE_BUFFERS),
            taps: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wanted: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let failed = LabError::network("the emulator's thread");
        let (wake, woken) = UnixStream::pair().map_err(&failed)?;
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            devices,
            clock,
            woken,
            lead: Lead::new(),
            naps: None,
            buffer: vec![0; LONGEST_PACKET],
            scratch: Vec::with_capacity(LONGEST_PACKET),
        };
        let thread = std::thread::Builder::new()
            .name("lab links".to_owned())
            .spawn(move || worker.run())
            .map_err(failed)?;
        Ok(Self {
            shared,
            clock,
            wake,
            thread: Some(thread),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.wanted.fetch_add(1, Ordering::Relaxed);
        let state = lock(&self.shared.state);
        self.shared.wanted.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// Sets both directions of a link, and its counters to 0. What is on the way is dropped.
    pub(super) fn set_link(
        &self,
        link: Link,
        profile: &Profile,
        seed: u64,
    ) -> Result<(), ProfileError> {
        profile.check()?;
        let mut state = self.lock();
        let now = self.clock.now();
        for direction in Direction::ALL.into_iter().filter(|d| d.link == link) {
            let settings = match direction.toward {
                Toward::Broker => &profile.to_broker,
                Toward::Host => &profile.to_host,
            };
            // Four directions of one seed must not lose the same packets.
            let own_seed = seed.wrapping_mul(4).wrapping_add(direction.index() as u64);
            if let Ok(emulator) = Emulator::new(settings, own_seed, now) {
                state.directions[direction.index()] = emulator;
            }
        }
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn wake(&self) {
        // A full pipe wakes just as well.
        let _ = io::Write::write(&mut &self.wake, &[0]);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // If it sleeps, it reads the end of the stream.
        let _ = self.wake.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    pub(super) fn counters(&self, direction: Direction) -> Counters {
        self.directions[direction.index()].counters()
    }

    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn next_departure(&self) -> Option<Timestamp> {
        let directions = self.directions.iter();
        directions.filter_map(Emulator::next_departure).min()
    }
}

/// A panic of another thread leaves whole packets and counters behind.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's own.
struct Worker {
    shared: Arc<Shared>,
    devices: [Device; 3],
    clock: Clock,
    woken: UnixStream,
    lead: Lead,
    /// `None` where the system allows no real-time thread.
    naps: Option<Naps>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

/// What a turn of the thread came to.
struct Turn {
    /// Whether there was anything to do.
    worked: bool,
    next_departure: Option<Timestamp>,
}

impl Worker {
    fn run(&mut self) {
        // Where these are refused, departures are less exact, which calibration shows.
        let _ = prctl::set_timerslack(1);
        processors::raise_ordinary_priority();
        self.naps = processors::set_schedule(Schedule::First).then(|| Naps::new(self.clock.now()));
        loop {
            let turn = self.turn();
            match self.wait(&turn) {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Sleeps until packets come, or until shortly before the next departure; does not where that
    /// is near, or more may have come already. False is the end.
    fn wait(&mut self, turn: &Turn) -> io::Result<bool> {
        let now = self.clock.now();
        let sleep = turn.next_departure.map(|due| self.lead.sleep(due - now));
        if turn.worked || sleep == Some(None) {
            self.stay_awake(now);
            return Ok(!self.shared.ends.load(Ordering::Relaxed));
        }
        self.sleep(now, sleep.flatten())
    }

    /// Sleeps at most so long. False is the end.
    fn sleep(&mut self, now: Timestamp, at_most: Option<TimeDelta>) -> io::Result<bool> {
        let timeout = at_most.map(|sleep| {
            let nanos = sleep.as_nanos();
            TimeSpec::new(nanos / 1_000_000_000, nanos % 1_000_000_000)
        });
        let mut polled = [
            PollFd::new(self.woken.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.devices[0].descriptor(), PollFlags::POLLIN),
            PollFd::new(self.devices[1].descriptor(), PollFlags::POLLIN),
            PollFd::new(self.devices[2].descriptor(), PollFlags::POLLIN),
        ];
        let ready = match ppoll(&mut polled, timeout, None) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 1,
            Err(error) => return Err(error.into()),
        };
        let told = polled[0].any() == Some(true);
        let slept = self.slept_since(now);
        if let Some(at_most) = at_most
            && ready == 0
        {
            self.lead.woken(slept - at_most);
        }
        if told {
            let mut byte = [0; 64];
            return Ok(io::Read::read(&mut &self.woken, &mut byte)? > 0);
        }
        Ok(true)
    }

    /// Goes on, but for a nap that is due, and for others that want the state.
    fn stay_awake(&mut self, now: Timestamp) {
        let mut naps = self.naps.as_mut().is_some_and(|naps| naps.due(now));
        while !naps && self.shared.wanted.load(Ordering::Relaxed) > 0 {
            std::hint::spin_loop();
            naps = self.clock.now() - now > MAKE_ROOM;
        }
        if naps {
            let since = self.clock.now();
            std::thread::sleep(NAP);
            self.slept_since(since);
        }
    }

    fn slept_since(&mut self, since: Timestamp) -> TimeDelta {
        let now = self.clock.now();
        if let Some(naps) = &mut self.naps {
            naps.slept(now - since, now);
        }
        now - since
    }

    /// Takes what came and hands on what is due.
    fn turn(&mut self) -> Turn {
        let mut state = lock(&self.shared.state);
        let state = &mut *state;
        let mut worked = false;
        for host in Host::ALL {
            let device = &mut self.devices[host.index()];
            worked |= device.take(host, self.clock, &mut self.buffer, state);
            worked |= hand_on(&mut self.devices, self.clock, &mut self.scratch, state);
        }
        let next_departure = state.next_departure();
        if let Some(taps) = &mut state.taps {
            let now = self.clock.now();
            if worked || next_departure.is_some_and(|due| due - now < LULL) {
                taps.flush_if_due(now);
            } else {
                taps.flush();
            }
        }
        Turn {
            worked,
            next_departure,
        }
    }
}

impl Device {
    /// Takes some of what a host sent to the emulator; whether there was anything.
    fn take(&mut self, host: Host, clock: Clock, buffer: &mut [u8], state: &mut State) -> bool {
        for taken in 0..BATCH {
            let packet = match self.receive(buffer) {
                Ok(Some(packet)) => packet,
                // An error of the device ends the turn; its packets are missed and counted there.
                Ok(None) | Err(_) => return taken > 0,
            };
            let Some(direction) = Direction::of(host, packet) else {
                state.ignored += 1;
                continue;
            };
            let now = clock.now();
            if let Some(taps) = &mut state.taps {
                taps.see(host, now, packet);
            }
            let mut kept = state.spare.pop().unwrap_or_default();
            kept.extend_from_slice(packet);
            let emulator = &mut state.directions[direction.index()];
            // What it drops, it counts.
            let _ = emulator.arrive(now, packet.len(), kept);
        }
        true
    }
}

/// Hands on what is due in any direction; whether anything was.
fn hand_on(
    devices: &mut [Device; 3],
    clock: Clock,
    scratch: &mut Vec<u8>,
    state: &mut State,
) -> bool {
    let mut any = false;
    for direction in Direction::ALL {
        let to = direction.to();
        let emulator = &mut state.directions[direction.index()];
        while emulator.next_departure().is_some() {
            let now = clock.now();
            let Some(Departure { mut packet, .. }) = emulator.depart(now) else {
                break;
            };
            any = true;
            if let Some(taps) = &mut state.taps {
                taps.see(to, now, &packet);
            }
            if devices[to.index()].send(&packet, scratch).is_err() {
                state.refused += 1;
            }
            if state.spare.len() < SPARE_BUFFERS {
                packet.clear();
                state.spare.push(packet);
            }
        }
    }
    any
}
