//! The topics of a capture: what was sent to each, by whom, and what was found about it.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::memory::{Index, Pages, prefetch};
use crate::mqtt::topic::name_hash_within;
use crate::payload::{Keys, PayloadKind};
use crate::session::{PerWay, Towards};
use crate::time::{TimeDelta, Timestamp};

use super::catalogue::{Code, Own};
use super::members::Members;

/// Topics that are known at most, and bytes of their names.
const MOST_TOPICS: usize = 100_000;
const MOST_NAME_BYTES: usize = 32 << 20;
/// Bytes for who published and received, all topics together.
const MEMBER_BYTES: usize = 64 << 20;

/// The first messages of a topic are looked into, and of the later ones one in so many: parsing a
/// payload takes longer than all else that is done with its packet. Of topics that come when many
/// are known it is the first message only.
const FIRST_SAMPLES: u64 = 4;
const SAMPLE_EVERY: u64 = 64;
const FEW_TOPICS: u32 = 4096;

/// PUBLISH packets of a topic that went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// Packets.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Packets by QoS 0, 1, 2.
    pub qos: [u64; 3],
    /// Packets with RETAIN.
    pub retained: u64,
    /// First byte of the first one.
    pub first: Timestamp,
    /// First byte of the last one.
    pub last: Timestamp,
}

impl Leg {
    /// Messages per second from the first to the last; `None` for fewer than two, or without
    /// time between them.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let seconds = (self.last - self.first).as_nanos() as f64 / 1e9;
        let more = self.messages.checked_sub(1).filter(|more| *more > 0)?;
        (seconds > 0.0).then(|| more as f64 / seconds)
    }
}

/// A topic of one tap. What a message to the broker touches are two lines of the cache, and
/// mostly it is one for a message to a client.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Topic {
    /// Of tap and name. Topics are told apart by it: with a key that nobody knows, two of the
    /// hundred thousand are the same once in a billion captures.
    hash: u64,
    /// Who published and who received last: mostly the same one again. 0 is nobody.
    latest: PerWay<u64>,
    name: Box<[u8]>,
    keys: Option<Arc<Keys>>,
    /// What most topics do without.
    more: Option<Box<More>>,
    /// Codes that were found, a bit each.
    found: u32,
    tap: u16,
    /// Kinds of payloads seen, a bit each.
    kinds: u8,
    /// The first message to the broker was seen: what the leg counts went that way.
    published: bool,
    leg: Leg,
}

/// What is known of a topic beyond messages of one client.
#[derive(Debug, Default)]
struct More {
    /// Empty where there is one at most, which is the latest then.
    members: PerWay<Members>,
    /// Messages with RETAIN to the broker since then.
    retained_since: Timestamp,
    retained: u64,
}

/// What a PUBLISH adds to its topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addition {
    pub(super) towards: Towards,
    pub(super) time: Timestamp,
    pub(super) bytes: u32,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Who sent it to the broker, or got it from there.
    pub(super) client: u64,
}

/// What is new with an [`Addition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Its payload is to be looked at.
    pub(super) sample: bool,
    /// It is the first to the broker.
    pub(super) first_to_broker: bool,
    /// It has a publisher more.
    pub(super) publisher: bool,
}

impl Topic {
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The tap.
    #[must_use]
    pub const fn tap(&self) -> u16 {
        self.tap
    }

    /// What went to the broker; of a topic that the capture does not show on its way there, what
    /// went to clients.
    #[must_use]
    pub const fn leg(&self) -> &Leg {
        &self.leg
    }

    /// Different clients that published to it: exactly up to 64, then to about 3 %.
    #[must_use]
    pub fn publishers(&self) -> u64 {
        self.members(Towards::Broker)
    }

    /// Different clients that it was sent to, likewise.
    #[must_use]
    pub fn subscribers(&self) -> u64 {
        self.members(Towards::Client)
    }

    fn members(&self, towards: Towards) -> u64 {
        let several = self.more.as_ref().map(|more| more.members.get(towards));
        match several {
            Some(several) if !several.is_empty() => several.count(),
            _ => u64::from(*self.latest.get(towards) != 0),
        }
    }

