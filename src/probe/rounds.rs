//! The loop of a measuring thread: do what is due, wait for the sockets, read what came.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::Scope;

use nix::poll::{PollFd, PollFlags};

use super::clock::{self, Stamp};
use super::line::{Context, Wire};
use super::turns::Turns;
use super::wait::{self, NAP_NS, Waiter};

/// The clients of one side of a cell, each with a wire at a place of its own, from 0.
pub(super) trait Side<'scope> {
    /// Whether nothing is left to do.
    fn is_over(&mut self, context: &Context<'_>) -> bool;

    /// How many clients there are.
    fn count(&self) -> usize;

    /// The wire at a place below [`Side::count`].
    fn wire(&mut self, place: usize) -> &mut Wire;

    /// Does what is due.
    fn work(&mut self, context: &Context<'_>, now: Stamp) -> Worked;

    /// The socket at this place is ready. Gives whether the wire was lost.
    fn serve(&mut self, context: &Context<'_>, place: usize) -> bool;

    /// Has lost wires made again, and takes up those that were.
    fn mend(&mut self, scope: &'scope Scope<'scope, '_>, context: &'scope Context<'scope>);
}

/// What became of a side's work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worked {
    /// Until then there is nothing to do but to listen.
    pub(super) until: Stamp,
    /// There was something to do.
    pub(super) worked: bool,
    /// A wire was lost, or is there again.
    pub(super) changed: bool,
}

/// A socket, and whose it is.
struct Seat {
    side: usize,
    place: usize,
    socket: Arc<TcpStream>,
}

/// Serves these sides on this thread until none of them has anything left to do, or the cell is
/// over. Of two that are ready at once the first is served first.
pub(super) fn run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    sides: &mut [&mut dyn Side<'scope>],
    waiter: &mut Waiter,
    turns: &mut Turns,
) {
    while !is_over(context, sides) {
        // The sockets change only when a line is lost or made again.
        let seats = seats(sides);
        let mut set: Vec<PollFd<'_>> = seats
            .iter()
            .map(|seat| PollFd::new(seat.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let mut changed = false;
        while !changed && !is_over(context, sides) {
            changed = turn(context, sides, (&seats, &mut set), waiter, turns);
        }
        for side in &mut *sides {
            side.mend(scope, context);
        }
    }
}

fn is_over(context: &Context<'_>, sides: &mut [&mut dyn Side<'_>]) -> bool {
    // Each is asked: a side may have to tell the others something.
    let open = sides
        .iter_mut()
        .filter_map(|side| (!side.is_over(context)).then_some(()))
        .count();
    context.is_over() || open == 0
}

/// One turn; gives whether a line was lost or made again.
#[inline]
fn turn(
    context: &Context<'_>,
    sides: &mut [&mut dyn Side<'_>],
    (seats, set): (&[Seat], &mut [PollFd<'_>]),
    waiter: &mut Waiter,
    turns: &mut Turns,
) -> bool {
    let now = clock::now();
    let mut until = now.plus(NAP_NS);
    for side in &mut *sides {
        let work = side.work(context, now);
        if work.worked {
            turns.begin(now);
        }
        if work.changed {
            return true;
        }
        until = until.min(work.until);
    }
    for (seat, entry) in seats.iter().zip(&mut *set) {
        wait::ask(entry, sides[seat.side].wire(seat.place).wants_write());
    }
    let now = clock::now();
    turns.end(now);
    if !waiter.wait(set, now, until) {
        return false;
    }
    turns.begin(clock::now());
    let mut changed = false;
    for (seat, entry) in seats.iter().zip(set) {
        if entry.any().unwrap_or(true) {
            changed |= sides[seat.side].serve(context, seat.place);
        }
    }
    changed
}

/// The sockets of those clients that have one.
fn seats(sides: &mut [&mut dyn Side<'_>]) -> Vec<Seat> {
    let mut seats = Vec::new();
    for (number, side) in sides.iter_mut().enumerate() {
        for place in 0..side.count() {
            if let Some(socket) = side.wire(place).socket() {
                seats.push(Seat {
                    side: number,
                    place,
                    socket,
                });
            }
        }
    }
    seats
}
