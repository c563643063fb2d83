//! The threads that measure a cell, and who looks after them.

use std::io;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use crate::processors::KeepAwake;

use super::cell::{CellProgress, Clients};
use super::clock::{self, Stamp};
use super::error::CellError;
use super::line::{Context, Made};
use super::load::CpuTimes;
use super::publisher::{Published, Publishers};
use super::rounds;
use super::subscriber::{Received, Subscribers};
use super::tested;
use super::turns::Turns;
use super::wait::{self, Waiter};

/// Between two looks at how it is coming along.
const LOOK: Duration = Duration::from_millis(20);

/// The threads at work.
enum Threads<'scope> {
    /// One for each side.
    Two(
        ScopedJoinHandle<'scope, Published>,
        ScopedJoinHandle<'scope, Received>,
    ),
    /// Both sides on one.
    One(ScopedJoinHandle<'scope, (Published, Received)>),
}

impl Threads<'_> {
    /// How many have ended, and how many there are.
    fn ended(&self) -> (usize, usize) {
        match self {
            Self::Two(publishing, subscribing) => {
                let ended = [publishing.is_finished(), subscribing.is_finished()];
                (ended.into_iter().filter(|ended| *ended).count(), 2)
            }
            Self::One(thread) => (usize::from(thread.is_finished()), 1),
        }
    }

    fn join(self) -> Result<(Published, Received), CellError> {
        let panicked = |name: &str| CellError::Thread(format!("the {name} thread panicked"));
        match self {
            Self::Two(publishing, subscribing) => {
                let published = publishing.join().map_err(|_| panicked("publishing"))?;
                let received = subscribing.join().map_err(|_| panicked("subscribing"))?;
                Ok((published, received))
            }
            Self::One(thread) => thread.join().map_err(|_| panicked("measuring")),
        }
    }
}

/// Runs the threads of a cell, and looks after them. `started` is when the schedule begins.
pub(super) fn measure<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    clients: (Clients, Clients),
    started: Stamp,
    watch: &mut dyn FnMut(CellProgress) -> bool,
) -> Result<(Published, Received), CellError> {
    let plan = context.plan;
    let counts: Vec<u32> = (0..plan.publishers)
        .map(|number| plan.offsets(number).len() as u32)
        .collect();
    let total = counts.iter().map(|count| u64::from(*count)).sum();
    // As fast as can be nobody waits for long, and threads that yield would yield to these.
    let _awake = plan.rate.map(|_| KeepAwake::begin());
    let threads = start(scope, context, clients, (counts, started)).map_err(|error| {
        context.stop.store(true, Ordering::Relaxed);
        CellError::Thread(error.to_string())
    })?;
    loop {
        let (ended, all) = threads.ended();
        if ended == all {
            break;
        }
        thread::sleep(LOOK);
        let progress = CellProgress {
            total,
            written: context.written.load(Ordering::Relaxed),
            received: context.received.load(Ordering::Relaxed),
        };
        if !watch(progress) {
            context.stop.store(true, Ordering::Relaxed);
        }
        // A thread that ended before everything was drained has panicked: the other must not wait.
        let died = threads.ended().0 > 0 && !context.drained.load(Ordering::Relaxed);
        if died || is_out_of_patience(context) {
            context.finish.store(true, Ordering::Relaxed);
        }
    }
    let result = threads.join()?;
    if context.stop.load(Ordering::Relaxed) {
        return Err(CellError::Interrupted);
    }
    Ok(result)
}

/// Whether the last message is so long ago that nothing is waited for any more.
fn is_out_of_patience(context: &Context<'_>) -> bool {
    let all_done = context.done.load(Ordering::Relaxed) >= u64::from(context.plan.publishers);
    let last = Stamp::from_nanos(context.last_ns.load(Ordering::Relaxed));
    all_done && clock::now().since(last) > context.plan.drain_ns
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    clients: (Clients, Clients),
    (counts, started): (Vec<u32>, Stamp),
) -> io::Result<Threads<'scope>> {
    let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
    let (publishers, subscribers) = match clients {
        (Clients::Measuring(publishers), Clients::Measuring(subscribers))
            if takes_one_thread(context, &publishers) =>
        {
            let made = (publishers, subscribers);
            let thread = spawn("measuring")
                .spawn_scoped(scope, move || both(scope, context, made, &counts, started))?;
            return Ok(Threads::One(thread));
        }
        clients => clients,
    };
    let subscribing = spawn("subscribers").spawn_scoped(scope, move || match subscribers {
        Clients::Measuring(made) => subscribe(scope, context, made, &counts),
        Clients::Rumqttc(opened) => tested::subscribe(context, opened, &counts),
    })?;
    let publishing = spawn("publishers").spawn_scoped(scope, move || match publishers {
        Clients::Measuring(made) => publish(scope, context, made, started),
        Clients::Rumqttc(opened) => tested::publish(context, opened, started),
    })?;
    Ok(Threads::Two(publishing, subscribing))
}

/// As fast as can be, and the broker on the same machine: two threads and the broker would fight
/// for two processors, and what goes through is what the broker gets of them. Where messages have a
/// schedule both sides keep their own threads, so that neither makes the other late.
fn takes_one_thread(context: &Context<'_>, publishers: &[Made]) -> bool {
    let is_local = publishers.first().is_some_and(|made| made.link.is_local());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    context.plan.rate.is_none() && is_local && processors <= 2
}

/// Serves these sides on this thread; gives what it took of the processor, and its turns.
fn serve<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    sides: &mut [&mut dyn rounds::Side<'scope>],
    mut waiter: Waiter,
) -> (Option<CpuTimes>, Turns) {
    wait::tune_thread();
    let before = CpuTimes::of_this_thread();
    let mut turns = Turns::default();
    rounds::run(scope, context, sides, &mut waiter, &mut turns);
    let after = CpuTimes::of_this_thread();
    let cpu = before.zip(after).map(|(before, after)| after.since(before));
    (cpu, turns)
}

fn publish<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    made: Vec<Made>,
    started: Stamp,
) -> Published {
    let mut publishers = Publishers::new(context, made, started);
    let (cpu, turns) = serve(scope, context, &mut [&mut publishers], Waiter::default());
    Published {
        cpu,
        publishers: publishers.end(),
        turns,
    }
}

fn subscribe<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    made: Vec<Made>,
    counts: &[u32],
) -> Received {
    let mut subscribers = Subscribers::new(context, made, counts);
    let (cpu, turns) = serve(scope, context, &mut [&mut subscribers], Waiter::default());
    Received {
        cpu,
        subscribers: subscribers.end(),
        turns,
    }
}

/// Both sides on this thread; what it took is told of each.
fn both<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    (publishers, subscribers): (Vec<Made>, Vec<Made>),
    counts: &[u32],
    started: Stamp,
) -> (Published, Received) {
    let mut subscribers = Subscribers::new(context, subscribers, counts);
    let mut publishers = Publishers::new(context, publishers, started);
    // What came is stamped before more is sent.
    let sides: &mut [&mut dyn rounds::Side<'scope>] = &mut [&mut subscribers, &mut publishers];
    let (cpu, turns) = serve(scope, context, sides, Waiter::eager());
    let published = Published {
        publishers: publishers.end(),
        cpu,
        turns: turns.clone(),
    };
    let received = Received {
        subscribers: subscribers.end(),
        cpu,
        turns,
    };
    (published, received)
}
