//! Checks that publish a message or two and see what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::mqtt::{PacketType, reason_text};
use crate::probe::error::LinkError;

use super::caller::{Caller, Got};
use super::{Judgement, Site, Verdict};

/// `$SYS` has come when nothing came for so long.
const SYS_QUIET: Duration = Duration::from_millis(300);
/// Topics below `$SYS` that are looked at; a broker that has more is known by then.
const MOST_SYS: usize = 1_000;
/// What goes on at PUBLISH is there long before that, unless the network is very slow.
const BEFORE_PUBREL: Duration = Duration::from_millis(300);

/// Which broker it is, and whether it counts what it does.
pub(super) fn broker(site: &Site<'_>) -> Vec<Verdict> {
    let topics = match sys(site) {
        Ok(topics) => topics,
        Err(error) => return vec![Verdict::of("sys", "$SYS", Err(error))],
    };
    let version = topics.get(&b"$SYS/broker/version"[..]);
    let version = version.map(|text| String::from_utf8_lossy(text).into_owned());
    let known = version.is_some();
    let value = version.clone().map_or(Value::Null, Value::from);
    let mut all = Verdict::new(
        "sys",
        "$SYS",
        if topics.is_empty() {
            Judgement::Note
        } else {
            Judgement::Ok
        },
        match topics.len() {
            0 => "no counters".to_owned(),
            count => format!("{count} topics"),
        },
        topics.len(),
    );
    if topics.is_empty() {
        all = all.advise(
            "the broker's own counts cannot be set beside the measurement; they may be switched \
             off, or this user may not read them",
        );
    }
    vec![
        Verdict::new(
            "version",
            "broker",
            if known {
                Judgement::Ok
            } else {
                Judgement::Unknown
            },
            version.unwrap_or_else(|| "does not say what it is ($SYS/broker/version)".to_owned()),
            value,
        ),
        all,
    ]
}

