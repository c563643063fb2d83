//! One cell, measured: clients connect, publish and receive, and what is left is waited for.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

use crate::results::Outcome;

use super::clock::{self, Epoch, Stamp};
use super::error::{CellError, LinkError};
use super::handshake::Welcome;
use super::line::{self, Context, Made};
use super::load::CpuTimes;
use super::plan::{CellPlan, ClientKind};
use super::publisher::PublisherResult;
use super::record::{MessageRecord, Reception, outcome};
use super::subscriber::SubscriberResult;
use super::target::{Connector, Dialect, Role, is_local_address};
use super::tested;
use super::threads;

/// What a cell gave.
#[derive(Debug)]
pub struct CellResult {
    /// What was planned.
    pub plan: CellPlan,
    /// What the publishers did.
    pub publishers: Vec<PublisherResult>,
    /// What the subscribers got.
    pub subscribers: Vec<SubscriberResult>,
    /// What the broker said of itself to the first publisher.
    pub welcome: Welcome,
    /// Messages in flight that were allowed: the plan's window, or the broker's if that is lower.
    pub window: u16,
    /// When the schedule began.
    pub started: Stamp,
    /// When everything was over.
    pub ended: Stamp,
    /// By how much the system's clock was set meanwhile, in nanoseconds.
    pub clock_step_ns: Option<i64>,
    /// Processor time of the publishing thread.
    pub publishing_cpu: Option<CpuTimes>,
    /// Processor time of the subscribing thread.
    pub subscribing_cpu: Option<CpuTimes>,
    /// How long 99 % of the publishing thread's turns took at most, in nanoseconds.
    pub publishing_lag: Option<i64>,
    /// Those of the subscribing thread.
    pub subscribing_lag: Option<i64>,
    /// Whether clients and broker (or what stands before it) share a machine.
    pub shares_host: bool,
    /// Whether every message had come, or a sentinel behind it, when waiting ended.
    pub drained: bool,
}

/// One message and one of its receivers.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'r> {
    /// The publisher's number, from 0.
    pub publisher: u32,
    /// The subscriber's number, from 0.
    pub subscriber: u32,
    /// The message's number within its publisher, warm-up included, from 0.
    pub index: u32,
    /// Its number without warm-up, from 0.
    pub sequence: u32,
    /// The sending side.
    pub message: &'r MessageRecord,
    /// The receiving side.
    pub reception: &'r Reception,
    /// What became of it.
    pub outcome: Outcome,
}

impl Sample<'_> {
    /// `received` − `planned` in nanoseconds: what somebody saw who had wanted to send it then.
    #[must_use]
    pub fn response(&self) -> Option<i64> {
        Some(self.reception.received?.since(self.message.planned))
    }

    /// `received` − `sent` in nanoseconds: what network and broker took.
    #[must_use]
    pub fn service(&self) -> Option<i64> {
        Some(self.reception.received?.since(self.message.sent?))
    }
}

impl CellResult {
    /// Every message with every receiver, warm-up left out: by publisher, subscriber, sequence.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        let mut first = 0;
        let publishers = (0_u32..)
            .zip(&self.publishers)
            .map(move |(number, result)| {
                let begin = first;
                first += result.records.len();
                (number, begin, result)
            });
        publishers.flat_map(move |(publisher, begin, result)| {
            (0_u32..)
                .zip(&self.subscribers)
                .flat_map(move |(subscriber, receptions)| {
                    let end = begin + result.records.len();
                    let receptions = receptions.receptions.get(begin..end).unwrap_or_default();
                    self.pairs(publisher, subscriber, &result.records, receptions)
                })
        })
    }

    fn pairs<'r>(
        &'r self,
        publisher: u32,
        subscriber: u32,
        records: &'r [MessageRecord],
        receptions: &'r [Reception],
    ) -> impl Iterator<Item = Sample<'r>> {
        let (warm_up, qos) = (self.plan.warm_up, self.plan.qos);
        let deadline = self.plan.deadline_ns;
        let pairs = (0_u32..).zip(records.iter().zip(receptions));
        pairs
            .skip(warm_up as usize)
            .map(move |(index, (message, reception))| Sample {
                publisher,
                subscriber,
                index,
                sequence: index - warm_up,
                message,
                reception,
                outcome: outcome(message, reception, qos, deadline),
            })
    }

    /// The sending sides without the warm-up.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRecord> {
        let warm_up = self.plan.warm_up as usize;
        self.publishers
            .iter()
            .flat_map(move |publisher| publisher.records.iter().skip(warm_up))
    }
}

/// How a cell is coming along; read by whoever shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellProgress {
    /// Messages to write, warm-up included.
    pub total: u64,
    /// Messages written.
    pub written: u64,
    /// Messages received, counted at every subscriber.
    pub received: u64,
}

/// From connecting to the first message.
const LEAD_NS: i64 = 5_000_000;

