//! The emulator in real time: one thread between the hosts' devices, which takes packets, holds
//! them and hands them on when their time has come.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
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
use super::emulator::Emulator;
use super::error::LabError;
use super::host::{Direction, Host, Link, Toward};
use super::impairment::Impairment;
use super::profiles::{Profile, ProfileError};
use super::sys;
use super::taps::TapSink;
use crate::time::Timestamp;

/// From so long before a departure on, the thread looks again and again instead of sleeping: a
/// sleeping thread is woken some 50 µs late.
const SPIN_NS: i64 = 70_000;
/// How long the thread may go without sleeping. A real-time thread that never sleeps is stopped by
/// the kernel for 50 ms of every second; when packets come that densely it takes naps.
const AWAKE_NS: i64 = 10_000_000;
const NAP: Duration = Duration::from_micros(20);
/// Packets that are taken from one device before the others have their turn.
const BATCH: usize = 32;
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
    pub(super) taps: Option<TapSink>,
}

/// The running emulator. Dropping it ends its thread.
pub(super) struct Relay {
    state: Arc<Mutex<State>>,
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
        let state = Arc::new(Mutex::new(State {
            directions: [a, b, c, d],
            ignored: 0,
            refused: 0,
            taps: None,
        }));
        let failed = LabError::network("the emulator's thread");
        let (wake, woken) = UnixStream::pair().map_err(&failed)?;
        let mut worker = Worker {
            state: Arc::clone(&state),
            devices,
            clock,
            woken,
            slept: now,
            buffer: vec![0; LONGEST_PACKET],
            scratch: Vec::with_capacity(LONGEST_PACKET),
        };
        let thread = std::thread::Builder::new()
            .name("lab links".to_owned())
            .spawn(move || worker.run())
            .map_err(failed)?;
        Ok(Self {
            state,
            clock,
            wake,
            thread: Some(thread),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
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
        // The thread reads the end of the stream.
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
    state: Arc<Mutex<State>>,
    devices: [Device; 3],
    clock: Clock,
    woken: UnixStream,
    /// When it last slept.
    slept: Timestamp,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl Worker {
    fn run(&mut self) {
        // Where it is refused, timers are up to 50 µs less exact, which calibration shows.
        let _ = prctl::set_timerslack(1);
        sys::raise_priority();
        let mut next = None;
        loop {
            match self.wait(next) {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
            next = self.turn();
        }
    }

    /// Waits for packets, or until shortly before the next departure. False is the end.
    fn wait(&mut self, next: Option<Timestamp>) -> io::Result<bool> {
        let now = self.clock.now();
        let left = next.map(|due| ((due - now).as_nanos() - SPIN_NS).max(0));
        let sleeps = left != Some(0);
        if !sleeps && (now - self.slept).as_nanos() > AWAKE_NS {
            std::thread::sleep(NAP);
        }
        let timeout = left.map(|left| TimeSpec::new(left / 1_000_000_000, left % 1_000_000_000));
        let mut polled = [
            PollFd::new(self.woken.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.devices[0].descriptor(), PollFlags::POLLIN),
            PollFd::new(self.devices[1].descriptor(), PollFlags::POLLIN),
            PollFd::new(self.devices[2].descriptor(), PollFlags::POLLIN),
        ];
        match ppoll(&mut polled, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if sleeps {
            self.slept = self.clock.now();
        }
        if polled[0].any() == Some(true) {
            let mut byte = [0; 64];
            return Ok(io::Read::read(&mut &self.woken, &mut byte)? > 0);
        }
        Ok(true)
    }

    /// Takes what came and hands on what is due; gives the time of the next departure.
    fn turn(&mut self) -> Option<Timestamp> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        for host in Host::ALL {
            self.devices[host.index()].take(host, self.clock, &mut self.buffer, state);
            hand_on(&mut self.devices, self.clock, &mut self.scratch, state);
        }
        if let Some(taps) = &mut state.taps {
            taps.flush();
        }
        state.next_departure()
    }
}

impl Device {
    /// Takes what a host sent to the emulator.
    fn take(&mut self, host: Host, clock: Clock, buffer: &mut [u8], state: &mut State) {
        for _ in 0..BATCH {
            let packet = match self.receive(buffer) {
                Ok(Some(packet)) => packet,
                // An error of the device ends the turn; its packets are missed and counted there.
                Ok(None) | Err(_) => return,
            };
            let Some(direction) = Direction::of(host, packet) else {
                state.ignored += 1;
                continue;
            };
            let now = clock.now();
            if let Some(taps) = &mut state.taps {
                taps.see(host, now, packet);
            }
            let emulator = &mut state.directions[direction.index()];
            // What it drops, it counts.
            let _ = emulator.arrive(now, packet.len(), packet.to_vec());
        }
    }
}

/// Hands on what is due in any direction.
fn hand_on(devices: &mut [Device; 3], clock: Clock, scratch: &mut Vec<u8>, state: &mut State) {
    for direction in Direction::ALL {
        let to = direction.to();
        let emulator = &mut state.directions[direction.index()];
        while emulator
            .next_departure()
            .is_some_and(|due| due <= clock.now())
        {
            let now = clock.now();
            let Some(departure) = emulator.depart(now) else {
                break;
            };
            if let Some(taps) = &mut state.taps {
                taps.see(to, now, &departure.packet);
            }
            if devices[to.index()]
                .send(&departure.packet, scratch)
                .is_err()
            {
                state.refused += 1;
            }
        }
    }
}
