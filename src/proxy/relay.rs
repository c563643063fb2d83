//! The proxy's thread: waits, reads, writes what is due, and does what the schedule says.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::waiting::{CLOCK_ONLY_NS, Margin};

use super::conditions::{Conditions, Happening};
use super::intake::Intake;
use super::lane::Link;
use super::pair::{Pair, Side};
use super::server::{Shared, listen};

/// Connections at once; more are reset as they come.
const MOST_PAIRS: usize = 10_000;
const CLOCK_ONLY: Duration = Duration::from_nanos(CLOCK_ONLY_NS.unsigned_abs());

pub(super) struct Relay {
    listener: Option<TcpListener>,
    address: SocketAddr,
    target: SocketAddr,
    conditions: Conditions,
    shared: Arc<Shared>,
    waker: UnixStream,
    pairs: Vec<Pair>,
    to_target: Link,
    to_client: Link,
    /// Of the schedule's clock, on the lanes'.
    scheduled_from: Duration,
    /// Until when the schedule was done, on its own clock.
    done: Duration,
    is_stalled: bool,
    ready: Vec<PollFlags>,
    intake: Intake,
    margin: Margin,
}

impl Relay {
    pub(super) fn new(
        listener: TcpListener,
        target: SocketAddr,
        conditions: Conditions,
        shared: Arc<Shared>,
        waker: UnixStream,
    ) -> std::io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            target,
            conditions,
            shared,
            waker,
            pairs: Vec::new(),
            to_target: Link::new(conditions.delay_to_target, conditions.throttle),
            to_client: Link::new(conditions.delay_to_client, conditions.throttle),
            scheduled_from: Duration::ZERO,
            done: Duration::ZERO,
            is_stalled: false,
            ready: Vec::new(),
            intake: Intake::new(),
            margin: Margin::default(),
        })
    }

    pub(super) fn run(mut self) {
        // By default the kernel may put off a timer by 50 µs to save a wake-up.
        let _ = nix::sys::prctl::set_timerslack(1);
        while !self.shared.is_stopped() {
            if self.shared.is_restart_asked() {
                self.restart();
                self.shared.has_restarted();
            }
            self.follow_schedule();
            if !self.is_stalled {
                self.write_due();
            }
            if self.wait().is_err() {
                // Out of memory, or a socket that is none: there is nothing to go on with.
                return;
            }
            self.read_ready();
        }
    }

    fn now(&self) -> Duration {
        self.intake.now()
    }

    /// The schedule begins again now; what was going on is over.
    fn restart(&mut self) {
        self.scheduled_from = self.now();
        self.done = Duration::ZERO;
        self.is_stalled = false;
        self.open_again();
    }

    fn follow_schedule(&mut self) {
        let elapsed = self.now().saturating_sub(self.scheduled_from);
        for (at, happening) in self.conditions.happenings(self.done, elapsed) {
            // Told first: whoever sees its effect finds it in the list.
            let at = self.intake.began() + self.scheduled_from + at;
            self.shared.happened(happening, at);
            match happening {
                Happening::OutageBegan => {
                    // Without a listener the kernel refuses; the port stays ours (`listen`).
                    self.listener = None;
                    self.reset_all();
                }
                Happening::OutageEnded => self.open_again(),
                Happening::Reset => self.reset_all(),
                Happening::StallBegan => self.is_stalled = true,
                Happening::StallEnded => self.is_stalled = false,
            }
        }
        self.done = elapsed;
    }

    fn open_again(&mut self) {
        if self.listener.is_none() {
            self.listener = listen(self.address).ok();
        }
    }

    fn reset_all(&mut self) {
        for pair in std::mem::take(&mut self.pairs) {
            self.shared.ended(&pair, true);
            pair.reset();
        }
    }

    fn write_due(&mut self) {
        let now = self.now();
        let mut index = 0;
        while let Some(pair) = self.pairs.get_mut(index) {
            let result = pair.write(now);
            if result.is_ok() && !pair.is_over() {
                index += 1;
                continue;
            }
            let pair = self.pairs.swap_remove(index);
            self.shared.ended(&pair, false);
            if result.is_err() {
                // One side reset its connection: so is the other.
                pair.reset();
            }
        }
    }

    /// Waits until a socket is ready or something is due; sets `ready`.
    fn wait(&mut self) -> nix::Result<()> {
        let next = self.next_due();
        let before = self.now();
        let left = next.map(|next| next.saturating_sub(before));
        let margin = Duration::from_nanos(self.margin.nanos().unsigned_abs());
        let timeout = left.map(|left| left.saturating_sub(margin));
        let mut fds = vec![PollFd::new(self.waker.as_fd(), PollFlags::POLLIN)];
        if !self.is_stalled {
            let listener = self
                .listener
                .iter()
                .map(|listener| (listener.as_fd(), PollFlags::POLLIN));
            let sides = self
                .pairs
                .iter()
                .flat_map(|pair| [Side::Client, Side::Target].map(|side| pair.interest(side)));
            fds.extend(
                listener
                    .chain(sides.flatten())
                    .map(|(fd, flags)| PollFd::new(fd, flags)),
            );
        }
        let ready = match ppoll(&mut fds, timeout.map(TimeSpec::from), None) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => 1,
            Err(error) => return Err(error),
        };
        self.ready.clear();
        let flags = fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        self.ready.extend(flags);
        if ready == 0 {
            self.nothing_came(before, timeout.unwrap_or_default(), next);
        }
        Ok(())
    }

    /// A wait since `before` ended with its time: learns how much too late, or sees what is due
    /// next through to its moment.
    fn nothing_came(&mut self, before: Duration, timeout: Duration, next: Option<Duration>) {
        if !timeout.is_zero() {
            let late = self.now().saturating_sub(before + timeout);
            self.margin
                .learn(i64::try_from(late.as_nanos()).unwrap_or(i64::MAX));
            return;
        }
        if let Some(next) = next
            && next.saturating_sub(self.now()) < CLOCK_ONLY
        {
            while self.now() < next {
                std::hint::spin_loop();
            }
        }
    }

    /// When something is due next.
    fn next_due(&self) -> Option<Duration> {
        let scheduled = self.conditions.next_change(self.done);
        let scheduled = scheduled.map(|at| self.scheduled_from + at);
        let due = self.pairs.iter().filter_map(Pair::next_due).min();
        let due = due.filter(|_| !self.is_stalled);
        scheduled.into_iter().chain(due).min()
    }

    /// In the order of `wait`.
    fn read_ready(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        let mut flags = ready.iter().copied();
        if flags.next().is_some_and(|flags| !flags.is_empty()) {
            self.shared.drain(&mut self.waker);
        }
        if !self.is_stalled {
            let accepts = self.listener.is_some() && flags.next().is_some_and(|f| !f.is_empty());
            self.read_pairs(&mut flags);
            if accepts {
                self.accept();
            }
        }
        self.ready = ready;
    }

    fn read_pairs(&mut self, flags: &mut impl Iterator<Item = PollFlags>) {
        let mut failed = Vec::new();
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            let sides = [Side::Client, Side::Target];
            // Both are asked before one is read, as it was when they were listed.
            let listed = sides.map(|side| pair.interest(side).is_some());
            for (side, _) in sides.into_iter().zip(listed).filter(|(_, listed)| *listed) {
                if flags.next().is_none_or(|flags| flags.is_empty()) {
                    continue;
                }
                let link = match side {
                    Side::Client => &mut self.to_target,
                    Side::Target => &mut self.to_client,
                };
                if pair.read(side, link, &mut self.intake).is_err() {
                    failed.push(index);
                }
            }
        }
        failed.dedup();
        for index in failed.into_iter().rev() {
            let pair = self.pairs.swap_remove(index);
            self.shared.ended(&pair, false);
            pair.reset();
        }
    }

    fn accept(&mut self) {
        while let Some(Ok((client, _))) = self.listener.as_ref().map(TcpListener::accept) {
            if self.pairs.len() >= MOST_PAIRS {
                continue;
            }
            self.shared.accepted();
            // Dropped, the client sees its connection closed: as the target would have it.
            if let Ok(pair) = Pair::new(client, self.target, &self.to_target, &self.to_client) {
                self.pairs.push(pair);
            }
        }
    }
}