    /// Publishers or subscribers could not all be told apart.
    fn is_uncounted(&self) -> bool {
        self.more.as_ref().is_some_and(|more| {
            more.members.to_broker.is_full() || more.members.to_client.is_full()
        })
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// What was found about it, in the order of the catalogue.
    pub fn findings(&self) -> impl Iterator<Item = Code> {
        Own::ALL
            .iter()
            .filter(|own| self.has(**own))
            .map(|own| Code::from(*own))
    }

    /// What its payloads are: the kind of all that were looked at, or `mixed`. Empty ones only
    /// count where there are no others.
    #[must_use]
    pub fn payload_kind(&self) -> Option<&'static str> {
        let is_seen = |kind: &PayloadKind| self.kinds & bit(*kind) != 0;
        let mut kinds = KINDS.iter().filter(|kind| is_seen(kind));
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Some(kind.name()),
            (Some(_), Some(_)) => Some("mixed"),
            (None, _) => is_seen(&PayloadKind::Empty).then_some(PayloadKind::Empty.name()),
        }
    }

    /// Keys of the first JSON object that was looked at.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_deref()
    }

    pub(super) const fn has(&self, own: Own) -> bool {
        self.found & code_bit(own) != 0
    }

    /// Takes note of what was found; tells whether it was not known.
    pub(super) const fn note(&mut self, own: Own) -> bool {
        debug_assert!(code_bit(own) != 0, "this code is not about a topic");
        let known = self.has(own);
        self.found |= code_bit(own);
        !known
    }

    pub(super) fn add_kind(&mut self, kind: PayloadKind) {
        self.kinds |= bit(kind);
    }

    pub(super) const fn wants_keys(&self) -> bool {
        self.keys.is_none()
    }

    pub(super) fn set_keys(&mut self, keys: Arc<Keys>) {
        self.keys = Some(keys);
    }

    /// Counts a message with RETAIN; tells how many there were within a minute, this one
    /// included.
    pub(super) fn count_retained(&mut self, time: Timestamp) -> u64 {
        const MINUTE: TimeDelta = TimeDelta::from_secs(60);
        let more = self.more();
        if more.retained == 0 || time - more.retained_since > MINUTE {
            more.retained_since = time;
            more.retained = 0;
        }
        more.retained = more.retained.saturating_add(1);
        more.retained
    }

    #[inline]
    fn add(&mut self, message: &Addition, first_samples: u64, room: &mut usize) -> News {
        let to_broker = message.towards == Towards::Broker;
        let is_new = self.is_new(message, room);
        // What the broker passes on was counted and looked into on its way there.
        if self.published && !to_broker {
            return News {
                sample: false,
                first_to_broker: false,
                publisher: false,
            };
        }
        if to_broker && !self.published {
            self.published = true;
            self.leg = Leg::default();
        }
        let leg = &mut self.leg;
        let before = leg.messages;
        if before == 0 {
            (leg.first, leg.last) = (message.time, message.time);
        } else {
            leg.first = leg.first.min(message.time);
            leg.last = leg.last.max(message.time);
        }
        leg.messages = before.saturating_add(1);
        leg.bytes = leg.bytes.saturating_add(u64::from(message.bytes));
        if let Some(count) = leg.qos.get_mut(usize::from(message.qos)) {
            *count = count.saturating_add(1);
        }
        leg.retained = leg.retained.saturating_add(u64::from(message.retain));
        News {
            sample: before < first_samples || before.is_multiple_of(SAMPLE_EVERY),
            first_to_broker: to_broker && before == 0,
            publisher: to_broker && is_new,
        }
    }

    /// Takes note of who published or received; tells whether it is certainly another one than
    /// those before.
    #[inline]
    fn is_new(&mut self, message: &Addition, room: &mut usize) -> bool {
        let latest = self.latest.get_mut(message.towards);
        if *latest == message.client || message.client == 0 {
            return false;
        }
        let before = std::mem::replace(latest, message.client);
        before == 0 || {
            let members = self.more().members.get_mut(message.towards);
            if members.is_empty() {
                members.insert(before, room);
            }
            members.insert(message.client, room)
        }
    }
}

/// The keys of topics, each list of them once: those of a thousand sensors of one make are the
/// same.
#[derive(Debug, Default)]
pub(super) struct KeyLists {
    /// With their hashes.
    lists: Pages<(u64, Arc<Keys>)>,
    index: Index,
    hasher: foldhash::fast::RandomState,
    /// Where the keys of a payload are read to: mostly the list is known.
    scratch: Keys,
}

