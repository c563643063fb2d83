//! Who subscribed to what, and whom a message goes to.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::mqtt::{Subscription, topic};

type Map<V> = HashMap<Box<[u8]>, V, foldhash::fast::RandomState>;

/// Options of one subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifier: Option<u32>,
}

impl Options {
    pub(super) fn new(subscription: &Subscription<'_>, identifier: Option<u32>) -> Self {
        Self {
            qos: subscription.qos(),
            no_local: subscription.no_local(),
            retain_as_published: subscription.retain_as_published(),
            identifier,
        }
    }
}

/// One session that a message goes to, for all of its subscriptions that match. It gets one copy
/// (3.3.4), with the highest QoS of them [MQTT-3.3.4-2] and all their identifiers [MQTT-3.3.4-4].
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) session: u32,
    pub(super) qos: u8,
    /// Every one of the subscriptions is No Local.
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Option<Rc<[u32]>>,
}

/// Topics whose receivers are remembered.
const CACHED_TOPICS: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Filters without wildcards, found by the topic's name.
    plain: Map<BTreeMap<u32, Options>>,
    /// Filters with wildcards, tried one after the other when a topic is new.
    wild: Map<BTreeMap<u32, Options>>,
    count: usize,
    /// What the two tables say of a topic; emptied when they change.
    cache: Map<Rc<[Target]>>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds or replaces a subscription [MQTT-3.8.4-3]; says whether it is new.
    pub(super) fn add(&mut self, session: u32, filter: &[u8], options: Options) -> bool {
        self.cache.clear();
        let table = if is_wild(filter) {
            &mut self.wild
        } else {
            &mut self.plain
        };
        let is_new = match table.get_mut(filter) {
            Some(sessions) => sessions.insert(session, options).is_none(),
            None => {
                table.insert(filter.into(), BTreeMap::from([(session, options)]));
                true
            }
        };
        self.count = self.count.saturating_add(usize::from(is_new));
        is_new
    }

    pub(super) fn remove(&mut self, session: u32, filter: &[u8]) {
        let table = if is_wild(filter) {
            &mut self.wild
        } else {
            &mut self.plain
        };
        let Some(sessions) = table.get_mut(filter) else {
            return;
        };
        if sessions.remove(&session).is_some() {
            self.count = self.count.saturating_sub(1);
            self.cache.clear();
        }
        if sessions.is_empty() {
            table.remove(filter);
        }
    }

    /// Whom a message of this topic goes to.
    #[inline]
    pub(super) fn targets(&mut self, name: &[u8]) -> Rc<[Target]> {
        if let Some(targets) = self.cache.get(name) {
            return Rc::clone(targets);
        }
        let targets = self.find(name);
        if self.cache.len() >= CACHED_TOPICS {
            self.cache.clear();
        }
        self.cache.insert(name.into(), Rc::clone(&targets));
        targets
    }

    fn find(&self, name: &[u8]) -> Rc<[Target]> {
        let mut found: BTreeMap<u32, (Target, Vec<u32>)> = BTreeMap::new();
        let plain = self.plain.get(name).into_iter();
        let wild = self.wild.iter();
        let wild = wild.filter(|(filter, _)| topic::matches(filter, name));
        for (&session, options) in plain.chain(wild.map(|(_, sessions)| sessions)).flatten() {
            let (target, identifiers) = found.entry(session).or_insert_with(|| {
                let target = Target {
                    session,
                    qos: options.qos,
                    no_local: options.no_local,
                    retain_as_published: options.retain_as_published,
                    identifiers: None,
                };
                (target, Vec::new())
            });
            target.qos = target.qos.max(options.qos);
            target.no_local &= options.no_local;
            target.retain_as_published |= options.retain_as_published;
            identifiers.extend(options.identifier);
        }
        let targets = found.into_values().map(|(mut target, mut identifiers)| {
            identifiers.sort_unstable();
            identifiers.dedup();
            target.identifiers = (!identifiers.is_empty()).then(|| identifiers.into());
            target
        });
        targets.collect()
    }
}

/// Whether the filter matches more than the topic of its name.
pub(super) fn is_wild(filter: &[u8]) -> bool {
    filter.iter().any(|byte| matches!(byte, b'+' | b'#'))
}
