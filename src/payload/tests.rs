use super::*;
use proptest::prelude::*;
use serde_json::json;

const TUTORIAL: &str = "syntax = \"proto2\";\n\
    package tutorial;\n\
    message payload {\n  required string payload = 1;\n  required int32 id = 2;\n}\n";

fn kind(bytes: &[u8]) -> Option<PayloadKind> {
    classify(&Sample::whole(bytes))
}

fn compile(files: &[(&'static str, &'static str)]) -> Result<Schema, SchemaError> {
    let sources = files.to_vec();
    Schema::compile(files.iter().map(|(name, _)| *name).take(1), move |name| {
        let source = sources.iter().find(|(known, _)| *known == name)?.1;
        Some(Ok(source.to_owned()))
    })
}

fn tutorial() -> MessageSchema {
    let schema = compile(&[("tutorial.proto", TUTORIAL)]).unwrap();
    schema.message("tutorial.payload").unwrap()
}

#[test]
fn payloads_are_told_by_their_bytes() {
    use PayloadKind as K;
    for (bytes, expected) in [
        (&b""[..], K::Empty),
        (b"21.5", K::Text),
        (b"true", K::Text),
        (b"{\"t\": 21.5}", K::Json),
        (b"\n [1, 2]\n", K::Json),
        (b"{\"t\": 21.5", K::Text),
        (b"{\"t\": \"\xff\"}", K::Binary),
        ("Küche\tan\r\n".as_bytes(), K::Text),
        (b"on\0", K::TextNul),
        (b"{}\0", K::TextNul),
        (b"on\0\0", K::Binary),
        (b"\0", K::Binary),
        (b"\x01", K::Binary),
        (b"a\x1b[31m", K::Binary),
        ("a\u{85}".as_bytes(), K::Binary),
        (b"\x7f", K::Binary),
        (b"\xff\xd8\xff\xe0", K::Binary),
    ] {
        assert_eq!(kind(bytes), Some(expected), "{bytes:?}");
    }
}

#[test]
fn what_the_publisher_says_counts() {
    let sample = |bytes: &'static [u8], content_type: &'static str| Sample {
        content_type: Some(content_type.as_bytes()),
        ..Sample::whole(bytes)
    };
    let number = sample(b"21.5", "application/json; charset=utf-8");
    assert_eq!(classify(&number), Some(PayloadKind::Json));
    let senml = sample(b"true", "application/senml+JSON");
    assert_eq!(classify(&senml), Some(PayloadKind::Json));
    let broken = sample(b"{\"t\":", "application/json");
    let kind = classify(&broken).unwrap();
    assert_eq!(kind, PayloadKind::Text);
    assert!(contradicts_content_type(&broken, kind));
    assert!(contradicts_content_type(
        &sample(b"\xff", "text/plain"),
        PayloadKind::Binary
    ));
    assert!(!contradicts_content_type(
        &sample(b"\xff", "image/jpeg"),
        PayloadKind::Binary
    ));
    // Declared to be UTF-8, it may hold control characters.
    let bell = Sample {
        declared_text: true,
        ..Sample::whole(b"\x07")
    };
    assert_eq!(classify(&bell), Some(PayloadKind::Text));
}

#[test]
fn a_beginning_is_judged_as_far_as_it_goes() {
    let cut = |bytes| {
        classify(&Sample {
            bytes,
            length: 1000,
            ..Sample::default()
        })
    };
    assert_eq!(cut(b"{\"name\": \"K\xc3"), Some(PayloadKind::Json));
    assert_eq!(cut(b"{\"n\": [1, -"), Some(PayloadKind::Json));
    assert_eq!(cut(b"{\"n\": 1.5e"), Some(PayloadKind::Json));
    assert_eq!(cut(b"{\"name\" 1 "), Some(PayloadKind::Text));
    assert_eq!(cut(b"K\xc3"), Some(PayloadKind::Text));
    assert_eq!(cut(b"text\0"), Some(PayloadKind::Binary));
    assert_eq!(cut(b""), None);
}

/// A look at a hundred megabytes is a look at the first 64 KiB.
#[test]
fn a_large_payload_is_judged_by_its_beginning() {
    let mut bytes = vec![b'a'; 8 << 20];
    assert_eq!(kind(&bytes), Some(PayloadKind::Text));
    bytes[LOOK] = 0xff;
    assert_eq!(kind(&bytes), Some(PayloadKind::Text));
    bytes[LOOK - 1] = 0xff;
    assert_eq!(kind(&bytes), Some(PayloadKind::Binary));
}

