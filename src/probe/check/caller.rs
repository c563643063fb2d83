//! A client that says one thing at a time and waits for the answer.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::mqtt::{
    Packet, PacketType, ProtocolLevel, Subscription, parse,
    write::{self, WriteError},
};
use crate::probe::error::LinkError;
use crate::probe::handshake::{self, Introduction, Welcome};
use crate::probe::link::Link;
use crate::probe::target::{Dialect, Role};

use super::Site;

/// Longest packet that an answer can be.
const LONGEST: usize = 1 << 20;

/// Packets that wait to be taken: no check lets so many come.
const MOST_WAITING: usize = 10_000;

/// What came, as far as the checks ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Publish(Message),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Acknowledgment(PacketType, u16, u8),
    Suback(Vec<u8>),
    Other(PacketType),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) packet_id: u16,
}

pub(super) struct Caller {
    link: Link,
    level: ProtocolLevel,
    timeout: Duration,
    pub(super) welcome: Welcome,
    waiting: VecDeque<Got>,
}

impl Caller {
    /// Connects at the level of the site's dialect.
    pub(super) fn open(site: &Site<'_>, name: &str) -> Result<Self, LinkError> {
        Self::open_at(site, site.dialect.level, name)
    }

    pub(super) fn open_at(
        site: &Site<'_>,
        level: ProtocolLevel,
        name: &str,
    ) -> Result<Self, LinkError> {
        let dialect = Dialect {
            level,
            ..site.dialect.clone()
        };
        let introduction = Introduction {
            // MQTT 3.1 allows 23 characters.
            client_id: format!("check-{:08x}-{name}", site.run),
            clean_start: true,
            keep_session: false,
            longest_packet: LONGEST,
        };
        let (link, welcome) =
            handshake::open(site.connector, Role::Control, &dialect, &introduction)?;
        Ok(Self {
            link,
            level,
            timeout: dialect.timeout,
            welcome,
            waiting: VecDeque::new(),
        })
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Appends a packet to what [`Self::flush`] writes.
    pub(super) fn say(
        &mut self,
        packet: impl FnOnce(&mut Vec<u8>, ProtocolLevel) -> Result<(), WriteError>,
    ) -> Result<(), LinkError> {
        packet(self.link.outbox.packet(), self.level)
            .map_err(|error| LinkError::Garbage(format!("a packet cannot be written: {error}")))
    }

    pub(super) fn flush(&mut self) -> Result<(), LinkError> {
        self.link.flush(|_| {})
    }

    pub(super) fn publish(
        &mut self,
        qos: u8,
        packet_id: u16,
        topic: &str,
        payload: &[u8],
        retain: bool,
    ) -> Result<(), LinkError> {
        let packet = write::Publish {
            dup: false,
            qos,
            retain,
            topic: topic.as_bytes(),
            packet_id,
            properties: &[],
            payload,
        };
        self.say(|out, level| write::publish(out, level, &packet))?;
        self.flush()
    }

    pub(super) fn acknowledge(
        &mut self,
        kind: PacketType,
        packet_id: u16,
    ) -> Result<(), LinkError> {
        self.say(|out, level| write::acknowledgment(out, level, kind, packet_id, 0, &[]))
    }

    /// Subscribes to one filter and gives the code of the answer.
    pub(super) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<u8, LinkError> {
        let subscription = Subscription {
            filter: filter.as_bytes(),
            options: qos,
        };
        self.say(|out, level| write::subscribe(out, level, 1, &[], &[subscription]))?;
        self.flush()?;
        let codes = self.wait("SUBSCRIBE", |got| match got {
            Got::Suback(codes) => Some(codes.clone()),
            _ => None,
        })?;
        let code = codes.first().copied();
        code.ok_or_else(|| LinkError::Garbage("a SUBACK without a code".into()))
    }

    /// Takes the first packet that `choose` wants; others stay for later.
    pub(super) fn wait<T>(
        &mut self,
        to: &'static str,
        choose: impl Fn(&Got) -> Option<T>,
    ) -> Result<T, LinkError> {
        let timeout = self.timeout;
        self.within(timeout, choose)?.ok_or(LinkError::NoAnswer {
            to,
            milliseconds: timeout.as_millis(),
        })
    }

    /// The same; `None` when nothing of the kind came in time.
    pub(super) fn within<T>(
        &mut self,
        time: Duration,
        choose: impl Fn(&Got) -> Option<T>,
    ) -> Result<Option<T>, LinkError> {
        let until = Instant::now() + time;
        loop {
            for index in 0..self.waiting.len() {
                if let Some(chosen) = self.waiting.get(index).and_then(&choose) {
                    self.waiting.remove(index);
                    return Ok(Some(chosen));
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            wait_for(&mut [self], until)?;
            self.receive()?;
        }
    }

    /// The next message, at any QoS.
    pub(super) fn message(&mut self, time: Duration) -> Result<Option<Message>, LinkError> {
        self.within(time, |got| match got {
            Got::Publish(message) => Some(message.clone()),
            _ => None,
        })
    }

    /// All that came and was not taken.
    pub(super) fn take_all(&mut self) -> Result<VecDeque<Got>, LinkError> {
        self.receive()?;
        Ok(std::mem::take(&mut self.waiting))
    }

    /// Reads what is there.
    fn receive(&mut self) -> Result<(), LinkError> {
        self.flush()?;
        loop {
            let filled = self.link.fill()?;
            while let Some((first_byte, body)) = self.link.inbox.take_packet()? {
                let packet = handshake::checked(parse(first_byte, body, self.level))?;
                self.waiting.push_back(got(&packet)?);
                if self.waiting.len() > MOST_WAITING {
                    return Err(LinkError::Flood(MOST_WAITING));
                }
            }
            if filled.is_none() {
                return Ok(());
            }
        }
    }

    /// Says goodbye; whatever happens then is of no interest.
    pub(super) fn leave(mut self) {
        handshake::write_disconnect(&mut self.link, self.level, true);
        let _ = self.flush();
    }
}

fn got(packet: &Packet<'_>) -> Result<Got, LinkError> {
    Ok(match packet {
        Packet::Publish(publish) => Got::Publish(Message {
            topic: publish.topic.unwrap_or_default().to_vec(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id.unwrap_or(0),
        }),
        Packet::Acknowledgment(acknowledgment) => Got::Acknowledgment(
            acknowledgment.kind,
            acknowledgment.packet_id.unwrap_or(0),
            acknowledgment.reason_code.unwrap_or(0),
        ),
        Packet::Suback(suback) => Got::Suback(suback.reason_codes.to_vec()),
        Packet::Disconnect(disconnect) => {
            let reason = disconnect.reason_code;
            return Err(LinkError::Closed { reason });
        }
        other => Got::Other(other.packet_type()),
    })
}

/// Sleeps until one of them has something to read, or until then.
pub(super) fn wait_for(callers: &mut [&mut Caller], until: Instant) -> Result<(), LinkError> {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: with 0 it would ask again and again.
    let millis = u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
    let mut fds: Vec<PollFd<'_>> = callers
        .iter()
        .map(|caller| {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, caller.link.wants_write());
            PollFd::new(caller.link.socket().as_fd(), flags)
        })
        .collect();
    match poll(&mut fds, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(LinkError::Broken(error.into())),
    }
}
