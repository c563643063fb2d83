//! Subscribers by rumqttc: one thread runs their event loops and notes what comes out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rumqttc::{AsyncClient, Event, Outgoing, Packet, QoS};
use tokio::task::{JoinHandle, LocalSet};

use crate::probe::clock;
use crate::probe::line::{Context, FIRST_PAUSE, LONGEST_PAUSE};
use crate::probe::load::CpuTimes;
use crate::probe::payload::Payloads;
use crate::probe::subscriber::{Expected, HANDSHAKES_NS, Ledger, Received, drained_since};
use crate::probe::turns::Turns;
use crate::probe::wait;

use super::publish::{GOODBYE, LOOK};
use super::{Client, Opened, failure, qos_of, welcome};

/// What all event loops need.
struct Common {
    expected: Expected,
    payloads: Payloads,
    filter: String,
    qos: QoS,
    goodbye: Cell<bool>,
}

/// What one event loop notes.
struct Noted {
    ledger: Ledger,
    /// QoS 2 messages that were not yet released and completed.
    open: u32,
}

/// Runs the subscribers of a cell, as [`subscriber::run`](crate::probe::subscriber::run) does.
pub(in crate::probe) fn subscribe(
    context: &Context<'_>,
    opened: Opened,
    counts: &[u32],
) -> Received {
    wait::tune_thread();
    let before = CpuTimes::of_this_thread();
    let plan = context.plan;
    let common = Rc::new(Common {
        expected: Expected::new(plan, counts),
        payloads: Payloads::new(plan.tag(), plan.payload_bytes),
        filter: plan.filter(),
        qos: qos_of(plan.subscriber_qos),
        goodbye: Cell::new(false),
    });
    let Opened { runtime, clients } = opened;
    let tasks = LocalSet::new();
    let (mut noted, mut requests, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for client in clients {
        let state = Rc::new(RefCell::new(Noted {
            ledger: Ledger::new(
                &common.expected,
                welcome(client.session_present),
                client.granted,
            ),
            open: 0,
        }));
        requests.push(client.requests.clone());
        running.push(tasks.spawn_local(listen(client, Rc::clone(&state), Rc::clone(&common))));
        noted.push(state);
    }
    runtime.block_on(tasks.run_until(attend(context, &common, &noted, &requests, &running)));
    // What still runs lets go of what it noted.
    drop((running, tasks, runtime));
    let cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    let ledgers = noted
        .into_iter()
        .filter_map(|noted| Some(Rc::try_unwrap(noted).ok()?.into_inner().ledger));
    Received {
        subscribers: ledgers.map(Ledger::end).collect(),
        cpu,
        turns: Turns::default(),
    }
}

/// Waits until all has come or the cell is over, and says goodbye.
async fn attend(
    context: &Context<'_>,
    common: &Common,
    noted: &[Rc<RefCell<Noted>>],
    requests: &[AsyncClient],
    running: &[JoinHandle<()>],
) {
    let total: u64 = (noted.iter())
        .map(|noted| u64::from(noted.borrow().ledger.missing()))
        .sum();
    loop {
        tokio::time::sleep(LOOK).await;
        let states: Vec<_> = noted.iter().map(|noted| noted.borrow()).collect();
        let missing: u64 = (states.iter())
            .map(|state| u64::from(state.ledger.missing()))
            .sum();
        context.received.store(total - missing, Ordering::Relaxed);
        let drained = drained_since(context, states.iter().map(|state| &state.ledger));
        let answered = drained.is_some_and(|since| {
            clock::now().since(since) > HANDSHAKES_NS || states.iter().all(|state| state.open == 0)
        });
        if answered || context.is_over() {
            break;
        }
    }
    common.goodbye.set(true);
    for requests in requests {
        let _ = requests.try_disconnect();
    }
    let since = Instant::now();
    while running.iter().any(|task| !task.is_finished()) && since.elapsed() < GOODBYE {
        tokio::time::sleep(LOOK).await;
    }
}

/// Polls one event loop, which connects again by itself.
async fn listen(client: Client, noted: Rc<RefCell<Noted>>, common: Rc<Common>) {
    let Client {
        requests,
        mut events,
        ..
    } = client;
    let mut pause = FIRST_PAUSE;
    loop {
        match events.poll().await {
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(event) => {
                if let Event::Incoming(Packet::ConnAck(_)) = &event {
                    pause = FIRST_PAUSE;
                }
                take(&event, &requests, &mut noted.borrow_mut(), &common);
            }
            Err(_) if common.goodbye.get() => return,
            Err(error) => {
                let why = || failure(&error).to_string();
                (noted.borrow_mut().ledger.result.lost).get_or_insert_with(why);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn take(event: &Event, requests: &AsyncClient, noted: &mut Noted, common: &Common) {
    let result = &mut noted.ledger.result;
    match event {
        Event::Incoming(Packet::Publish(publish)) => {
            let stamp = clock::now();
            let message = (publish.topic.as_bytes(), publish.payload.as_ref());
            let (expected, payloads) = (&common.expected, &common.payloads);
            let at = noted.ledger.place(message, expected, payloads);
            // Copies of a QoS 2 message come out too: rumqttc does not keep them back.
            let qos = publish.qos as u8;
            noted.ledger.arrive(at, qos, stamp, expected);
            noted.open += u32::from(qos == 2);
        }
        Event::Outgoing(Outgoing::PubComp(_)) => noted.open = noted.open.saturating_sub(1),
        Event::Incoming(Packet::ConnAck(connack)) => {
            result.reconnects += 1;
            result.resumed += u32::from(connack.session_present);
            if !connack.session_present {
                noted.open = 0;
                // The queue of a subscriber has room.
                let _ = requests.try_subscribe(common.filter.clone(), common.qos);
            }
        }
        _ => {}
    }
}
