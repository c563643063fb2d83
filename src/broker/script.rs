//! The script of faults as it is played: what applies to the message that just came.

use std::collections::HashMap;
use std::rc::Rc;

use crate::mqtt::{PacketType, topic};
use crate::time::TimeDelta;

use super::fault::{Fault, Faults, PacketReset, Refusal};
use super::message::Message;

/// What happens to one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions {
    pub(super) drop: bool,
    pub(super) delay: Option<TimeDelta>,
    pub(super) duplicate: bool,
    pub(super) repeat: bool,
    pub(super) reset: bool,
    pub(super) refuse: Option<u8>,
    pub(super) silence: Silence,
    /// Swaps that it opens: it waits for the next message.
    pub(super) opens: Vec<usize>,
    /// Swaps that it closes: it goes first.
    pub(super) closes: Vec<usize>,
}

/// Acknowledgements that are never sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Silence {
    pub(super) puback: bool,
    pub(super) pubrec: bool,
    pub(super) pubcomp: bool,
}

/// One pair of messages that change places.
#[derive(Debug, Default)]
struct Swap {
    /// The second one went out.
    passed: bool,
    /// The first one, which waits.
    waiting: Option<Rc<Message>>,
}

#[derive(Debug)]
struct Count {
    filter: Vec<u8>,
    messages: u64,
    faults: HashMap<u64, Vec<Fault>>,
    /// Swaps by the number of their first message.
    swaps: HashMap<u64, usize>,
}

#[derive(Debug)]
pub(super) struct Script {
    counts: Vec<Count>,
    swaps: Vec<Swap>,
    refusals: Vec<Refusal>,
    resets: Vec<PacketReset>,
    connects: u64,
}

impl Script {
    pub(super) fn new(faults: &Faults) -> Self {
        let mut script = Self {
            counts: Vec::new(),
            swaps: Vec::new(),
            refusals: faults.refusals.clone(),
            resets: faults.resets.clone(),
            connects: 0,
        };
        for fault in &faults.messages {
            let swap = script.swaps.len();
            let count = script.count_of(&fault.filter);
            if fault.fault == Fault::Swap {
                count.swaps.insert(fault.number, swap);
                script.swaps.push(Swap::default());
            } else {
                let faults = count.faults.entry(fault.number).or_default();
                faults.push(fault.fault);
            }
        }
        script
    }

    fn count_of(&mut self, filter: &[u8]) -> &mut Count {
        let known = self.counts.iter().position(|count| count.filter == filter);
        let index = known.unwrap_or(self.counts.len());
        if known.is_none() {
            self.counts.push(Count {
                filter: filter.to_vec(),
                messages: 0,
                faults: HashMap::new(),
                swaps: HashMap::new(),
            });
        }
        #[allow(clippy::indexing_slicing, reason = "found or pushed above")]
        &mut self.counts[index]
    }

    /// Counts a message and says what happens to it.
    pub(super) fn message(&mut self, name: &[u8]) -> Actions {
        let mut actions = Actions::default();
        for count in &mut self.counts {
            if !topic::matches(&count.filter, name) {
                continue;
            }
            count.messages = count.messages.saturating_add(1);
            for fault in count.faults.get(&count.messages).into_iter().flatten() {
                actions.add(*fault);
            }
            actions.opens.extend(count.swaps.get(&count.messages));
            let before = count.messages.saturating_sub(1);
            actions.closes.extend(count.swaps.get(&before));
        }
        actions
    }

    /// Whether a message that opens this swap has to wait.
    pub(super) fn must_wait(&self, swap: usize) -> bool {
        self.swaps
            .get(swap)
            .is_some_and(|swap| !swap.passed && swap.waiting.is_none())
    }

    pub(super) fn wait(&mut self, swap: usize, message: Rc<Message>) {
        if let Some(swap) = self.swaps.get_mut(swap) {
            swap.waiting = Some(message);
        }
    }

    /// The second message went out, or never will: what waited for it.
    pub(super) fn close(&mut self, swap: usize) -> Option<Rc<Message>> {
        let swap = self.swaps.get_mut(swap)?;
        swap.passed = true;
        swap.waiting.take()
    }

    /// Counts a CONNECT and says with which code it is refused.
    pub(super) fn connect(&mut self) -> Option<u8> {
        self.connects = self.connects.saturating_add(1);
        self.refusals
            .iter()
            .find(|refusal| refusal.number.is_none_or(|number| number == self.connects))
            .map(|refusal| refusal.code)
    }

    pub(super) fn resets(&self, connection: u64, packet: u64) -> bool {
        self.resets.contains(&PacketReset { connection, packet })
    }
}

impl Actions {
    fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Drop => self.drop = true,
            Fault::Delay(delay) => self.delay = Some(delay),
            Fault::Duplicate => self.duplicate = true,
            Fault::Repeat => self.repeat = true,
            Fault::Refuse(code) => self.refuse = Some(code),
            Fault::Reset => self.reset = true,
            Fault::Silent(PacketType::Puback) => self.silence.puback = true,
            Fault::Silent(PacketType::Pubrec) => self.silence.pubrec = true,
            Fault::Silent(PacketType::Pubcomp) => self.silence.pubcomp = true,
            // Swaps are kept apart, and nothing else acknowledges a message.
            Fault::Silent(_) | Fault::Swap => {}
        }
    }
}