impl KeyLists {
    /// Where the next list goes.
    pub(super) fn scratch(&mut self) -> &mut Keys {
        self.scratch.clear();
        &mut self.scratch
    }

    /// The list that is equal to that one; `None` where it holds nothing.
    #[inline]
    pub(super) fn share(&mut self) -> Option<Arc<Keys>> {
        if self.scratch.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(&self.scratch);
        let list = |place: u32| self.lists.get(place as usize);
        let is_same =
            |place| list(place).is_some_and(|(of, keys)| *of == hash && **keys == self.scratch);
        if let Some((_, known)) = self.index.find(hash, is_same).and_then(list) {
            return Some(Arc::clone(known));
        }
        let new = Arc::new(self.scratch.clone());
        if let Ok(place) = u32::try_from(self.lists.len()) {
            self.lists.push((hash, Arc::clone(&new)));
            self.index.insert(hash, place);
        }
        Some(new)
    }
}

/// Kinds of payloads that are not empty.
const KINDS: [PayloadKind; 5] = [
    PayloadKind::Json,
    PayloadKind::Protobuf,
    PayloadKind::Text,
    PayloadKind::TextNul,
    PayloadKind::Binary,
];

/// The bit of a code; none for those that are not about topics. Those that are, are the last ones
/// of the catalogue.
const fn code_bit(own: Own) -> u32 {
    const FIRST: u8 = Own::LeadingSlash as u8;
    const _: () = assert!(Own::ALL.len() - FIRST as usize <= 32);
    match (own as u8).checked_sub(FIRST) {
        Some(place) => 1 << place,
        None => 0,
    }
}

const fn bit(kind: PayloadKind) -> u8 {
    1 << kind as u8
}

/// All topics.
#[derive(Debug)]
pub struct Topics {
    topics: Pages<Topic>,
    /// Places by the hash of tap and name.
    index: Index,
    name_bytes: usize,
    member_room: usize,
    untold: u64,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            topics: Pages::default(),
            index: Index::default(),
            name_bytes: 0,
            member_room: MEMBER_BYTES,
            untold: 0,
        }
    }
}

impl Topics {
    /// Asks for what finding a topic needs.
    #[inline]
    pub(super) fn touch_index(&self, tap: u16, name_hash: u64) {
        self.index
            .touch(name_hash_within(u32::from(tap), name_hash));
    }

    /// Asks for a topic.
    #[inline]
    pub(super) fn touch(&self, tap: u16, towards: Towards, name_hash: u64) {
        let found = self
            .index
            .guess(name_hash_within(u32::from(tap), name_hash));
        if let Some(topic) = found.and_then(|place| self.topics.get(place as usize)) {
            prefetch(&topic.hash);
            // Mostly counted on their way to the broker.
            if towards == Towards::Broker {
                prefetch(&topic.leg);
            }
        }
    }

    /// The topic and what the message changes; `None` where there is no room for another topic.
    /// The second value tells whether the topic is new.
    #[inline]
    pub(super) fn add(
        &mut self,
        tap: u16,
        (name, name_hash): (&[u8], u64),
        message: &Addition,
    ) -> Option<(&mut Topic, bool, News)> {
        let hash = name_hash_within(u32::from(tap), name_hash);
        let is_same = |place: u32| {
            let topic = self.topics.get(place as usize);
            topic.is_some_and(|topic| topic.hash == hash && topic.name.len() == name.len())
        };
        let (index, is_new) = match self.index.find(hash, is_same) {
            Some(index) => (index, false),
            None => (self.insert(hash, tap, name)?, true),
        };
        let topic = self.topics.get_mut(index as usize)?;
        let first_samples = if index < FEW_TOPICS { FIRST_SAMPLES } else { 1 };
        let news = topic.add(message, first_samples, &mut self.member_room);
        Some((topic, is_new, news))
    }