#[test]
fn deep_nesting_takes_no_stack() {
    let depth = 1 << 20;
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(kind(deep.as_bytes()), Some(PayloadKind::Json));
    assert!(matches!(
        decode(&Sample::whole(deep.as_bytes()), None),
        Decoded::Json(_)
    ));
    let keyed = format!("{{\"a\":{deep}}}");
    assert!(keys(keyed.as_bytes()).unwrap().names().eq(["a"]));
}

#[test]
fn json_is_shown_compactly_and_otherwise_as_sent() {
    let sent = "{ \"a b\" : 1.10,\n\t\"q\\\" x\": [ 1, \"\\\\\" , 2 ] }";
    assert_eq!(compact(sent), "{\"a b\":1.10,\"q\\\" x\":[1,\"\\\\\",2]}");
}

#[test]
fn keys_are_those_of_the_object() {
    let found = keys(b" {\"t\":1,\"u\\u0041\":{\"inner\":2},\"t\":3} ").unwrap();
    assert!(found.names().eq(["t", "uA"]));
    assert!(!found.more);
    assert_eq!(keys(b"[1]"), None);
    let many: Vec<String> = (0..1000).map(|i| format!("\"k{i}\":0")).collect();
    let found = keys(format!("{{{}}}", many.join(",")).as_bytes()).unwrap();
    assert_eq!(found.names().count(), 32);
    assert!(found.more);
    // Both ways of asking agree, whatever the bytes are.
    for text in [
        " {\"t\":1} ",
        "{\"t\":1}x",
        "{\"t\":",
        "{\"\\ud800\":1}",
        "{}",
        "[1]",
        "t",
        "",
    ] {
        let sample = Sample::whole(text.as_bytes());
        let mut found = keys(b"{\"before\":1}").unwrap();
        let kind = classify_with_keys(&sample, &mut found);
        assert_eq!(kind, classify(&sample), "{text}");
        assert_eq!(found, keys(text.as_bytes()).unwrap_or_default(), "{text}");
    }
}

#[test]
fn a_message_is_decoded_with_its_names() {
    let schema = tutorial();
    let message = schema.decode(b"\x0a\x05hello\x10\x2a").unwrap();
    assert_eq!(message.name, "tutorial.payload");
    assert_eq!(message.value, json!({"payload": "hello", "id": 42}));
    let message = schema.decode(b"\x0a\x00\x10\x01\x18\x07").unwrap();
    assert_eq!(message.unknown, [3]);
}

#[test]
fn bytes_that_are_no_such_message_are_refused() {
    let schema = tutorial();
    assert_eq!(
        schema.decode(b"\x0a\x05hello"),
        Err(Mismatch::Required("tutorial.payload.id".to_owned()))
    );
    assert!(matches!(
        schema.decode(b"\x0a\x05hel"),
        Err(Mismatch::Wire(_))
    ));
    assert!(matches!(
        schema.decode(b"21.5 degrees"),
        Err(Mismatch::Wire(_))
    ));
    assert!(matches!(
        decode(&Sample::whole(b"21.5"), Some(&schema)),
        Decoded::Text("21.5")
    ));
    assert_eq!(schema.decode(&vec![0; 2 << 20]), Err(Mismatch::TooLarge));
}

#[test]
fn proto3_with_everything_in_it() {
    let source = "syntax = \"proto3\";\n\
        import \"unit.proto\";\n\
        message M {\n map<string, Unit> units = 1; repeated double values = 2; bytes raw = 3;\n\
        oneof which { bool on = 4; sint64 big = 5; } M inner = 6; float f = 7; Unit unit = 8;\n}\n";
    let unit = "syntax = \"proto3\"; enum Unit { NONE = 0; CELSIUS = 1; }";
    let schema = compile(&[("m.proto", source), ("unit.proto", unit)]).unwrap();
    let message = schema.message("M").unwrap();
    let bytes = b"\x0a\x05\x0a\x01t\x10\x01\x12\x08\0\0\0\0\0\0\xf8\x7f\x1a\x02\xff\0\x28\x03\
        \x32\x02\x20\x01\x3d\xcd\xcc\xcc\x3d\x40\x63";
    assert_eq!(
        message.decode(bytes).unwrap().value,
        json!({
            "units": {"t": "CELSIUS"}, "values": ["NaN"], "raw": {"hex": "ff00"}, "big": -2,
            "inner": {"on": true}, "f": 0.1, "unit": 99,
        })
    );
    // Only fields that the type does not have, and no required one could be missing.
    assert_eq!(message.decode(b"\xf8\x01\x01"), Err(Mismatch::NothingKnown));
}

