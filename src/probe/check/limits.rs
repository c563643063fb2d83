//! What the broker says of its limits in a CONNACK of MQTT 5.

use serde_json::Value;

use crate::mqtt::ProtocolLevel;

use super::caller::Caller;
use super::{Judgement, Site, Verdict};

/// Messages in flight that a probe has by default.
const WINDOW: u16 = 20;

pub(super) fn limits(site: &Site<'_>) -> Vec<Verdict> {
    let welcome = if site.dialect.level == ProtocolLevel::V5 {
        Caller::open(site, "limits").map(|caller| {
            let welcome = caller.welcome;
            caller.leave();
            welcome
        })
    } else {
        return vec![Verdict::new(
            "limits",
            "limits",
            Judgement::Unknown,
            "a broker tells its limits in MQTT 5 only",
            Value::Null,
        )];
    };
    let welcome = match welcome {
        Ok(welcome) => welcome,
        Err(error) => return vec![Verdict::of("limits", "limits", Err(error))],
    };
    let packet = match welcome.maximum_packet {
        Some(size) => (format!("{size} bytes"), Value::from(size)),
        None => ("no limit said".to_owned(), Value::Null),
    };
    let qos = welcome.maximum_qos;
    let window = welcome.receive_maximum;
    let small = window < WINDOW;
    let mut receive = Verdict::new(
        "receive_maximum",
        "Receive Maximum",
        if small {
            Judgement::Note
        } else {
            Judgement::Ok
        },
        format!("{window} messages of QoS 1 and 2 in flight"),
        window,
    );
    if small {
        receive = receive.advise("fewer than --window: the broker's limit holds");
    }
    vec![
        receive,
        Verdict::new(
            "maximum_packet",
            "Maximum Packet Size",
            Judgement::Ok,
            packet.0,
            packet.1,
        ),
        Verdict::new(
            "maximum_qos",
            "Maximum QoS",
            if qos < 2 {
                Judgement::Note
            } else {
                Judgement::Ok
            },
            qos.to_string(),
            qos,
        ),
        Verdict::new(
            "topic_alias_maximum",
            "Topic Alias Maximum",
            Judgement::Ok,
            match welcome.topic_alias_maximum {
                0 => "none".to_owned(),
                count => format!("{count} aliases"),
            },
            welcome.topic_alias_maximum,
        ),
    ]
}
