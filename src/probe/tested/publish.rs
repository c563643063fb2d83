//! Publishers by rumqttc: a thread that hands messages over when they are due, and one that runs the
//! event loops.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, Outgoing, Packet, StateError};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, LocalSet};

use crate::probe::clock::{self, Stamp};
use crate::probe::line::{Context, FIRST_PAUSE, LONGEST_PAUSE};
use crate::probe::load::CpuTimes;
use crate::probe::payload::Payloads;
use crate::probe::publisher::{Published, PublisherResult, SENTINEL_AGAIN_NS};
use crate::probe::record::MessageRecord;
use crate::probe::turns::Turns;
use crate::probe::wait::{self, NAP_NS, Waiter};

use super::events::Book;
use super::{Opened, failure, qos_of};

/// How long to wait before a full queue is tried again.
const FULL: Duration = Duration::from_micros(50);
/// Between two looks at whether it is over. Nothing waits for it that is measured.
pub(super) const LOOK: Duration = Duration::from_millis(2);
/// How long an event loop may take to say goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// What both threads know of one publisher.
#[derive(Debug, Default)]
struct Shared {
    /// Messages that were told of.
    told: AtomicU32,
    in_flight: AtomicU32,
}

/// What the event loop of one publisher gave.
#[derive(Debug)]
struct Driven {
    book: Book,
    /// Messages that went out.
    written: u64,
    /// Acknowledgements of nothing in flight.
    unexpected: u64,
    reconnects: u32,
    resumed: u32,
    lost: Option<String>,
}

/// Runs the publishers of a cell, as [`publisher::run`](crate::probe::publisher::run) does.
pub(in crate::probe) fn publish(context: &Context<'_>, opened: Opened, start: Stamp) -> Published {
    wait::tune_thread();
    let before = CpuTimes::of_this_thread();
    let Opened { runtime, clients } = opened;
    let (requests, events): (Vec<AsyncClient>, Vec<EventLoop>) = clients
        .into_iter()
        .map(|client| (client.requests, client.events))
        .unzip();
    let mut pacers: Vec<Pacer> = (0..)
        .zip(requests)
        .map(|(number, requests)| Pacer::new(context, number, requests, start))
        .collect();
    let shared: Vec<Arc<Shared>> = pacers.iter().map(|_| Arc::default()).collect();
    let counts: Vec<usize> = pacers.iter().map(|pacer| pacer.records.len()).collect();
    let is_over = AtomicBool::new(false);
    let (driven, driving_cpu) = thread::scope(|scope| {
        let driving = thread::Builder::new()
            .name("rumqttc".into())
            .spawn_scoped(scope, || {
                drive_all(context, runtime, events, (&counts, &shared), &is_over)
            });
        if driving.is_ok() {
            pace(context, &mut pacers, &shared);
        }
        is_over.store(true, Ordering::Release);
        let joined = driving.ok().and_then(|driving| driving.join().ok());
        joined.unwrap_or_default()
    });
    let pacing_cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    Published {
        publishers: pacers
            .into_iter()
            .zip(driven)
            .map(|(pacer, driven)| pacer.end(driven))
            .collect(),
        cpu: pacing_cpu.zip(driving_cpu).map(|(a, b)| a.plus(b)),
        // Its event loop is its own affair.
        turns: Turns::default(),
    }
}

/// Hands over what is due until everything is answered or the cell is over.
fn pace(context: &Context<'_>, pacers: &mut [Pacer], shared: &[Arc<Shared>]) {
    let mut payloads = Payloads::new(context.plan.tag(), context.plan.payload_bytes);
    let mut waiter = Waiter::default();
    loop {
        let now = clock::now();
        let mut until = now.plus(NAP_NS);
        let mut is_full = false;
        let mut is_answered = true;
        for (pacer, shared) in pacers.iter_mut().zip(shared) {
            is_full |= pacer.pump(context, &mut payloads, shared, now);
            until = until.min(pacer.wake_at());
            is_answered &= pacer.done && shared.in_flight.load(Ordering::Acquire) == 0;
        }
        if context.is_over() || (is_answered && context.drained.load(Ordering::Relaxed)) {
            break;
        }
        if is_full {
            thread::sleep(FULL);
        } else {
            waiter.wait(&mut [], clock::now(), until);
        }
    }
    for pacer in pacers {
        let _ = pacer.requests.try_disconnect();
    }
}

