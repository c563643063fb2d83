//! A client's line to the broker: there, or being made again. It is made on a thread of its own,
//! so that the other clients of a measuring thread go on.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::error::LinkError;
use super::handshake::{self, Introduction, Welcome};
use super::link::Link;
use super::plan::CellPlan;
use super::target::{Connector, Dialect, Role};

/// What the threads of one cell share.
pub(super) struct Context<'c> {
    pub(super) plan: &'c CellPlan,
    pub(super) dialect: &'c Dialect,
    pub(super) connector: &'c dyn Connector,
    /// Somebody wants the cell to end at once.
    pub(super) stop: AtomicBool,
    /// Every receiver has what will come.
    pub(super) drained: AtomicBool,
    /// Since when, as a stamp.
    pub(super) drained_ns: AtomicI64,
    /// Waiting is over.
    pub(super) finish: AtomicBool,
    /// Publishers that have written their last message, or given up.
    pub(super) done: AtomicU64,
    /// When the last message was written or was due, whichever is later, as a stamp.
    pub(super) last_ns: AtomicI64,
    pub(super) written: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Context<'_> {
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.finish.load(Ordering::Relaxed)
    }
}

/// A line that was made: the connection, what the broker said, and of a subscriber the QoS that
/// was granted where it subscribed (again).
#[derive(Debug)]
pub(super) struct Made {
    pub(super) link: Link,
    pub(super) welcome: Welcome,
    pub(super) granted: Option<u8>,
}

/// A client's line.
#[derive(Debug)]
pub(super) enum Line {
    Up(Box<Link>),
    /// The first new try's outcome.
    Making(Receiver<Result<Made, LinkError>>),
    /// It could not be made again.
    Dead,
}

impl Line {
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match self {
            Self::Up(link) => Some(link),
            _ => None,
        }
    }

    /// What became of a line that is being made, if it is decided.
    pub(super) fn made(&mut self) -> Option<Result<Made, LinkError>> {
        let Self::Making(receiver) = self else {
            return None;
        };
        match receiver.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(LinkError::Closed { reason: None })),
        }
    }
}

/// Connects a client, and subscribes if it is a subscriber without a session.
pub(super) fn connect(
    context: &Context<'_>,
    role: Role,
    clean_start: bool,
) -> Result<Made, LinkError> {
    let plan = context.plan;
    let introduction = introduction(plan, role, clean_start);
    let (mut link, welcome) =
        handshake::open(context.connector, role, context.dialect, &introduction)?;
    let mut granted = None;
    if matches!(role, Role::Subscriber(_)) && !welcome.session_present {
        let qos = plan.subscriber_qos;
        granted = Some(handshake::subscribe(
            &mut link,
            context.dialect,
            &plan.filter(),
            qos,
        )?);
    }
    Ok(Made {
        link,
        welcome,
        granted,
    })
}

fn introduction(plan: &CellPlan, role: Role, clean_start: bool) -> Introduction {
    let client_id = match role {
        Role::Publisher(number) => plan.client_id('p', number),
        Role::Subscriber(number) => plan.client_id('s', number),
        Role::Control => plan.client_id('c', 0),
    };
    // Some room for properties that a broker may add.
    let longest = usize::try_from(plan.packet_bytes()).unwrap_or(usize::MAX);
    Introduction {
        client_id,
        clean_start,
        keep_session: plan.keep_session,
        longest_packet: longest.saturating_add(16 << 10),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Makes a lost line again, with growing pauses between the tries, for as long as the plan waits
/// for the last messages.
pub(super) fn reconnect<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    role: Role,
) -> Line {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        let patience = Duration::from_nanos(context.plan.drain_ns.unsigned_abs());
        let result = loop {
            thread::sleep(pause);
            let result = connect(context, role, !context.plan.keep_session);
            let over = context.is_over() || began.elapsed() > patience;
            if result.is_ok() || over {
                break result;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        // Nobody waits for it any more if the cell has ended.
        let _ = sender.send(result);
    };
    match thread::Builder::new()
        .name("reconnect".into())
        .spawn_scoped(scope, work)
    {
        Ok(_) => Line::Making(receiver),
        Err(_) => Line::Dead,
    }
}

/// Connects and goes again.
pub(super) fn knock(
    plan: &CellPlan,
    dialect: &Dialect,
    connector: &dyn Connector,
) -> Result<(), LinkError> {
    let mut introduction = introduction(plan, Role::Control, true);
    introduction.keep_session = false;
    let (mut link, _) = handshake::open(connector, Role::Control, dialect, &introduction)?;
    handshake::write_disconnect(&mut link, dialect.level, true);
    link.flush(|_| {})
}

/// Takes a session away that was kept: what a broker keeps for a client that never comes back
/// takes its memory.
pub(super) fn end_session(context: &Context<'_>, role: Role) {
    let plan = context.plan;
    let mut introduction = introduction(plan, role, true);
    introduction.keep_session = false;
    // The session is gone with the CONNECT that asks for a clean one.
    if let Ok((mut link, _)) =
        handshake::open(context.connector, role, context.dialect, &introduction)
    {
        handshake::write_disconnect(&mut link, context.dialect.level, true);
        let _ = link.flush(|_| {});
    }
}