    #[inline]
    fn insert(&mut self, hash: u64, tap: u16, name: &[u8]) -> Option<u32> {
        let name_bytes = self.name_bytes.saturating_add(name.len());
        if self.topics.len() >= MOST_TOPICS || name_bytes > MOST_NAME_BYTES {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        let index = u32::try_from(self.topics.len()).ok()?;
        self.name_bytes = name_bytes;
        self.topics.push(Topic {
            hash,
            name: name.into(),
            latest: PerWay::default(),
            keys: None,
            more: None,
            found: 0,
            tap,
            kinds: 0,
            published: false,
            leg: Leg::default(),
        });
        self.index.insert(hash, index);
        Some(index)
    }

    /// All of them, those with the most messages first.
    #[must_use]
    pub fn busiest(&self) -> Vec<&Topic> {
        let mut topics: Vec<&Topic> = self.topics.iter().collect();
        topics.sort_by(|a, b| {
            let order = b.leg().messages.cmp(&a.leg().messages);
            order.then_with(|| (&a.name, a.tap).cmp(&(&b.name, b.tap)))
        });
        topics
    }

    /// Messages whose topic there was no room for.
    pub(super) const fn untold(&self) -> u64 {
        self.untold
    }

    /// Topics whose publishers or subscribers could not all be told apart.
    pub(super) fn uncounted(&self) -> u64 {
        let topics = self.topics.iter();
        topics.filter(|topic| topic.is_uncounted()).count() as u64
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::mqtt::topic::name_hash;

    fn named(name: &[u8]) -> (&[u8], u64) {
        (name, name_hash(name))
    }

    fn addition(towards: Towards, nanos: i64, client: u64) -> Addition {
        Addition {
            towards,
            time: Timestamp::from_nanos(nanos),
            bytes: 10,
            qos: 1,
            retain: false,
            client,
        }
    }

    #[test]
    fn messages_are_counted_by_topic_and_way() {
        let mut topics = Topics::default();
        for (second, client) in [(0, 1), (1, 2), (2, 1)] {
            let message = addition(Towards::Broker, second * 1_000_000_000, client);
            assert!(topics.add(0, named(b"a"), &message).is_some());
            for subscriber in 10..15 {
                let copy = addition(Towards::Client, second * 1_000_000_000 + 5, subscriber);
                topics.add(0, named(b"a"), &copy).unwrap();
            }
        }
        topics
            .add(0, named(b"b"), &addition(Towards::Client, 7, 1))
            .unwrap();
        topics
            .add(1, named(b"a"), &addition(Towards::Broker, 7, 1))
            .unwrap();
        let told = topics.busiest();
        assert_eq!(told.len(), 3);
        let a = told[0];
        assert_eq!((a.name(), a.tap()), (&b"a"[..], 0));
        assert_eq!((a.publishers(), a.subscribers()), (2, 5));
        assert_eq!(
            (a.leg().messages, a.leg().bytes, a.leg().qos),
            (3, 30, [0, 3, 0])
        );
        assert_eq!(a.leg().rate(), Some(1.0));
        // Only the way to clients is in the capture.
        let b = told[2];
        assert_eq!(
            (b.name(), b.leg().messages, b.publishers()),
            (&b"b"[..], 1, 0)
        );
        assert_eq!(b.leg().rate(), None);
    }

    /// What most topics take of memory.
    #[test]
    fn a_topic_is_two_lines_of_the_cache() {
        assert_eq!((size_of::<Topic>(), align_of::<Topic>()), (128, 64));
        assert_eq!(std::mem::offset_of!(Topic, leg), 64);
    }

    #[test]
    fn kinds_are_one_or_mixed() {
        let mut topics = Topics::default();
        let message = addition(Towards::Broker, 0, 1);
        let (topic, ..) = topics.add(0, named(b"a"), &message).unwrap();
        assert_eq!(topic.payload_kind(), None);
        topic.add_kind(PayloadKind::Empty);
        assert_eq!(topic.payload_kind(), Some("empty"));
        topic.add_kind(PayloadKind::Json);
        assert_eq!(topic.payload_kind(), Some("json"));
        topic.add_kind(PayloadKind::Text);
        assert_eq!(topic.payload_kind(), Some("mixed"));
    }

    #[test]
    fn names_stay_within_their_room() {
        let mut topics = Topics::default();
        let message = addition(Towards::Broker, 0, 1);
        let mut name = vec![b'/'; 65_535];
        for number in 0..1000_u32 {
            name[..4].copy_from_slice(&number.to_be_bytes());
            topics.add(0, named(&name), &message);
        }
        assert_eq!(topics.busiest().len(), MOST_NAME_BYTES / 65_535);
        assert_eq!(topics.untold(), 1000 - (MOST_NAME_BYTES / 65_535) as u64);
        // Those that are known go on.
        name[..4].copy_from_slice(&0_u32.to_be_bytes());
        assert!(topics.add(0, named(&name), &message).is_some());
    }
}
