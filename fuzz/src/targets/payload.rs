//! Payloads: what they are, and how they are shown. Input: a byte of what is declared, then the
//! payload, which is also the text of a schema.

use mqttscope::payload::{self, Decoded, MessageSchema, PayloadKind, Sample, Schema};
use std::sync::OnceLock;

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    b"{\"a\":",
    b"}",
    b"[[[[",
    b"]",
    b"\"\\u00",
    b"1e-",
    b"\0",
    b"\xc2\x85",
    b"\xe2\x80\xae",
    b"\x0a\x02",
    b"\x12\x04\x0a\x02",
    b"\x1a\x05\x0a\x01k\x10\x01",
    b"\x10\xff\xff\xff\xff\x0f",
    b"message M {",
];

const SOURCE: &str = "syntax = \"proto2\"; message M { optional M inner = 1; \
    repeated string words = 2; map<string, int32> map = 3; repeated double packed = 4 \
    [packed = true]; optional group Group = 5 { optional bytes raw = 6; } \
    required int64 id = 7; extensions 100 to 200; }";

fn schema() -> &'static MessageSchema {
    static SCHEMA: OnceLock<MessageSchema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let schema = Schema::compile(["m.proto"], |_| Some(Ok(SOURCE.to_owned()))).unwrap();
        schema.message("M").unwrap()
    })
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((&declared, bytes)) = data.split_first() else {
        return;
    };
    let content_types: [Option<&[u8]>; 4] = [
        None,
        Some(b"application/json"),
        Some(b"text/plain; charset=utf-8"),
        Some(bytes),
    ];
    let whole = Sample {
        declared_text: declared & 1 != 0,
        content_type: content_types[usize::from(declared >> 1 & 3)],
        ..Sample::whole(bytes)
    };
    let kind = payload::classify(&whole).expect("a whole payload has a kind");
    assert_eq!(kind == PayloadKind::Empty, bytes.is_empty());
    let _ = payload::contradicts_content_type(&whole, kind);
    let plain = Sample::whole(bytes);
    match payload::decode(&plain, None) {
        Decoded::Empty => assert!(bytes.is_empty()),
        Decoded::Json(json) => {
            // Without its white space it is the same value.
            let same = payload::classify(&Sample::whole(json.as_bytes()));
            assert_eq!(same, Some(PayloadKind::Json));
        }
        Decoded::Text(text) => assert_eq!(text.as_bytes(), bytes),
        Decoded::TextNul(text) => assert_eq!(text.len() + 1, bytes.len()),
        Decoded::Binary(shown) => assert_eq!(shown, bytes),
        Decoded::Protobuf(_) => panic!("without a schema"),
    }
    // JSON that is cut is still told for JSON.
    let cut = Sample {
        bytes: &bytes[..bytes.len() / 2],
        length: plain.length,
        ..Sample::default()
    };
    if payload::classify(&plain) == Some(PayloadKind::Json)
        && cut.bytes.iter().any(|byte| b"[{".contains(byte))
    {
        assert_eq!(payload::classify(&cut), Some(PayloadKind::Json));
    }
    let _ = payload::keys(bytes);
    if let Ok(message) = schema().decode(bytes) {
        assert!(message.value["id"].is_number());
        let _ = message.value.to_string();
    }
}
