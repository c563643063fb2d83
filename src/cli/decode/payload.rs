//! Payloads for people.

use serde_json::{Value, json};

use crate::analysis::{Schemas, sample};
use crate::mqtt::Publish;
use crate::payload::{self, Decoded};
use crate::results::{escape, is_unsafe};

/// Appends a payload as what it is: JSON compactly, a Protobuf message with the names of its
/// fields, text escaped, anything else in hexadecimal.
pub(super) fn readable(
    out: &mut String,
    topic: Option<&[u8]>,
    publish: &Publish<'_>,
    schemas: &Schemas,
) {
    let Some(sample) = sample(publish) else {
        return;
    };
    match payload::decode(&sample, schemas.of(topic)) {
        Decoded::Empty => {}
        Decoded::Json(json) => {
            out.push_str("  ");
            push_json(out, &json);
        }
        Decoded::Protobuf(message) => {
            out.push_str(&format!("  {} ", message.name));
            push_json(out, &message.value.to_string());
            if !message.unknown.is_empty() {
                let numbers: Vec<String> = message.unknown.iter().map(u32::to_string).collect();
                out.push_str(&format!(" (unknown fields: {})", numbers.join(", ")));
            }
        }
        Decoded::Text(text) => out.push_str(&format!("  {}", escape(text.as_bytes()))),
        Decoded::TextNul(text) => {
            out.push_str(&format!(
                "  {}\\x00 (ends with NUL)",
                escape(text.as_bytes())
            ));
        }
        Decoded::Binary(bytes) => {
            out.push_str("  hex:");
            out.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        }
    }
    if !sample.is_whole() {
        out.push_str(&format!("… ({} bytes of it)", sample.bytes.len()));
    }
}

/// JSON stays JSON: what a terminal would act on can only stand in its strings, and is written
/// there as JSON escapes it.
fn push_json(out: &mut String, json: &str) {
    for character in json.chars() {
        if is_unsafe(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
}

/// A Protobuf message for programs; `None` where the payload is none.
pub(super) fn message(
    topic: Option<&[u8]>,
    publish: &Publish<'_>,
    schemas: &Schemas,
) -> Option<Value> {
    let schema = schemas.of(topic)?;
    let sample = sample(publish).filter(payload::Sample::is_whole)?;
    let message = schema.decode(sample.bytes).ok()?;
    Some(json!({
        "type": message.name,
        "fields": message.value,
        "unknown_fields": message.unknown,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], length: u32) -> String {
        let publish = Publish {
            payload: bytes,
            payload_length: Some(length),
            ..Publish::default()
        };
        let mut out = String::new();
        readable(&mut out, Some(b"a"), &publish, &Schemas::default());
        out
    }

    #[test]
    fn payloads_are_shown_as_what_they_are() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (
                b"{ \"a\" : \"x\xe2\x80\xaey\\n\" }",
                "  {\"a\":\"x\\u202ey\\n\"}",
            ),
            (b"on\\off\n", "  on\\\\off\\x0a"),
            (b"on\0", "  on\\x00 (ends with NUL)"),
            (b"\x1b[31m\xff", "  hex:1b5b33316dff"),
        ] {
            assert_eq!(shown(bytes, bytes.len() as u32), expected, "{bytes:?}");
        }
        assert_eq!(shown(b"abc", 10), "  abc… (3 bytes of it)");
    }
}