/// Measures one cell. `watch` is called every now and then, and ends the cell by answering
/// `false`.
///
/// # Errors
///
/// No client can connect, the broker does not take what the plan asks for, or `watch` ended it.
pub fn run_cell(
    plan: &CellPlan,
    dialect: &Dialect,
    connector: &dyn Connector,
    watch: &mut dyn FnMut(CellProgress) -> bool,
) -> Result<CellResult, CellError> {
    plan.check()?;
    let context = Context {
        plan,
        dialect,
        connector,
        stop: AtomicBool::new(false),
        drained: AtomicBool::new(false),
        drained_ns: AtomicI64::new(0),
        finish: AtomicBool::new(false),
        done: AtomicU64::new(0),
        last_ns: AtomicI64::new(0),
        written: AtomicU64::new(0),
        received: AtomicU64::new(0),
    };
    let subscribers = connect_all(&context, plan.subscribers, Role::Subscriber)?;
    let publishers = connect_all(&context, plan.publishers, Role::Publisher)?;
    let Some(welcome) = publishers.welcome() else {
        return Err(CellError::Plan("no publisher".into()));
    };
    check_welcome(plan, &welcome)?;
    let shares_host = publishers.shares_host(&context);
    let result = thread::scope(|scope| {
        let epoch = Epoch::read();
        let started = clock::now().plus(LEAD_NS);
        let (published, received) =
            threads::measure(scope, &context, (publishers, subscribers), started, watch)?;
        let ended = clock::now();
        Ok(CellResult {
            plan: plan.clone(),
            publishers: published.publishers,
            subscribers: received.subscribers,
            welcome,
            window: plan.window.min(welcome.receive_maximum),
            started,
            ended,
            clock_step_ns: epoch.step(Epoch::read(), ended.since(started)),
            publishing_cpu: published.cpu,
            subscribing_cpu: received.cpu,
            publishing_lag: published.turns.p99(),
            subscribing_lag: received.turns.p99(),
            shares_host,
            drained: context.drained.load(Ordering::Acquire),
        })
    });
    if plan.keep_session {
        (0..plan.publishers).for_each(|n| line::end_session(&context, Role::Publisher(n)));
        (0..plan.subscribers).for_each(|n| line::end_session(&context, Role::Subscriber(n)));
    }
    result
}

/// Connects once and goes again: whether the broker lets us in.
///
/// # Errors
///
/// Why it does not.
pub fn knock(
    plan: &CellPlan,
    dialect: &Dialect,
    connector: &dyn Connector,
) -> Result<(), CellError> {
    line::knock(plan, dialect, connector).map_err(|error| CellError::Connect {
        client: Role::Control.to_string(),
        error,
    })
}

/// The clients of one side, connected.
pub(super) enum Clients {
    Measuring(Vec<Made>),
    Rumqttc(tested::Opened),
}

impl Clients {
    /// Whether the other end of the first of them is on this machine.
    fn shares_host(&self, context: &Context<'_>) -> bool {
        match self {
            Self::Measuring(made) => made.first().is_some_and(|made| made.link.is_local()),
            Self::Rumqttc(_) => context.connector.address().is_some_and(is_local_address),
        }
    }

    /// What the broker said of itself to the first of them.
    fn welcome(&self) -> Option<Welcome> {
        match self {
            Self::Measuring(made) => made.first().map(|made| made.welcome),
            Self::Rumqttc(opened) => opened.welcome(),
        }
    }
}

fn connect_all(
    context: &Context<'_>,
    count: u32,
    role: fn(u32) -> Role,
) -> Result<Clients, CellError> {
    if context.plan.client == ClientKind::Rumqttc {
        return tested::open(context, count, role).map(Clients::Rumqttc);
    }
    let made: Result<Vec<Made>, CellError> = (0..count)
        .map(|number| {
            // The first connection begins a session of its own, whatever was there before: but a
            // clean start at level 4 would not keep it, and the identifiers are new to the broker.
            let clean_start = !context.plan.keep_session || context.dialect.level.is_v5();
            let connect = if context.plan.disturbed {
                line::connect_patiently
            } else {
                line::connect
            };
            connect(context, role(number), clean_start).map_err(|error| CellError::Connect {
                client: role(number).to_string(),
                error,
            })
        })
        .collect();
    made.map(Clients::Measuring)
}

/// Whether the broker takes what the plan asks for.
fn check_welcome(plan: &CellPlan, welcome: &Welcome) -> Result<(), CellError> {
    if plan.qos > welcome.maximum_qos {
        return Err(CellError::QosNotSupported {
            qos: plan.qos,
            maximum: welcome.maximum_qos,
        });
    }
    match welcome.maximum_packet {
        Some(maximum) if plan.packet_bytes() > u64::from(maximum) => {
            Err(CellError::PayloadTooLarge {
                payload: plan.payload_bytes,
                packet: plan.packet_bytes(),
                maximum,
            })
        }
        _ => Ok(()),
    }
}

/// Why a client could not connect, for those who look at the kind.
impl CellError {
    /// The connection's own error, where there was one.
    #[must_use]
    pub const fn link_error(&self) -> Option<&LinkError> {
        match self {
            Self::Connect { error, .. } => Some(error),
            _ => None,
        }
    }
}