#[test]
fn errors_of_a_schema_name_the_place() {
    let error = |source| compile(&[("bad.proto", source)]).unwrap_err().to_string();
    let syntax = error("syntax = \"proto2\";\nmessage M {\n  required strin payload 1;\n}\n");
    assert!(syntax.starts_with("bad.proto:3:"), "{syntax}");
    let unknown = error("syntax = \"proto2\";\nmessage M {\n  required strin payload = 1;\n}\n");
    assert!(unknown.starts_with("bad.proto:3:"), "{unknown}");
    let import = error("syntax = \"proto2\";\nimport \"gone.proto\";\n");
    assert!(import.starts_with("bad.proto:2:"), "{import}");
    let name = compile(&[("tutorial.proto", TUTORIAL)])
        .unwrap()
        .message("tutorial.Payload")
        .unwrap_err();
    assert_eq!(
        name.to_string(),
        "there is no message \"tutorial.Payload\" in the schema; it has tutorial.payload"
    );
}

/// A message within a message within …, and a million values in as many bytes.
#[test]
fn bombs_are_refused_or_stay_small() {
    let source = "syntax = \"proto3\"; message M { M m = 1; repeated int32 n = 2 [packed=true]; }";
    let schema = compile(&[("m.proto", source)]).unwrap();
    let message = schema.message("M").unwrap();
    let mut deep = Vec::new();
    for _ in 0..5000 {
        let mut outer = vec![0x0a];
        let mut length = deep.len();
        while length >= 0x80 {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.append(&mut deep);
        deep = outer;
    }
    assert!(matches!(message.decode(&deep), Err(Mismatch::Wire(_))));
    let mut wide = vec![0x12, 0x80, 0x80, 0x3c];
    wide.resize(4 + 0xf_0000, 1);
    let decoded = message.decode(&wide).unwrap();
    assert_eq!(decoded.value["n"].as_array().unwrap().len(), 0xf_0000);
}

proptest! {
    /// JSON of our own making is told as such, whole and cut, and its compact form is the same
    /// value.
    #[test]
    fn json_is_json(value in json_value(), cut in 0.0..1.0_f64) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let expected = if value.is_object() || value.is_array() { PayloadKind::Json }
            else { PayloadKind::Text };
        prop_assert_eq!(kind(text.as_bytes()), Some(expected));
        let again: serde_json::Value = serde_json::from_str(&compact(&text)).unwrap();
        prop_assert_eq!(&again, &value);
        let end = (text.len() as f64 * cut) as usize;
        let sample = Sample { bytes: &text.as_bytes()[..end], length: text.len() as u32 + 1, ..Sample::default() };
        if expected == PayloadKind::Json && end > 0 {
            prop_assert_eq!(classify(&sample), Some(PayloadKind::Json));
        }
    }

    /// Text and binary are what the standard library's view of characters says.
    #[test]
    fn text_is_text(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 1..200),
        ".{1,100}".prop_map(String::into_bytes),
        "[ -~]{100,200}".prop_map(String::into_bytes),
    ]) {
        let plain = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| text.chars()
            .all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')));
        let found = kind(&bytes).unwrap();
        if found != PayloadKind::Json {
            let ended = bytes.split_last().filter(|(last, rest)| **last == 0 && !rest.is_empty());
            let expected = if plain(&bytes) { PayloadKind::Text }
                else if ended.is_some_and(|(_, rest)| plain(rest)) { PayloadKind::TextNul }
                else { PayloadKind::Binary };
            prop_assert_eq!(found, expected);
        }
    }

    /// Whatever the bytes: nothing panics, and what is shown is there.
    #[test]
    fn anything_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let schema = tutorial();
        let decoded = decode(&Sample::whole(&bytes), Some(&schema));
        if let Decoded::Protobuf(message) = decoded {
            prop_assert!(message.value["id"].is_number() && message.value["payload"].is_string());
        }
        let _ = keys(&bytes);
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        "[ a-zäöü\"\\\\]{0,10}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|values| json!(values)),
            prop::collection::btree_map("[a-z \"]{0,5}", inner, 0..5)
                .prop_map(|entries| json!(entries)),
        ]
    })
}
