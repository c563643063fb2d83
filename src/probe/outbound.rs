//! The sending side of a client's session (MQTT 5 section 4.3 and 4.4): which messages are in
//! flight under which packet identifier, and what is sent again when the session is resumed.

/// Where a message in flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Free,
    AwaitPuback,
    AwaitPubrec,
    AwaitPubcomp,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    stage: Stage,
    /// The caller's name of the message.
    message: u32,
    /// The order in which messages were begun.
    order: u64,
}

const FREE: Slot = Slot {
    stage: Stage::Free,
    message: 0,
    order: 0,
};

/// An acknowledgement that answers nothing in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexpected;

/// What a PUBREC asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The first for this message: answer with PUBREL.
    Release(u32),
    /// It came again: answer with PUBREL again.
    ReleaseAgain(u32),
    /// The broker refused the message (reason code of 128 or more): nothing follows.
    Refused(u32),
}

/// What to send again, and of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    /// The packet identifier, as before.
    pub packet_id: u16,
    /// The caller's name of the message.
    pub message: u32,
    /// PUBREL instead of PUBLISH.
    pub release: bool,
}

/// The messages in flight of one publishing client. It allocates when it is made and when a
/// session is resumed, and not in between.
#[derive(Debug)]
pub struct Outbound {
    /// By packet identifier − 1.
    slots: Vec<Slot>,
    next: usize,
    in_flight: u16,
    window: u16,
    begun: u64,
}

impl Outbound {
    /// At most `window` (at least one) messages in flight.
    #[must_use]
    pub fn new(window: u16) -> Self {
        let window = window.max(1);
        // Identifiers come around slowly, so that a late acknowledgement hits no newer message.
        let identifiers = usize::from(window).saturating_mul(4).clamp(4_096, 65_535);
        Self {
            slots: vec![FREE; identifiers],
            next: 0,
            in_flight: 0,
            window,
            begun: 0,
        }
    }

    /// Changes how many may be in flight, as a CONNACK's Receive Maximum does.
    pub fn set_window(&mut self, window: u16) {
        self.window = window.clamp(1, u16::try_from(self.slots.len()).unwrap_or(u16::MAX));
    }