/// One publisher's schedule.
struct Pacer {
    number: u32,
    topic: String,
    qos: u8,
    closed_loop: bool,
    requests: AsyncClient,
    records: Vec<MessageRecord>,
    next: usize,
    /// Its queue was full when a message was due; until when.
    stalled: bool,
    stall_end: Option<Stamp>,
    /// When anything last went on.
    moved: Stamp,
    told: u32,
    done: bool,
    sentinel: Option<Stamp>,
}

impl Pacer {
    fn new(context: &Context<'_>, number: u32, requests: AsyncClient, start: Stamp) -> Self {
        let plan = context.plan;
        let offsets = plan.offsets(number).into_iter();
        Self {
            number,
            topic: plan.topic(number),
            qos: plan.qos,
            closed_loop: plan.rate.is_none(),
            requests,
            records: offsets
                .map(|offset| MessageRecord::new(start.plus(offset)))
                .collect(),
            next: 0,
            stalled: false,
            stall_end: None,
            moved: start,
            told: 0,
            done: false,
            sentinel: None,
        }
    }

    fn is_due(&self, now: Stamp) -> bool {
        let record = self.records.get(self.next);
        record.is_some_and(|record| self.closed_loop || record.planned <= now)
    }

    fn wake_at(&self) -> Stamp {
        match self.records.get(self.next) {
            // A full queue is looked at again soon anyway.
            Some(record) if !self.stalled => record.planned,
            _ => Stamp::from_nanos(i64::MAX),
        }
    }

    /// Hands over what is due; gives whether the queue is full.
    fn pump(
        &mut self,
        context: &Context<'_>,
        payloads: &mut Payloads,
        shared: &Shared,
        now: Stamp,
    ) -> bool {
        while self.is_due(now) && !self.done {
            if !self.hand_over(payloads) {
                break;
            }
            self.moved = now;
        }
        let told = shared.told.load(Ordering::Acquire);
        if told != self.told {
            (self.told, self.moved) = (told, now);
        }
        let last_due = self.records.last().map_or(now, |record| record.planned);
        let all_told = self.next == self.records.len() && told as usize >= self.next;
        // Nobody answers any more: what is left is not written.
        let patience = now.since(self.moved.max(last_due)) > context.plan.drain_ns;
        if !self.done && (all_told || patience) {
            self.done = true;
            context.last_ns.fetch_max(now.as_nanos(), Ordering::Relaxed);
            context.done.fetch_add(1, Ordering::Relaxed);
        }
        if self.done {
            self.close(context, payloads, now);
        }
        self.stalled && !self.done
    }

    fn hand_over(&mut self, payloads: &mut Payloads) -> bool {
        let payload = payloads.message(self.number, self.next as u32).to_vec();
        let stamp = clock::now();
        let topic = self.topic.as_str();
        let qos = qos_of(self.qos);
        if self
            .requests
            .try_publish(topic, qos, false, payload)
            .is_err()
        {
            self.stalled = true;
            return false;
        }
        if std::mem::take(&mut self.stalled) {
            self.stall_end = Some(stamp);
        }
        let record = &mut self.records[self.next];
        if self.closed_loop {
            record.planned = stamp;
        } else {
            record.blocked = self.stall_end.is_some_and(|end| record.planned <= end);
        }
        record.sent = Some(stamp);
        self.next += 1;
        true
    }

    /// Behind the last message: the sentinel, until it has been seen.
    fn close(&mut self, context: &Context<'_>, payloads: &Payloads, now: Stamp) {
        let again = |sent: Stamp| now.since(sent) >= SENTINEL_AGAIN_NS;
        if context.drained.load(Ordering::Relaxed) || !self.sentinel.is_none_or(again) {
            return;
        }
        self.sentinel = Some(now);
        let payload = payloads.sentinel(self.number).to_vec();
        let topic = self.topic.as_str();
        // With a full queue there is another time.
        let _ = (self.requests).try_publish(topic, qos_of(self.qos), false, payload);
    }

