//! Pairs what reached a broker with what left it.

mod choose;
mod connections;
mod held;
mod inbound;
mod outbound;
mod time;

pub use connections::TopicHint;

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::time::{TimeDelta, Timestamp};

use super::broker::Brokers;
use super::message::{Expectation, Message};
use super::party::Parties;
use super::queue::ByKey;
use super::slab::{NONE, Slab};
use super::topic::Topics;
use super::wills::{WillKey, Wills};
use super::{DeliveryLimits, DeliveryOutcome, DroppedDeliveries, Seen};

/// How many messages that nobody was expected to get are remembered for a moment.
const RECENT: usize = 1024;
/// How many messages without a topic, or candidates for a packet without one, are looked at.
const TOPICLESS: usize = 1024;
/// A payload that identifies a message without its topic has at least this many bytes.
const TELLING_PAYLOAD: u32 = 16;
/// How far ahead of a receiver's place in a queue is looked.
const LOOK_AHEAD: usize = 64;
/// How many receivers ahead of the one that is looked at are asked for.
const AHEAD: usize = 8;
/// Messages that are remembered per receiver and topic, in case they turn out to be lost.
const MOST_UNDECIDED: usize = 64;

/// What is known of an open connection.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Number of the connection; 0 for none.
    number: u64,
    broker: u32,
    party: u32,
    /// Not all its subscriptions are known.
    unknown: bool,
    /// It counts as uncertain at its broker.
    uncertain: bool,
    /// It has a will.
    will: bool,
}

impl Slot {
    const EMPTY: Self = Self {
        number: 0,
        broker: NONE,
        party: NONE,
        unknown: false,
        uncertain: false,
        will: false,
    };
}

/// A message that nobody was expected to get, for the case that somebody gets it all the same.
#[derive(Clone, Copy, Debug)]
struct Recent {
    key: u64,
    /// Serial number, in the order of the capture.
    id: u64,
    number: Option<u64>,
    publisher: u32,
    publisher_serial: u32,
    publish: Timestamp,
    whole: Timestamp,
    qos: u8,
    at_broker: bool,
    /// The receiver that got it last.
    taken_by: u32,
}

/// A packet's message, found.
#[derive(Clone, Copy, Debug)]
struct Found {
    place: u32,
    /// Whose expectation it meets; [`NONE`] for nobody's.
    party: u32,
    candidates: u8,
}

/// Whether a packet can be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// No more: it was delivered, or nobody waits any more.
    No,
    /// Its payload is another one, as far as it was captured.
    Other,
    /// Nobody expected it, but nothing speaks against it.
    Unexpected,
    /// It meets the expectation of this party.
    Expected(u32),
}

/// The receiver of a packet that left the broker.
#[derive(Clone, Copy, Debug)]
struct To<'a> {
    party: u32,
    unknown: bool,
    seen: &'a Seen<'a>,
    visible: &'a [u8],
}

/// The matching.
#[derive(Debug)]
pub struct Deliveries {
    limits: DeliveryLimits,
    deadline: TimeDelta,
    twice: TimeDelta,
    now: Timestamp,
    slots: Vec<Slot>,
    brokers: Brokers,
    parties: Parties,
    topics: Topics,
    messages: Slab<Message>,
    by_key: ByKey,
    /// Of one message, for a moment.
    over: Vec<(Expectation, DeliveryOutcome)>,
    hasher: foldhash::fast::RandomState,
    ids: u64,
    /// Messages by the time when they are looked at first: place and the lower half of the serial
    /// number, which tells them from those that take their place. Those that are gone are still in
    /// it, so there are many, and few bytes of each.
    young: VecDeque<(u32, u32)>,
    /// Messages that are looked at again.
    old: BTreeSet<(Timestamp, u64, u32)>,
    topicless: VecDeque<(u32, u64)>,
    recent: Vec<Option<Recent>>,
    wills: Wills,
    /// Messages that may be wills.
    held: VecDeque<held::Held>,
    /// Wills of open connections by slot, with their delays in seconds: apart, so that what every
    /// message needs of a slot stays small.
    open_wills: HashMap<usize, (WillKey, u32), foldhash::fast::RandomState>,
    expectations: usize,
    /// Of these, those that are open.
    awaited: usize,
    dropped: DroppedDeliveries,
}

impl Deliveries {
    /// Candidates are counted up to this number.
    pub const MOST_CANDIDATES: u8 = 9;

    /// Nothing seen yet. A message that takes longer than `deadline` is late, one that takes
    /// longer than twice that is lost.
    #[must_use]
    pub fn new(deadline: TimeDelta, limits: DeliveryLimits) -> Self {
        Self {
            limits,
            deadline,
            twice: TimeDelta::from_nanos(deadline.as_nanos().saturating_mul(2)),
            now: Timestamp::from_nanos(i64::MIN),
            slots: Vec::new(),
            brokers: Brokers::default(),
            parties: Parties::default(),
            topics: Topics::default(),
            messages: Slab::default(),
            by_key: ByKey::default(),
            over: Vec::new(),
            hasher: foldhash::fast::RandomState::default(),
            ids: 0,
            young: VecDeque::new(),
            old: BTreeSet::new(),
            topicless: VecDeque::new(),
            recent: vec![None; RECENT],
            wills: Wills::default(),
            held: VecDeque::new(),
            open_wills: HashMap::default(),
            expectations: 0,
            awaited: 0,
            dropped: DroppedDeliveries::default(),
        }
    }

    /// What had to be dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> &DroppedDeliveries {
        &self.dropped
    }

    /// Receivers that messages are still to reach: each counts for each message.
    #[must_use]
    pub const fn awaited(&self) -> usize {
        self.awaited
    }

    /// Messages kept now.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.messages.len()
    }
}

/// By the payload's hash, which is the same in every run: the keys are not.
const fn recent_place(payload_hash: u64) -> usize {
    (payload_hash % RECENT as u64) as usize
}