    /// Messages in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Whether another may begin.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.in_flight < self.window
    }

    /// Puts a message of QoS 1 or 2 in flight and gives its packet identifier; `None` where the
    /// window is full.
    pub fn begin(&mut self, message: u32, qos: u8) -> Option<u16> {
        if !self.is_open() {
            return None;
        }
        let count = self.slots.len();
        let at = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|&at| self.slots[at].stage == Stage::Free)?;
        self.next = (at + 1) % count;
        self.slots[at] = Slot {
            stage: if qos == 2 {
                Stage::AwaitPubrec
            } else {
                Stage::AwaitPuback
            },
            message,
            order: self.begun,
        };
        self.begun += 1;
        self.in_flight += 1;
        u16::try_from(at + 1).ok()
    }

    fn slot(&mut self, packet_id: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(packet_id).checked_sub(1)?)
    }

    fn end(&mut self, packet_id: u16, stage: Stage) -> Result<u32, Unexpected> {
        let slot = self.slot(packet_id).ok_or(Unexpected)?;
        if slot.stage != stage {
            return Err(Unexpected);
        }
        let message = slot.message;
        *slot = FREE;
        self.in_flight -= 1;
        Ok(message)
    }

    /// PUBACK: the message that it ends.
    ///
    /// # Errors
    ///
    /// No QoS 1 message is in flight under this identifier.
    pub fn puback(&mut self, packet_id: u16) -> Result<u32, Unexpected> {
        self.end(packet_id, Stage::AwaitPuback)
    }

    /// PUBREC with its reason code.
    ///
    /// # Errors
    ///
    /// No QoS 2 message is in flight under this identifier.
    pub fn pubrec(&mut self, packet_id: u16, reason_code: u8) -> Result<Received, Unexpected> {
        let slot = self.slot(packet_id).ok_or(Unexpected)?;
        let message = slot.message;
        match slot.stage {
            Stage::AwaitPubrec if reason_code >= 0x80 => self
                .end(packet_id, Stage::AwaitPubrec)
                .map(Received::Refused),
            Stage::AwaitPubrec => {
                slot.stage = Stage::AwaitPubcomp;
                Ok(Received::Release(message))
            }
            Stage::AwaitPubcomp => Ok(Received::ReleaseAgain(message)),
            _ => Err(Unexpected),
        }
    }

    /// PUBCOMP: the message that it ends.
    ///
    /// # Errors
    ///
    /// No released QoS 2 message is in flight under this identifier.
    pub fn pubcomp(&mut self, packet_id: u16) -> Result<u32, Unexpected> {
        self.end(packet_id, Stage::AwaitPubcomp)
    }

    /// What to send again on a connection that resumed the session, in the order in which it was
    /// sent first [MQTT-4.4.0-1, MQTT-4.6.0-1].
    #[must_use]
    pub fn resume(&self) -> Vec<Resend> {
        let mut open: Vec<(u64, Resend)> = (1_u16..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.stage != Stage::Free)
            .map(|(packet_id, slot)| {
                let resend = Resend {
                    packet_id,
                    message: slot.message,
                    release: slot.stage == Stage::AwaitPubcomp,
                };
                (slot.order, resend)
            })
            .collect();
        open.sort_unstable_by_key(|(order, _)| *order);
        open.into_iter().map(|(_, resend)| resend).collect()
    }

    /// The broker has no session any more: what was in flight is given up [MQTT-3.2.2-5].
    pub fn forget(&mut self) {
        self.slots.fill(FREE);
        self.in_flight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_and_opens_again() {
        let mut outbound = Outbound::new(2);
        let (a, b) = (
            outbound.begin(10, 1).unwrap(),
            outbound.begin(11, 2).unwrap(),
        );
        assert!(a != b && !outbound.is_open());
        assert_eq!(outbound.begin(12, 1), None);
        assert_eq!(outbound.puback(a), Ok(10));
        assert!(outbound.is_open());
        assert_eq!(outbound.pubrec(b, 0), Ok(Received::Release(11)));
        assert_eq!(outbound.in_flight(), 1, "until PUBCOMP");
        assert_eq!(outbound.pubcomp(b), Ok(11));
        assert_eq!(outbound.in_flight(), 0);
    }

    #[test]
    fn what_answers_nothing_is_told() {
        let mut outbound = Outbound::new(5);
        let id = outbound.begin(1, 1).unwrap();
        for wrong in [0, id + 1, 65_535] {
            assert_eq!(outbound.puback(wrong), Err(Unexpected));
            assert_eq!(outbound.pubrec(wrong, 0), Err(Unexpected));
            assert_eq!(outbound.pubcomp(wrong), Err(Unexpected));
        }
        assert_eq!(outbound.pubrec(id, 0), Err(Unexpected), "QoS 1 has none");
        assert_eq!(outbound.puback(id), Ok(1));
        assert_eq!(outbound.puback(id), Err(Unexpected), "only once");
        let id = outbound.begin(2, 2).unwrap();
        assert_eq!(outbound.pubcomp(id), Err(Unexpected), "before PUBREC");
        assert_eq!(outbound.pubrec(id, 0), Ok(Received::Release(2)));
        assert_eq!(outbound.pubrec(id, 0), Ok(Received::ReleaseAgain(2)));
    }

    #[test]
    fn a_refusal_ends_the_exchange() {
        let mut outbound = Outbound::new(1);
        let id = outbound.begin(7, 2).unwrap();
        assert_eq!(outbound.pubrec(id, 0x97), Ok(Received::Refused(7)));
        assert!(outbound.is_open());
    }

    #[test]
    fn a_session_goes_on_in_the_order_of_its_messages() {
        let mut outbound = Outbound::new(4);
        let ids: Vec<u16> = (0..4).map(|m| outbound.begin(m, 2).unwrap()).collect();
        outbound.pubrec(ids[2], 0).unwrap();
        outbound.pubrec(ids[0], 0).unwrap();
        outbound.pubcomp(ids[0]).unwrap();
        let resends: Vec<(u32, bool)> = outbound
            .resume()
            .iter()
            .map(|resend| (resend.message, resend.release))
            .collect();
        assert_eq!(resends, [(1, false), (2, true), (3, false)]);
        outbound.forget();
        assert!(outbound.resume().is_empty() && outbound.is_open());
    }

    #[test]
    fn identifiers_come_around_and_pass_over_what_is_open() {
        let mut outbound = Outbound::new(2);
        let stuck = outbound.begin(0, 1).unwrap();
        let mut last = stuck;
        for message in 1..10_000 {
            let id = outbound.begin(message, 1).unwrap();
            assert_ne!(id, stuck);
            assert_ne!(id, last);
            assert_ne!(id, 0);
            assert_eq!(outbound.puback(id), Ok(message));
            last = id;
        }
    }
}