    fn end(mut self, driven: Driven) -> PublisherResult {
        for (record, told) in self.records.iter_mut().zip(&driven.book.told) {
            record.written = told.written;
            record.puback = told.puback;
            record.pubrec = told.pubrec;
            record.pubcomp = told.pubcomp;
            record.resent = told.resent;
        }
        PublisherResult {
            records: self.records,
            reconnects: driven.reconnects,
            resumed: driven.resumed,
            lost: driven.lost,
            unexpected_acknowledgements: driven.unexpected,
            foreign: 0,
            publishes: driven.book.publishes(),
        }
    }
}

/// Polls the event loops, each in a task of its own, until they have said goodbye.
fn drive_all(
    context: &Context<'_>,
    runtime: Runtime,
    events: Vec<EventLoop>,
    (counts, shared): (&[usize], &[Arc<Shared>]),
    is_over: &AtomicBool,
) -> (Vec<Driven>, Option<CpuTimes>) {
    let before = CpuTimes::of_this_thread();
    let driven: Vec<Rc<RefCell<Driven>>> = counts
        .iter()
        .map(|count| Rc::new(RefCell::new(Driven::new(*count, context.plan.window))))
        .collect();
    let tasks = LocalSet::new();
    let goodbye = Rc::new(Cell::new(false));
    let running: Vec<JoinHandle<()>> = (driven.iter().zip(shared).zip(events))
        .map(|((driven, shared), events)| {
            let task = drive(
                events,
                Rc::clone(driven),
                Arc::clone(shared),
                Rc::clone(&goodbye),
            );
            tasks.spawn_local(task)
        })
        .collect();
    runtime.block_on(tasks.run_until(async {
        let mut since = None;
        while running.iter().any(|task| !task.is_finished()) {
            tokio::time::sleep(LOOK).await;
            let written: u64 = driven.iter().map(|driven| driven.borrow().written).sum();
            context.written.store(written, Ordering::Relaxed);
            goodbye.set(is_over.load(Ordering::Acquire));
            if goodbye.get() && since.get_or_insert_with(Instant::now).elapsed() > GOODBYE {
                break;
            }
        }
    }));
    // What still runs lets go of what it told.
    drop((running, tasks, runtime));
    let cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    let driven = driven
        .into_iter()
        .filter_map(|driven| Some(Rc::try_unwrap(driven).ok()?.into_inner()))
        .collect();
    (driven, cpu)
}

/// Polls one event loop, which connects again by itself.
async fn drive(
    mut events: EventLoop,
    driven: Rc<RefCell<Driven>>,
    shared: Arc<Shared>,
    goodbye: Rc<Cell<bool>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match events.poll().await {
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(event) => {
                let stamp = clock::now();
                let mut driven = driven.borrow_mut();
                if let Event::Incoming(Packet::ConnAck(connack)) = &event {
                    pause = FIRST_PAUSE;
                    driven.reconnects += 1;
                    driven.resumed += u32::from(connack.session_present);
                }
                driven.written += u64::from(driven.book.take(&event, stamp));
                shared.told.store(driven.book.told_of(), Ordering::Release);
                let in_flight = driven.book.in_flight();
                shared.in_flight.store(in_flight, Ordering::Release);
            }
            Err(_) if goodbye.get() => return,
            Err(error) => {
                driven.borrow_mut().lose(&error, &events);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Driven {
    fn new(messages: usize, window: u16) -> Self {
        Self {
            book: Book::new(messages, window),
            written: 0,
            unexpected: 0,
            reconnects: 0,
            resumed: 0,
            lost: None,
        }
    }

    fn lose(&mut self, error: &ConnectionError, events: &EventLoop) {
        if let ConnectionError::MqttState(StateError::Unsolicited(_)) = error {
            self.unexpected += 1;
        }
        self.book.lose(&events.pending);
        self.lost.get_or_insert_with(|| failure(error).to_string());
    }
}
