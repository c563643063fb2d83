//! Display filters of Wireshark that show the frames concerned.

use std::fmt::Write;
use std::net::IpAddr;

use crate::results::is_unsafe;
use crate::tcp::Endpoint;

/// Text longer than this is not put into a filter.
const LONGEST: usize = 512;

/// Appends a comparison with text: `mqtt.topic == "house/room"`. Tells whether it did: Wireshark
/// shows other than well-formed UTF-8 differently from what is on the wire, and ends text at a
/// NUL, so such text cannot be looked for.
pub(super) fn text(out: &mut String, field: &str, bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
        return false;
    }
    and(out);
    out.push_str(field);
    out.push_str(" == \"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            unsafe_character if is_unsafe(unsafe_character) => {
                for byte in unsafe_character.encode_utf8(&mut [0; 4]).bytes() {
                    // A write to a string does not fail.
                    _ = write!(out, "\\x{byte:02x}");
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
    true
}

/// Appends a comparison with a number.
pub(super) fn number(out: &mut String, field: &str, value: u64) {
    and(out);
    _ = write!(out, "{field} == {value}");
}

/// Appends what the frames of a connection have in common, both ways.
pub(super) fn connection(out: &mut String, ends: [Endpoint; 2]) {
    for end in ends {
        and(out);
        let (field, address) = match end.address {
            IpAddr::V4(_) => ("ip.addr", end.address),
            IpAddr::V6(_) => ("ipv6.addr", end.address),
        };
        _ = write!(out, "{field} == {address} && tcp.port == {}", end.port);
    }
}

/// Appends that frames are wanted from a time on, which is cut to microseconds.
pub(super) fn since(out: &mut String, nanos: Option<i64>) {
    let Some(nanos) = nanos.filter(|nanos| *nanos >= 0) else {
        return;
    };
    and(out);
    let micros = nanos / 1000;
    _ = write!(
        out,
        "frame.time_epoch >= {}.{:06}",
        micros / 1_000_000,
        micros % 1_000_000
    );
}

fn and(out: &mut String) {
    if !out.is_empty() {
        out.push_str(" && ");
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    fn comparison(bytes: &[u8]) -> Option<String> {
        let mut out = String::new();
        text(&mut out, "mqtt.topic", bytes).then_some(out)
    }

    #[test]
    fn hostile_text_cannot_leave_its_quotes() {
        assert_eq!(
            comparison(b"a\" || frame || \"\\").unwrap(),
            r#"mqtt.topic == "a\" || frame || \"\\""#
        );
        assert_eq!(
            comparison("Küche\n\u{202e}".as_bytes()).unwrap(),
            r#"mqtt.topic == "Küche\x0a\xe2\x80\xae""#
        );
        assert_eq!(comparison(b"a\0b"), None);
        assert_eq!(comparison(b"\xff"), None);
        assert_eq!(comparison(b""), None);
        assert_eq!(comparison(&[b'a'; 513]), None);
    }

    #[test]
    fn connections_are_told_by_both_ends() {
        let end = |address: &str, port| Endpoint {
            address: address.parse().unwrap(),
            port,
        };
        let mut out = String::new();
        connection(&mut out, [end("10.0.0.1", 40_000), end("10.0.0.2", 1883)]);
        assert_eq!(
            out,
            "ip.addr == 10.0.0.1 && tcp.port == 40000 && ip.addr == 10.0.0.2 && tcp.port == 1883"
        );
        let mut out = String::new();
        connection(&mut out, [end("fd00::1", 1), end("fd00::2", 2)]);
        assert!(out.starts_with("ipv6.addr == fd00::1 && "), "{out}");
    }

    #[test]
    fn exchanges_are_told_by_identifier_and_time() {
        let mut out = String::new();
        number(&mut out, "mqtt.msgid", 7);
        since(&mut out, Some(1_700_000_000_000_001_999));
        since(&mut out, None);
        assert_eq!(
            out,
            "mqtt.msgid == 7 && frame.time_epoch >= 1700000000.000001"
        );
    }
}
