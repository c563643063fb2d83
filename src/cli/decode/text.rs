//! One line per packet, for people.

use std::io::{self, Write};

use jiff::Timestamp as Calendar;

use crate::analysis::PacketEvent;
use crate::mqtt::{Packet, PacketType, reason_text};
use crate::results::{PacketRow, escape};
use crate::tcp::Endpoint;

use super::Line;
use crate::cli::args::PayloadFormat;

/// What is to be shown besides the row.
pub(in crate::cli) struct Shown {
    pub(super) payload: PayloadFormat,
    pub(super) credentials: bool,
    /// Paths of the files; empty if there is only one.
    pub(super) files: Vec<Vec<u8>>,
    pub(super) color: bool,
}

pub(super) struct TextPrinter<W: Write> {
    out: W,
    shown: Shown,
    line: String,
}

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

impl<W: Write> TextPrinter<W> {
    pub(super) fn new(out: W, shown: Shown) -> Self {
        Self {
            out,
            shown,
            line: String::new(),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// `frame  time  source → destination  TYPE  fields  note`
    pub(super) fn print(
        &mut self,
        row: &PacketRow<'_>,
        file: u32,
        line: &Line<'_>,
    ) -> io::Result<()> {
        let paint = |code: &'static str| if self.shown.color { code } else { "" };
        let out = &mut self.line;
        out.clear();
        if let Some(path) = self.shown.files.get(file as usize) {
            out.push_str(&escape(path));
            out.push(':');
        }
        let source = Endpoint {
            address: row.src_addr,
            port: row.src_port,
        };
        let destination = Endpoint {
            address: row.dst_addr,
            port: row.dst_port,
        };
        out.push_str(&format!(
            "{:>6}  {}{}{}  {source} → {destination}  {}{:<11}{}",
            row.frame,
            paint(DIM),
            clock(row.time_ns.as_nanos()),
            paint(RESET),
            paint(BOLD),
            row.packet_type,
            paint(RESET),
        ));
        if let Line::Packet(event) = line {
            fields(out, row, event, &self.shown);
        }
        if let Some(note) = &row.note
            && note.0 != b"level assumed"
        {
            out.push_str(&format!(
                "  {}[{}]{}",
                paint(RED),
                escape(note.0),
                paint(RESET)
            ));
        }
        let trimmed = out.trim_end().len();
        out.truncate(trimmed);
        out.push('\n');
        self.out.write_all(out.as_bytes())
    }
}

/// Time of day with the date, in UTC.
fn clock(nanos: i64) -> String {
    Calendar::from_nanosecond(i128::from(nanos)).map_or_else(
        |_| format!("{nanos} ns"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S%.9f").to_string(),
    )
}

fn fields(out: &mut String, row: &PacketRow<'_>, event: &PacketEvent<'_>, shown: &Shown) {
    if let Some(qos) = row.qos {
        out.push_str(&format!(" q{qos}"));
    }
    if row.dup == Some(true) {
        out.push_str(" dup");
    }
    if row.retain == Some(true) {
        out.push_str(" retain");
    }
    if let Some(id) = row.packet_id {
        out.push_str(&format!(" id={id}"));
    }
    match &event.parsed.packet {
        Packet::Connect(connect) => {
            let name = |bytes: Option<&[u8]>| escape(bytes.unwrap_or_default()).into_owned();
            out.push_str(&format!(
                " v{} client={}",
                version(connect.level_byte),
                name(connect.client_id)
            ));
            if let Some(clean) = connect.clean_start() {
                out.push_str(if clean { " clean" } else { " keep-session" });
            }
            if let Some(seconds) = connect.keep_alive {
                out.push_str(&format!(" keep-alive={seconds}s"));
            }
            if let Some(will) = &connect.will {
                out.push_str(&format!(" will={}", name(will.topic)));
            }
            if let Some(user) = connect.user_name {
                let user = if shown.credentials {
                    name(Some(user))
                } else {
                    "(hidden)".to_owned()
                };
                out.push_str(&format!(" user={user}"));
            }
        }
        Packet::Publish(publish) => {
            match event.topic {
                Some(topic) => out.push_str(&format!(" {}", escape(topic))),
                None => out.push_str(" (unknown topic)"),
            }
            match publish.payload_length {
                Some(length) => out.push_str(&format!("  {length} bytes")),
                None => out.push_str("  (unknown length)"),
            }
            payload(out, publish.payload, shown.payload);
        }
        Packet::Subscribe(packet) => {
            for subscription in packet.subscriptions {
                out.push_str(&format!(
                    " {} (q{})",
                    escape(subscription.filter),
                    subscription.qos()
                ));
            }
        }
        Packet::Unsubscribe(packet) => {
            for filter in packet.filters {
                out.push_str(&format!(" {}", escape(filter)));
            }
        }
        Packet::Suback(packet) => codes(out, event, packet.reason_codes),
        Packet::Unsuback(packet) => codes(out, event, packet.reason_codes),
        _ => {}
    }
    if let Packet::Connack(connack) = &event.parsed.packet
        && connack.session_present() == Some(true)
    {
        out.push_str(" session-present");
    }
    if let Some(code) = row.reason_code {
        out.push_str(&format!(" {}", reason(event, code)));
    }
}

fn version(level: Option<u8>) -> String {
    match level {
        Some(3) => "3.1".to_owned(),
        Some(4) => "3.1.1".to_owned(),
        Some(level) => level.to_string(),
        None => "?".to_owned(),
    }
}

fn codes(out: &mut String, event: &PacketEvent<'_>, codes: &[u8]) {
    for &code in codes {
        out.push_str(&format!(" {}", reason(event, code)));
    }
}

fn reason(event: &PacketEvent<'_>, code: u8) -> String {
    let packet_type: PacketType = event.header.packet_type();
    match reason_text(packet_type, code, event.state.level) {
        Some(text) => format!("{code} ({text})"),
        None => format!("{code}"),
    }
}

fn payload(out: &mut String, bytes: &[u8], format: PayloadFormat) {
    match format {
        PayloadFormat::None => {}
        PayloadFormat::Text => out.push_str(&format!("  {}", escape(bytes))),
        PayloadFormat::Base64 => out.push_str(&format!("  {}", base64(bytes))),
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
