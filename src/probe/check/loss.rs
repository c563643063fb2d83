//! Whether a broker loses what it acknowledged, when more is in flight than it keeps.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::mqtt::PacketType;
use crate::probe::error::LinkError;

use super::caller::{Caller, Got, wait_for};
use super::{Judgement, Site, Verdict};

/// Messages in all, and at most in flight.
const MESSAGES: u16 = 2_000;
const WINDOW: u16 = 500;
/// Nothing that is on its way takes longer, when all else has stopped.
const QUIET: Duration = Duration::from_secs(2);

/// Publishes at QoS 2 with a wide window, to a subscriber that acknowledges nothing until all is
/// acknowledged to the publisher, and then everything.
pub(super) fn wide_window(site: &Site<'_>) -> Verdict {
    let (check, title) = ("loss_wide_window", "acknowledged is kept");
    let ask = || {
        let topic = site.topic("loss");
        let mut subscriber = Caller::open(site, "loss-s")?;
        subscriber.subscribe(&topic, 2)?;
        let mut publisher = Caller::open(site, "loss-p")?;
        let mut run = Run {
            window: WINDOW.min(publisher.welcome.receive_maximum),
            ..Run::default()
        };
        run.publish_all(&mut publisher, &mut subscriber, &topic)?;
        run.fetch_all(&mut subscriber)?;
        publisher.leave();
        subscriber.leave();
        Ok(run.verdict(check, title))
    };
    Verdict::of(check, title, ask())
}

#[derive(Default)]
struct Run {
    window: u16,
    sent: u16,
    completed: BTreeSet<u16>,
    refused: BTreeSet<u16>,
    /// Numbers, which are the payloads, of messages that came.
    came: BTreeSet<u16>,
    /// To be answered when the subscriber begins to.
    unanswered: Vec<Got>,
}

impl Run {
    fn publish_all(
        &mut self,
        publisher: &mut Caller,
        subscriber: &mut Caller,
        topic: &str,
    ) -> Result<(), LinkError> {
        let mut last = Instant::now();
        while self.done() < MESSAGES && last.elapsed() < QUIET {
            while self.sent < MESSAGES && self.sent - self.done() < self.window {
                self.sent += 1;
                publisher.publish(2, self.sent, topic, &self.sent.to_be_bytes(), false)?;
            }
            wait_for(&mut [publisher, subscriber], Instant::now() + QUIET)?;
            for got in publisher.take_all()? {
                self.handshake(publisher, &got)?;
                last = Instant::now();
            }
            publisher.flush()?;
            self.unanswered.extend(subscriber.take_all()?);
        }
        Ok(())
    }

    /// Messages whose handshake is over, with success or without.
    fn done(&self) -> u16 {
        u16::try_from(self.completed.len() + self.refused.len()).unwrap_or(u16::MAX)
    }

    fn handshake(&mut self, publisher: &mut Caller, got: &Got) -> Result<(), LinkError> {
        match *got {
            Got::Acknowledgment(PacketType::Pubrec, id, 0x80..) => {
                self.refused.insert(id);
            }
            Got::Acknowledgment(PacketType::Pubrec, id, _) => {
                publisher.acknowledge(PacketType::Pubrel, id)?;
            }
            Got::Acknowledgment(PacketType::Pubcomp, id, _) if id <= self.sent => {
                self.completed.insert(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// The subscriber answers from now on, until nothing comes any more.
    fn fetch_all(&mut self, subscriber: &mut Caller) -> Result<(), LinkError> {
        let mut last = Instant::now();
        let mut waiting = std::mem::take(&mut self.unanswered);
        loop {
            for got in waiting.drain(..) {
                last = Instant::now();
                match got {
                    Got::Publish(message) => {
                        if let Ok(number) = message.payload.try_into() {
                            self.came.insert(u16::from_be_bytes(number));
                        }
                        match message.qos {
                            1 => subscriber.acknowledge(PacketType::Puback, message.packet_id)?,
                            2 => subscriber.acknowledge(PacketType::Pubrec, message.packet_id)?,
                            _ => {}
                        }
                    }
                    Got::Acknowledgment(PacketType::Pubrel, id, _) => {
                        subscriber.acknowledge(PacketType::Pubcomp, id)?;
                    }
                    _ => {}
                }
            }
            subscriber.flush()?;
            if last.elapsed() >= QUIET || self.completed.is_subset(&self.came) {
                return Ok(());
            }
            wait_for(&mut [subscriber], last + QUIET)?;
            waiting.extend(subscriber.take_all()?);
        }
    }

    fn verdict(&self, check: &'static str, title: &'static str) -> Verdict {
        let completed = self.completed.len();
        let lost = self.completed.difference(&self.came).count();
        if completed == 0 {
            let answer = "not known: nothing was acknowledged";
            return Verdict::new(
                check,
                title,
                Judgement::Unknown,
                answer,
                serde_json::Value::Null,
            );
        }
        if lost == 0 {
            let answer = format!(
                "all {completed} acknowledged messages of QoS 2 came (window {}, a slow subscriber)",
                self.window
            );
            return Verdict::new(check, title, Judgement::Ok, answer, 0);
        }
        let answer = format!(
            "{lost} of {completed} acknowledged messages of QoS 2 never came (window {}, a slow \
             subscriber)",
            self.window
        );
        Verdict::new(check, title, Judgement::Warning, answer, lost).advise(
            "its queue for a subscriber was full: keep the rate below what subscribers take and \
             --window at 20 or below, or let it queue more (mosquitto: max_queued_messages 0 and \
             max_inflight_messages 0)",
        )
    }
}
