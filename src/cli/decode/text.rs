//! One line per packet, for people.

use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp as Calendar;

use crate::analysis::{PacketEvent, Schemas};
use crate::mqtt::{Packet, PacketType, reason_text};
use crate::results::{PacketRow, escape};
use crate::tcp::Endpoint;

use super::Line;
use super::payload::readable;
use crate::cli::args::PayloadFormat;

/// What is to be shown besides the row.
pub(in crate::cli) struct Shown {
    pub(super) payload: PayloadFormat,
    pub(super) credentials: bool,
    /// Paths of the files; empty if there is only one.
    pub(super) files: Vec<Vec<u8>>,
    pub(super) color: bool,
    /// Protobuf types of payloads.
    pub(super) schemas: Arc<Schemas>,
}

pub(super) struct TextPrinter<W: Write> {
    out: W,
    shown: Shown,
    /// Names of the files, without the directories that all of them are in.
    files: Vec<String>,
    /// Width of the longest of these.
    file_width: usize,
    /// Width of the longest address so far: each of the two columns is as wide.
    address_width: usize,
    line: String,
}

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

impl<W: Write> TextPrinter<W> {
    pub(super) fn new(out: W, shown: Shown) -> Self {
        let files: Vec<String> = short_names(&shown.files);
        Self {
            out,
            shown,
            file_width: files.iter().map(|f| f.chars().count()).max().unwrap_or(0),
            files,
            address_width: 0,
            line: String::new(),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// `file  frame  time  source → destination  TYPE  fields  ! note`
    pub(super) fn print(
        &mut self,
        row: &PacketRow<'_>,
        file: u32,
        line: &Line<'_>,
    ) -> io::Result<()> {
        let paint = |code: &'static str| if self.shown.color { code } else { "" };
        let out = &mut self.line;
        out.clear();
        if let Some(name) = self.files.get(file as usize) {
            out.push_str(&format!("{name:<width$} ", width = self.file_width));
        }
        let source = Endpoint {
            address: row.src_addr,
            port: row.src_port,
        };
        let destination = Endpoint {
            address: row.dst_addr,
            port: row.dst_port,
        };
        let (source, destination) = (source.to_string(), destination.to_string());
        self.address_width = self.address_width.max(source.len()).max(destination.len());
        let width = self.address_width;
        out.push_str(&format!(
            "{:>6}  {}{}{}  {source:<width$} → {destination:<width$}  {}{:<11}{}",
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
        if let Some(note) = row.note.as_ref().and_then(|note| worth_showing(note.0)) {
            let broken = [&b"malformed:"[..], b"violation:"];
            let is_broken = broken
                .iter()
                .any(|word| note.windows(word.len()).any(|part| part == *word));
            let code = paint(if is_broken { RED } else { YELLOW });
            out.push_str(&format!("  {code}! {}{}", escape(note), paint(RESET)));
        }
        let trimmed = out.trim_end().len();
        out.truncate(trimmed);
        out.push('\n');
        self.out.write_all(out.as_bytes())
    }
}

/// A line is for reading: longer text is cut in it, and whole in the other formats.
const LONGEST_TEXT: usize = 200;

/// Text from the network for a line: escaped, and cut where it is very long.
fn brief(bytes: &[u8]) -> String {
    match bytes.get(..LONGEST_TEXT) {
        Some(kept) if kept.len() < bytes.len() => {
            // Not within a character.
            let end = (LONGEST_TEXT.saturating_sub(3)..=LONGEST_TEXT)
                .rev()
                .find(|&end| bytes.get(end).is_none_or(|byte| byte & 0xc0 != 0x80))
                .unwrap_or(LONGEST_TEXT);
            let kept = bytes.get(..end).unwrap_or(kept);
            format!("{}… ({} bytes)", escape(kept), bytes.len())
        }
        _ => escape(bytes).into_owned(),
    }
}

/// Paths without the directories that all of them have in common, escaped.
fn short_names(paths: &[Vec<u8>]) -> Vec<String> {
    let first = paths.first().map_or(&[][..], Vec::as_slice);
    let common = paths.iter().fold(first.len(), |length, path| {
        let same = first.iter().zip(path).take_while(|(a, b)| a == b).count();
        length.min(same)
    });
    let directory = first
        .get(..common)
        .and_then(|common| common.iter().rposition(|&byte| byte == b'/'))
        .map_or(0, |slash| slash + 1);
    paths
        .iter()
        .map(|path| escape(path.get(directory..).unwrap_or(path)).into_owned())
        .collect()
}

/// That a level is assumed is no news to a reader: it is the usual one, and CONNECT was missed.
fn worth_showing(note: &[u8]) -> Option<&[u8]> {
    let note = note.strip_suffix(b"level assumed").unwrap_or(note);
    let note = note.strip_suffix(b"; ").unwrap_or(note);
    (!note.is_empty()).then_some(note)
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
            let name = |bytes: Option<&[u8]>| brief(bytes.unwrap_or_default());
            let client = match name(connect.client_id) {
                client if client.is_empty() => "\"\"".to_owned(),
                client => client,
            };
            out.push_str(&format!(
                " v{} client={client}",
                version(connect.level_byte)
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
                Some(topic) => out.push_str(&format!(" {}", brief(topic))),
                None => out.push_str(" (unknown topic)"),
            }
            match publish.payload_length {
                Some(1) => out.push_str("  1 byte"),
                Some(length) => out.push_str(&format!("  {length} bytes")),
                None => out.push_str("  (unknown length)"),
            }
            match shown.payload {
                PayloadFormat::None => {}
                PayloadFormat::Text => readable(out, event.topic, publish, &shown.schemas),
                PayloadFormat::Base64 => out.push_str(&format!("  {}", base64(publish.payload))),
            }
        }
        Packet::Subscribe(packet) => {
            for subscription in packet.subscriptions {
                out.push_str(&format!(
                    " {} (q{})",
                    brief(subscription.filter),
                    subscription.qos()
                ));
            }
        }
        Packet::Unsubscribe(packet) => {
            for filter in packet.filters {
                out.push_str(&format!(" {}", brief(filter)));
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

pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(brief(b"house/room"), "house/room");
        let exact = "a".repeat(LONGEST_TEXT);
        assert_eq!(brief(exact.as_bytes()), exact);
        let long = "ü".repeat(101);
        assert_eq!(
            brief(long.as_bytes()),
            format!("{}… (202 bytes)", "ü".repeat(100))
        );
        let long = format!("a{}", "ü".repeat(101));
        assert_eq!(
            brief(long.as_bytes()),
            format!("a{}… (203 bytes)", "ü".repeat(99))
        );
        // Not UTF-8 at all: cut all the same.
        assert!(brief(&[0x80; 300]).ends_with("… (300 bytes)"));
    }

    #[test]
    fn common_directories_are_not_repeated() {
        let names = |paths: &[&str]| {
            let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
            short_names(&paths)
        };
        assert_eq!(names(&["a/b.pcap", "a/bc.pcap"]), ["b.pcap", "bc.pcap"]);
        assert_eq!(
            names(&["a/x/1.pcap", "a/y/1.pcap"]),
            ["x/1.pcap", "y/1.pcap"]
        );
        assert_eq!(names(&["1.pcap", "-"]), ["1.pcap", "-"]);
        assert_eq!(names(&["a/1.pcap", "a/1.pcap"]), ["1.pcap", "1.pcap"]);
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn only_news_is_shown() {
        assert_eq!(worth_showing(b"level assumed"), None);
        assert_eq!(
            worth_showing(b"violation: x; level assumed"),
            Some(&b"violation: x"[..])
        );
        assert_eq!(
            worth_showing(b"3 bytes missing"),
            Some(&b"3 bytes missing"[..])
        );
    }
}
