//! The receiving side of a client's session (MQTT 5 section 4.3): which QoS 2 messages were
//! received and not yet released, so that a copy of one is not taken for another message.

/// The QoS 2 messages of one subscribing client that await their PUBREL.
#[derive(Debug, Default)]
pub struct Inbound {
    /// By packet identifier; the caller's name of the message. Empty until the first one.
    open: Vec<Option<u32>>,
    /// How many those are.
    count: u32,
}

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message.
    New,
    /// A copy of a message that was received and not yet released: not for the application
    /// [MQTT-4.3.3-10].
    Copy(u32),
}

impl Inbound {
    /// A PUBLISH of QoS 2. `name` is kept where it is new; the largest number stands for what
    /// has no name.
    pub fn publish(&mut self, packet_id: u16, name: u32) -> Arrival {
        if self.open.is_empty() {
            self.open = vec![None; 1 << 16];
        }
        let slot = &mut self.open[usize::from(packet_id)];
        if let Some(first) = *slot {
            return Arrival::Copy(first);
        }
        *slot = Some(name);
        self.count += 1;
        Arrival::New
    }

    /// A PUBREL: the message that it releases, if one was received. It is answered with PUBCOMP
    /// either way [MQTT-4.3.3-11].
    pub fn pubrel(&mut self, packet_id: u16) -> Option<u32> {
        let name = self.open.get_mut(usize::from(packet_id))?.take()?;
        self.count -= 1;
        Some(name)
    }

    /// How many await their PUBREL.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.count
    }

    /// A connection without the old session.
    pub fn forget(&mut self) {
        self.open.fill(None);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_a_message() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.pubrel(1), None);
        assert_eq!(inbound.publish(1, 100), Arrival::New);
        assert_eq!(inbound.publish(1, 101), Arrival::Copy(100));
        assert_eq!(inbound.pubrel(1), Some(100));
        assert_eq!(inbound.pubrel(1), None, "released already");
        assert_eq!(inbound.publish(1, 102), Arrival::New);
        assert_eq!(inbound.open(), 1);
        inbound.forget();
        assert_eq!(inbound.open(), 0);
        assert_eq!(inbound.publish(1, 103), Arrival::New);
        assert_eq!(inbound.publish(65_535, 104), Arrival::New);
    }
}
