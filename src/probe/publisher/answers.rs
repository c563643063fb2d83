//! What a publisher writes and what the broker answers, noted.

use crate::mqtt::{Acknowledgment, Packet, PacketType, ProtocolLevel, parse, write};
use crate::probe::clock::Stamp;
use crate::probe::error::LinkError;
use crate::probe::handshake;
use crate::probe::link::Link;
use crate::probe::outbound::{Outbound, Received};
use crate::probe::outbox::{Outbox, Progress, Token};
use crate::probe::record::MessageRecord;

use super::client::PublisherResult;

/// Notes a write; gives whether a message went out whole.
#[inline]
pub(super) fn stamp(records: &mut [MessageRecord], progress: Progress) -> bool {
    match progress {
        Progress::Started(Token::Publish(index), stamp) => {
            if let Some(record) = records.get_mut(index as usize) {
                record.sent.get_or_insert(stamp);
            }
            false
        }
        Progress::Written(Token::Publish(index), stamp) => {
            let record = records.get_mut(index as usize);
            record.is_some_and(|record| {
                let first = record.written.is_none();
                record.written.get_or_insert(stamp);
                first
            })
        }
        Progress::Written(Token::Release(index), stamp) => {
            if let Some(record) = records.get_mut(index as usize) {
                record.pubrel.get_or_insert(stamp);
            }
            false
        }
        _ => false,
    }
}

pub(super) fn release(outbox: &mut Outbox, level: ProtocolLevel, packet_id: u16, index: u32) {
    let first = outbox.position();
    // So short a packet can always be written.
    let _ = write::acknowledgment(
        outbox.packet(),
        level,
        PacketType::Pubrel,
        packet_id,
        0,
        &[],
    );
    outbox.mark(first, Token::Release(index));
}

/// What the broker answers, noted.
pub(super) struct Answers<'p> {
    pub(super) outbound: &'p mut Outbound,
    pub(super) result: &'p mut PublisherResult,
    pub(super) level: ProtocolLevel,
    pub(super) stamp: Stamp,
}

impl Answers<'_> {
    pub(super) fn take(mut self, link: &mut Link) -> Result<(), LinkError> {
        let Link { inbox, outbox, .. } = link;
        while let Some((first_byte, body)) = inbox.take_packet()? {
            match handshake::checked(parse(first_byte, body, self.level))? {
                Packet::Acknowledgment(acknowledgment) => {
                    self.acknowledgment(&acknowledgment, outbox);
                }
                Packet::Pingresp => {}
                Packet::Disconnect(disconnect) => {
                    let reason = disconnect.reason_code;
                    return Err(LinkError::Closed { reason });
                }
                _ => self.result.foreign += 1,
            }
        }
        Ok(())
    }

    #[inline]
    fn acknowledgment(&mut self, packet: &Acknowledgment<'_>, outbox: &mut Outbox) {
        let packet_id = packet.packet_id.unwrap_or(0);
        let code = packet.reason_code.unwrap_or(0);
        let known = match packet.kind {
            PacketType::Puback => self.outbound.puback(packet_id).map(|index| {
                self.note(index, |record, stamp| record.puback = Some(stamp));
                self.refuse(index, code);
            }),
            PacketType::Pubrec => {
                self.outbound
                    .pubrec(packet_id, code)
                    .map(|received| match received {
                        Received::Release(index) => {
                            self.note(index, |record, stamp| record.pubrec = Some(stamp));
                            release(outbox, self.level, packet_id, index);
                        }
                        Received::ReleaseAgain(index) => {
                            release(outbox, self.level, packet_id, index);
                        }
                        Received::Refused(index) => {
                            self.note(index, |record, stamp| record.pubrec = Some(stamp));
                            self.refuse(index, code);
                        }
                    })
            }
            PacketType::Pubcomp => self.outbound.pubcomp(packet_id).map(|index| {
                self.note(index, |record, stamp| record.pubcomp = Some(stamp));
            }),
            _ => {
                // A PUBREL for a message that nobody sent here.
                self.result.foreign += 1;
                Ok(())
            }
        };
        if known.is_err() {
            self.result.unexpected_acknowledgements += 1;
        }
    }

    fn note(&mut self, index: u32, note: impl FnOnce(&mut MessageRecord, Stamp)) {
        if let Some(record) = self.result.records.get_mut(index as usize) {
            note(record, self.stamp);
        }
    }

    fn refuse(&mut self, index: u32, code: u8) {
        if code >= 0x80
            && let Some(record) = self.result.records.get_mut(index as usize)
        {
            record.refused = Some(code);
        }
    }
}
