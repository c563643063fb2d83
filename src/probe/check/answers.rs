//! Which versions of MQTT the broker speaks.

use crate::mqtt::{PacketType, ProtocolLevel, reason_text};
use crate::probe::error::LinkError;
use crate::probe::target::Dialect;

use super::caller::Caller;
use super::{Judgement, Site, Verdict};

/// The level that the other checks speak, and a verdict for each.
pub(super) fn levels(site: &Site<'_>) -> Result<(Dialect, Vec<Verdict>), LinkError> {
    let wanted = site.dialect.level;
    let mut spoken = Vec::new();
    let mut verdicts = Vec::new();
    let mut first_error = None;
    for level in [
        ProtocolLevel::V5,
        ProtocolLevel::V3_1_1,
        ProtocolLevel::V3_1,
    ] {
        match Caller::open_at(site, level, "level") {
            Ok(caller) => {
                caller.leave();
                spoken.push(level);
                verdicts.push(accepted(level));
            }
            // Nothing is said of levels when nothing can be said at all.
            Err(error @ (LinkError::Unreachable(_) | LinkError::Tls(_))) => return Err(error),
            Err(error) => {
                verdicts.push(refused(level, &error));
                if level == wanted || first_error.is_none() {
                    first_error = Some(error);
                }
            }
        }
    }
    let level = spoken
        .iter()
        .copied()
        .find(|level| *level == wanted)
        .or(spoken.first().copied());
    match (level, first_error) {
        (Some(level), _) => Ok((
            Dialect {
                level,
                ..site.dialect.clone()
            },
            verdicts,
        )),
        (None, Some(error)) => Err(error),
        (None, None) => Err(LinkError::Closed { reason: None }),
    }
}

const fn names(level: ProtocolLevel) -> (&'static str, &'static str) {
    match level {
        ProtocolLevel::V3_1 => ("mqtt_3_1", "MQTT 3.1"),
        ProtocolLevel::V3_1_1 => ("mqtt_3_1_1", "MQTT 3.1.1"),
        ProtocolLevel::V5 => ("mqtt_5", "MQTT 5"),
    }
}

fn accepted(level: ProtocolLevel) -> Verdict {
    let (check, title) = names(level);
    Verdict::new(check, title, Judgement::Ok, "accepted", true)
}

fn refused(level: ProtocolLevel, error: &LinkError) -> Verdict {
    let (check, title) = names(level);
    let answer = match error {
        LinkError::Refused { code, level } => {
            let text = reason_text(PacketType::Connack, *code, *level);
            format!("refused: {} (code {code})", text.unwrap_or("unknown code"))
        }
        LinkError::Closed { reason: None } => "refused: the connection was closed".to_owned(),
        error => format!("refused: {error}"),
    };
    // 3.1 is history, and no measurement needs it.
    let judgement = if level == ProtocolLevel::V3_1 {
        Judgement::Ok
    } else {
        Judgement::Note
    };
    Verdict::new(check, title, judgement, answer, false)
}
