//! Nagle's algorithm at the broker, seen from outside.
//!
//! With it, a broker that writes a small packet while an earlier one is not acknowledged by TCP
//! holds it back. A receiver that has nothing to say acknowledges up to 40 ms late, so messages
//! that follow each other closely come in clumps: a delay that is no network's, and that differs
//! by QoS, because acknowledgements of MQTT carry those of TCP.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::mqtt::{PacketType, write};
use crate::probe::error::LinkError;

use super::caller::{Caller, Got};
use super::{Judgement, Site, Verdict};

/// Rounds, each of messages that follow each other so closely.
const ROUNDS: usize = 5;
const MESSAGES: usize = 8;
const GAP: Duration = Duration::from_millis(4);
/// Talk to and fro, after which TCP expects more of it and acknowledges late.
const TALKS: usize = 12;
/// After so much silence TCP has acknowledged everything.
const SILENCE: Duration = Duration::from_millis(100);
/// That much later than a single message, at the median, is Nagle's work.
const HELD: Duration = Duration::from_millis(5);

pub(super) fn nagle(site: &Site<'_>) -> Verdict {
    let (check, title) = ("nagle", "Nagle's algorithm");
    let ask = || {
        let topic = site.topic("nagle");
        let mut subscriber = Caller::open(site, "nagle-s")?;
        subscriber.subscribe(&topic, 0)?;
        let mut publisher = Caller::open(site, "nagle-p")?;
        let (mut single, mut close) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            sleep(SILENCE);
            publisher.publish(0, 0, &topic, b"x", false)?;
            single.push(came(&mut subscriber)?);
            talk(&mut subscriber)?;
            close.push(follow(&mut publisher, &mut subscriber, &topic)?);
        }
        publisher.leave();
        subscriber.leave();
        Ok(verdict(
            check,
            title,
            median(&mut single),
            median(&mut close),
        ))
    };
    Verdict::of(check, title, ask())
}

fn verdict(check: &'static str, title: &'static str, single: Duration, close: Duration) -> Verdict {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let held = close.saturating_sub(single);
    let answer = format!(
        "{:.1} ms for messages that follow each other closely, {:.1} ms for single ones",
        millis(close),
        millis(single),
    );
    if held < HELD {
        let answer = format!("off: {answer}");
        return Verdict::new(check, title, Judgement::Ok, answer, false);
    }
    let answer = format!("on: {answer}");
    Verdict::new(check, title, Judgement::Warning, answer, true).advise(
        "the broker holds small packets back until TCP acknowledges earlier ones, which looks like \
         an effect of QoS or rate; switch it off (mosquitto: set_tcp_nodelay true)",
    )
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn came(subscriber: &mut Caller) -> Result<Duration, LinkError> {
    let began = Instant::now();
    let message = subscriber.message(subscriber.timeout())?;
    message.map(|_| began.elapsed()).ok_or(LinkError::NoAnswer {
        to: "a message of QoS 0",
        milliseconds: subscriber.timeout().as_millis(),
    })
}

fn talk(subscriber: &mut Caller) -> Result<(), LinkError> {
    for _ in 0..TALKS {
        subscriber.say(|out, _| {
            write::pingreq(out);
            Ok(())
        })?;
        subscriber.flush()?;
        subscriber.wait("PINGREQ", |got| {
            (*got == Got::Other(PacketType::Pingresp)).then_some(())
        })?;
    }
    Ok(())
}

/// Messages that follow each other closely, to a subscriber that says nothing; gives the median
/// of their delays.
fn follow(
    publisher: &mut Caller,
    subscriber: &mut Caller,
    topic: &str,
) -> Result<Duration, LinkError> {
    let mut sent = Vec::new();
    let mut delays = Vec::new();
    for _ in 0..MESSAGES {
        sent.push(Instant::now());
        publisher.publish(0, 0, topic, b"x", false)?;
        // What comes meanwhile is stamped when it comes.
        let until = Instant::now() + GAP;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match subscriber.message(left.min(GAP))? {
                Some(_) => delays.push(sent.get(delays.len()).map(Instant::elapsed)),
                None => sleep(until.saturating_duration_since(Instant::now())),
            }
        }
    }
    while delays.len() < MESSAGES {
        came(subscriber)?;
        delays.push(sent.get(delays.len()).map(Instant::elapsed));
    }
    let mut delays: Vec<Duration> = delays.into_iter().flatten().collect();
    Ok(median(&mut delays))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_is_held_back_is_told_from_what_is_far_away() {
        let ms = Duration::from_millis;
        for (single, close, on) in [
            (0, 24, true),
            (0, 2, false),
            (80, 81, false),
            (80, 120, true),
        ] {
            let verdict = verdict("nagle", "", ms(single), ms(close));
            assert_eq!(verdict.value, Value::Bool(on), "{single} {close}");
        }
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        let ms = Duration::from_millis;
        assert_eq!(median(&mut [ms(9), ms(1), ms(2)]), ms(2));
        assert_eq!(median(&mut []), ms(0));
    }
}
