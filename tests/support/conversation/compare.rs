//! Expected and observed rows as lines, and the lines that differ.

use std::fmt;

use super::instant::Instant;
use super::script::{
    ConnectionRow, DelayRow, ExchangeRow, Expected, PacketRow, SessionRow, SubscriptionRow,
    ViolationRow,
};

/// Where the two differ: `-` was expected and is not there, `+` is there and was not expected.
/// The order of rows does not count. Empty where there is no difference.
pub(crate) fn difference(expected: &Expected, seen: &Expected) -> String {
    let mut out = String::new();
    table(
        &mut out,
        "connections",
        &expected.connections,
        &seen.connections,
    );
    table(&mut out, "sessions", &expected.sessions, &seen.sessions);
    table(&mut out, "exchanges", &expected.exchanges, &seen.exchanges);
    table(
        &mut out,
        "subscriptions",
        &expected.subscriptions,
        &seen.subscriptions,
    );
    table(
        &mut out,
        "violations",
        &expected.violations,
        &seen.violations,
    );
    table(&mut out, "delays", &expected.delays, &seen.delays);
    if let (Some(expected), Some(seen)) = (&expected.packets, &seen.packets) {
        table(&mut out, "packets", expected, seen);
    }
    out
}

fn table<R: fmt::Display>(out: &mut String, name: &str, expected: &[R], seen: &[R]) {
    let mut surplus: Vec<String> = seen.iter().map(ToString::to_string).collect();
    let mut missing: Vec<String> = Vec::new();
    for row in expected {
        let line = row.to_string();
        if let Some(index) = surplus.iter().position(|other| *other == line) {
            surplus.remove(index);
        } else {
            missing.push(line);
        }
    }
    if missing.is_empty() && surplus.is_empty() {
        return;
    }
    out.push_str(&format!("  {name}\n"));
    for line in missing {
        out.push_str(&format!("    - {line}\n"));
    }
    for line in surplus {
        out.push_str(&format!("    + {line}\n"));
    }
}

/// `name value`, or nothing where there is none.
struct Cell<T>(&'static str, Option<T>);

impl<T: fmt::Display> fmt::Display for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.1 {
            Some(value) => write!(f, " {} {value}", self.0),
            None => Ok(()),
        }
    }
}

fn cell<T: Copy>(name: &'static str, value: Option<T>) -> Cell<T> {
    Cell(name, value)
}

fn quoted(name: &'static str, value: Option<&String>) -> Cell<String> {
    Cell(name, value.map(|text| format!("{text:?}")))
}

fn flag(name: &'static str, set: bool) -> Cell<&'static str> {
    Cell(name, set.then_some("yes"))
}

fn count<T: Into<u64>>(name: &'static str, value: T) -> Cell<u64> {
    Cell(name, Some(value.into()).filter(|&value| value > 0))
}

fn time(name: &'static str, value: Option<Instant>) -> Cell<Instant> {
    cell(name, value)
}

impl fmt::Display for ConnectionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: level {} ({})", self.on, self.level, self.basis)?;
        write!(f, "{}", flag("midstream", self.midstream))?;
        write!(f, "{}", quoted("client", self.client_id.as_ref()))?;
        write!(f, "{}", cell("clean", self.clean_start))?;
        write!(f, "{}", cell("keep_alive", self.keep_alive))?;
        write!(
            f,
            "{}",
            count("keep_alive_violations", self.keep_alive_violations)
        )?;
        write!(f, "{}", cell("connack", self.connack))?;
        write!(f, "{}", cell("session_present", self.session_present))?;
        write!(f, " end {}", self.end)
    }
}

impl fmt::Display for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: connections {}", self.client_id, self.connections)?;
        write!(
            f,
            "{}{}",
            time("first", self.first),
            time("last", self.last)
        )?;
        write!(f, "{}", count("resumed", self.resumed))?;
        write!(f, "{}", count("taken_over", self.taken_over))?;
        write!(f, "{}", count("subscriptions", self.subscriptions))?;
        write!(
            f,
            "{}{}",
            count("sent", self.sent),
            count("received", self.received)
        )?;
        write!(
            f,
            "{}",
            count("keep_alive_violations", self.keep_alive_violations)
        )
    }
}

impl fmt::Display for ExchangeRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} id {}", self.on, self.direction, self.packet_id)?;
        write!(
            f,
            " qos {} {:?} sent {}",
            self.qos, self.topic, self.transmissions
        )?;
        write!(
            f,
            "{}{}",
            time("publish", self.publish),
            time("puback", self.puback)
        )?;
        write!(
            f,
            "{}{}",
            time("pubrec", self.pubrec),
            time("pubrel", self.pubrel)
        )?;
        write!(
            f,
            "{}{}",
            time("pubcomp", self.pubcomp),
            time("total", self.total)
        )?;
        write!(f, "{} {}", cell("reason", self.reason), self.outcome)
    }
}

impl fmt::Display for SubscriptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.on,
            quoted("client", self.client_id.as_ref())
        )?;
        write!(f, " {:?} requested {}", self.filter, self.requested)?;
        write!(
            f,
            "{}{}",
            cell("granted", self.granted),
            cell("reason", self.reason)
        )?;
        write!(
            f,
            "{}{}",
            time("subscribe", self.subscribe),
            time("suback", self.suback)
        )?;
        write!(f, "{}", time("unsubscribe", self.unsubscribe))
    }
}

impl fmt::Display for ViolationRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}{} {}",
            self.on,
            self.packet,
            time("at", self.at),
            self.code
        )
    }
}

impl fmt::Display for DelayRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}{}",
            self.kind,
            self.direction,
            time("is", self.delay)
        )
    }
}

impl fmt::Display for PacketRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.on, self.direction, self.packet)?;
        write!(
            f,
            "{}{}",
            time("first", self.first),
            time("last", self.last)
        )?;
        write!(f, "{}", quoted("topic", self.topic.as_ref()))
    }
}