fn sys(site: &Site<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, LinkError> {
    let mut caller = Caller::open(site, "sys")?;
    let mut topics = BTreeMap::new();
    if caller.subscribe("$SYS/#", 0)? < 0x80 {
        while let Some(message) = caller.message(SYS_QUIET)? {
            topics.insert(message.topic, message.payload);
            if topics.len() >= MOST_SYS {
                break;
            }
        }
    }
    caller.leave();
    Ok(topics)
}

/// The QoS that a subscription of QoS 2 gets.
pub(super) fn granted_qos(site: &Site<'_>) -> Verdict {
    let (check, title) = ("granted_qos", "granted QoS");
    let ask = || {
        let mut caller = Caller::open(site, "granted")?;
        let code = caller.subscribe(&site.topic("granted"), 2)?;
        caller.leave();
        Ok(match code {
            2 => Verdict::new(check, title, Judgement::Ok, "2, as asked for", 2),
            0 | 1 => Verdict::new(
                check,
                title,
                Judgement::Warning,
                format!("{code}, where 2 was asked for"),
                code,
            )
            .advise("messages come at a lower QoS than --sub-qos says"),
            code => Verdict::new(
                check,
                title,
                Judgement::Warning,
                refusal(site, code),
                Value::Null,
            )
            .advise("may this client subscribe there? --topic-prefix chooses other topics"),
        })
    };
    Verdict::of(check, title, ask())
}

fn refusal(site: &Site<'_>, code: u8) -> String {
    let text = reason_text(PacketType::Suback, code, site.dialect.level);
    format!("refused: {} (code {code})", text.unwrap_or("unknown code"))
}

/// Whether a retained message is kept; it is taken away again.
pub(super) fn retained(site: &Site<'_>) -> Verdict {
    let (check, title) = ("retained", "retained messages");
    let ask = || {
        let topic = site.topic("retained");
        let mut publisher = Caller::open(site, "retain-p")?;
        if !publisher.welcome.retain_available {
            publisher.leave();
            return Ok(Verdict::new(
                check,
                title,
                Judgement::Note,
                "not available",
                false,
            ));
        }
        publisher.publish(1, 1, &topic, b"kept", true)?;
        acknowledged(&mut publisher, PacketType::Puback, 1)?;
        let mut subscriber = Caller::open(site, "retain-s")?;
        subscriber.subscribe(&topic, 0)?;
        let kept = subscriber.message(subscriber.timeout())?;
        publisher.publish(1, 2, &topic, b"", true)?;
        acknowledged(&mut publisher, PacketType::Puback, 2)?;
        publisher.leave();
        subscriber.leave();
        Ok(match kept {
            Some(message) if message.retain => Verdict::new(
                check,
                title,
                Judgement::Ok,
                "kept, and taken away again",
                true,
            ),
            Some(_) => Verdict::new(check, title, Judgement::Note, "come without RETAIN", false),
            None => Verdict::new(check, title, Judgement::Note, "not kept", false),
        })
    };
    Verdict::of(check, title, ask())
}

/// Waits for an acknowledgement that is none of a refusal.
fn acknowledged(caller: &mut Caller, kind: PacketType, packet_id: u16) -> Result<(), LinkError> {
    let code = caller.wait("PUBLISH", |got| match got {
        Got::Acknowledgment(k, id, code) if *k == kind && *id == packet_id => Some(*code),
        _ => None,
    })?;
    if code < 0x80 {
        return Ok(());
    }
    Err(LinkError::Garbage(format!(
        "{} refuses with code {code}",
        kind.name()
    )))
}

/// Whether a subscription with wildcards gets what it should.
pub(super) fn wildcards(site: &Site<'_>) -> Verdict {
    let (check, title) = ("wildcards", "wildcard subscriptions");
    let ask = || {
        let filter = site.topic("wild/+/#");
        let mut subscriber = Caller::open(site, "wild-s")?;
        let code = subscriber.subscribe(&filter, 0)?;
        let mut publisher = Caller::open(site, "wild-p")?;
        publisher.publish(0, 0, &site.topic("wild/a/b/c"), b"x", false)?;
        let came = code < 0x80 && subscriber.message(subscriber.timeout())?.is_some();
        subscriber.leave();
        publisher.leave();
        let answer = match (came, code) {
            (true, _) => "work".to_owned(),
            (false, 0x80..) => refusal(site, code),
            (false, _) => "accepted, but nothing comes".to_owned(),
        };
        let judgement = if came {
            Judgement::Ok
        } else {
            Judgement::Warning
        };
        let verdict = Verdict::new(check, title, judgement, answer, came);
        Ok(if came {
            verdict
        } else {
            verdict.advise("a probe with several publishers subscribes with a wildcard")
        })
    };
    Verdict::of(check, title, ask())
}

/// Whether there are shared subscriptions. No measurement needs them.
pub(super) fn shared(site: &Site<'_>) -> Verdict {
    let (check, title) = ("shared", "shared subscriptions");
    let ask = || {
        let topic = site.topic("shared");
        let mut subscriber = Caller::open(site, "share-s")?;
        let code = subscriber.subscribe(&format!("$share/group/{topic}"), 0)?;
        if code >= 0x80 {
            subscriber.leave();
            return Ok(Verdict::new(
                check,
                title,
                Judgement::Ok,
                refusal(site, code),
                false,
            ));
        }
        let mut publisher = Caller::open(site, "share-p")?;
        publisher.publish(0, 0, &topic, b"x", false)?;
        // Before MQTT 5 the filter may be one like any other, which matches nothing.
        let came = subscriber.message(subscriber.timeout().min(Duration::from_secs(1)))?;
        subscriber.leave();
        publisher.leave();
        let answer = if came.is_some() {
            "work"
        } else {
            "not at this version of MQTT"
        };
        Ok(Verdict::new(
            check,
            title,
            Judgement::Ok,
            answer,
            came.is_some(),
        ))
    };
    Verdict::of(check, title, ask())
}

/// When a message published at QoS 2 goes on to subscribers.
pub(super) fn qos2_forwarding(site: &Site<'_>) -> Verdict {
    let (check, title) = ("qos2_forwarding", "QoS 2 is forwarded");
    let ask = || {
        let topic = site.topic("qos2");
        let mut subscriber = Caller::open(site, "qos2-s")?;
        subscriber.subscribe(&topic, 0)?;
        let mut publisher = Caller::open(site, "qos2-p")?;
        publisher.publish(2, 1, &topic, b"x", false)?;
        acknowledged(&mut publisher, PacketType::Pubrec, 1)?;
        let early = subscriber.message(BEFORE_PUBREL)?.is_some();
        publisher.acknowledge(PacketType::Pubrel, 1)?;
        acknowledged(&mut publisher, PacketType::Pubcomp, 1)?;
        let came = early || subscriber.message(subscriber.timeout())?.is_some();
        publisher.leave();
        subscriber.leave();
        Ok(match (early, came) {
            (true, _) => Verdict::new(check, title, Judgement::Note, "at PUBLISH", "publish")
                .advise(
                    "the delay of QoS 2 has no round trip more than that of QoS 1: do not compare \
                     it with that of a broker that forwards at PUBREL",
                ),
            (false, true) => Verdict::new(check, title, Judgement::Note, "at PUBREL", "pubrel")
                .advise(
                    "the delay of QoS 2 holds a round trip to the broker more: do not compare it \
                     with that of a broker that forwards at PUBLISH",
                ),
            (false, false) => {
                Verdict::new(check, title, Judgement::Warning, "not at all", Value::Null)
            }
        })
    };
    Verdict::of(check, title, ask())
}
