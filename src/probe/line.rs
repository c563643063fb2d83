//! A client's line to the broker: there, or being made again. It is made on a thread of its own,
//! so that the other clients of a measuring thread go on.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crate::mqtt::{ProtocolLevel, write};

use super::clock::Stamp;
use super::error::LinkError;
use super::handshake::{self, Introduction, KEEP_ALIVE_S, Welcome};
use super::link::Link;
use super::plan::CellPlan;
use super::target::{Connector, Dialect, Role};

/// After so long without a packet the broker is told that the client is there.
const PING_AFTER_NS: i64 = KEEP_ALIVE_S as i64 * 1_000_000_000 / 2;

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

/// One client's line, with what happened to it.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) role: Role,
    pub(super) level: ProtocolLevel,
    pub(super) line: Line,
    /// A line that was made, to be taken up by [`Wire::mend`].
    made: Option<Result<Made, LinkError>>,
    mending: bool,
    /// How often it was made again.
    pub(super) reconnects: u32,
    /// Of these, how often the broker had the session still.
    pub(super) resumed: u32,
    /// Why it was lost, the first time.
    pub(super) lost: Option<String>,
}

impl Wire {
    pub(super) fn new(context: &Context<'_>, role: Role, link: Link) -> Self {
        Self {
            role,
            level: context.dialect.level,
            line: Line::Up(Box::new(link)),
            made: None,
            mending: false,
            reconnects: 0,
            resumed: 0,
            lost: None,
        }
    }

    /// The number of its client.
    #[inline]
    pub(super) const fn number(&self) -> u32 {
        match self.role {
            Role::Publisher(number) | Role::Subscriber(number) => number,
            Role::Control => 0,
        }
    }

    pub(super) fn socket(&mut self) -> Option<Arc<TcpStream>> {
        Some(Arc::clone(self.line.link()?.socket()))
    }

    #[inline]
    pub(super) fn wants_write(&mut self) -> bool {
        self.line.link().is_some_and(|link| link.wants_write())
    }

    /// Whether it was lost, or is there again and has to be taken up.
    pub(super) const fn needs_mending(&self) -> bool {
        self.mending
    }

    pub(super) const fn is_making(&self) -> bool {
        matches!(self.line, Line::Making(_))
    }

    pub(super) const fn is_dead(&self) -> bool {
        matches!(self.line, Line::Dead)
    }

    /// Whether a line that is being made is decided.
    #[inline]
    pub(super) fn look(&mut self) {
        if let Some(made) = self.line.made() {
            self.made = Some(made);
            self.mending = true;
        }
    }

    /// A sign of life when nothing was written for long; gives whether one is to be written.
    #[inline]
    pub(super) fn ping(&mut self, now: Stamp) -> bool {
        match self.line.link() {
            Some(link)
                if now.since(link.last_write()) > PING_AFTER_NS && link.outbox.is_empty() =>
            {
                write::pingreq(link.outbox.packet());
                true
            }
            _ => false,
        }
    }

    pub(super) fn lose(&mut self, error: &LinkError) {
        self.lost.get_or_insert_with(|| error.to_string());
        self.line = Line::Dead;
        self.mending = true;
    }

    /// Has a lost line made again, or gives the one that was made: the caller puts its link up.
    pub(super) fn mend<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
    ) -> Option<Made> {
        if !std::mem::take(&mut self.mending) {
            return None;
        }
        match self.made.take() {
            None => {
                if self.is_dead() && !context.is_over() {
                    self.line = reconnect(scope, context, self.role);
                }
                None
            }
            Some(Err(error)) => {
                self.lost.get_or_insert_with(|| error.to_string());
                self.line = Line::Dead;
                None
            }
            Some(Ok(made)) => {
                self.reconnects += 1;
                self.resumed += u32::from(made.welcome.session_present);
                Some(made)
            }
        }
    }

    /// Says goodbye.
    pub(super) fn end(&mut self) {
        if let Some(link) = self.line.link() {
            handshake::write_disconnect(link, self.level, true);
            let _ = link.flush(|_| {});
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

/// From the first to the longest pause between tries to connect again.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connects with growing pauses between the tries, for as long as the plan waits for the last
/// messages: what disturbs the connections may be at work.
pub(super) fn connect_patiently(
    context: &Context<'_>,
    role: Role,
    clean_start: bool,
) -> Result<Made, LinkError> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let patience = Duration::from_nanos(context.plan.drain_ns.unsigned_abs());
    loop {
        let result = connect(context, role, clean_start);
        if result.is_ok() || context.is_over() || began.elapsed() > patience {
            return result;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Makes a lost line again.
fn reconnect<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    role: Role,
) -> Line {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        thread::sleep(FIRST_PAUSE);
        let result = connect_patiently(context, role, !context.plan.keep_session);
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
