//! JSON: whether bytes are some, its keys, and its shortest form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::text;

/// Most keys and bytes of keys that [`keys`] gives.
const MOST_KEYS: usize = 32;
const MOST_KEY_BYTES: usize = 512;

/// Whether the first byte may begin an object or an array; with `any_value`, any JSON.
pub(super) fn may_be(bytes: &[u8], any_value: bool) -> bool {
    let first = bytes.iter().find(|byte| !is_space(**byte));
    match first {
        Some(b'{' | b'[') => true,
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => any_value,
        _ => false,
    }
}

/// Whether the bytes are one JSON value, or where they are not `whole` the beginning of one.
/// Takes time linear in their number and no stack, however deep they are nested.
pub(super) fn is_json(bytes: &[u8], whole: bool) -> bool {
    if !text::is_utf8(bytes, whole) {
        return false;
    }
    let is_value = |bytes| serde_json::from_slice::<IgnoredAny>(bytes).map(drop);
    if whole {
        return is_value(bytes).is_ok();
    }
    // A number that is cut may be no number (`-`), so what could be one is left out.
    let end = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let begun = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
    is_value(begun).map_or_else(|error| error.is_eof(), |()| true)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// JSON without the white space between its parts; everything else stays as it was sent.
#[must_use]
pub fn compact(json: &str) -> Cow<'_, str> {
    if !json.bytes().any(is_space) {
        return Cow::Borrowed(json);
    }
    let (mut quoted, mut escaped) = (false, false);
    let kept = json.chars().filter(|&character| {
        if quoted {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            quoted = !ends;
            return true;
        }
        quoted = character == '"';
        !matches!(character, ' ' | '\t' | '\n' | '\r')
    });
    Cow::Owned(kept.collect())
}

/// The keys of a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// In the order of the object, each once, 32 and 512 bytes at most.
    pub names: Vec<String>,
    /// There are more.
    pub more: bool,
}

/// The keys of a JSON object, not of those within it; `None` for anything else.
#[must_use]
pub fn keys(bytes: &[u8]) -> Option<Keys> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    json.deserialize_map(KeysVisitor).ok()
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        let mut bytes: usize = 0;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            bytes = bytes.saturating_add(name.len());
            if keys.names.len() >= MOST_KEYS || bytes > MOST_KEY_BYTES {
                keys.more = true;
            } else if !keys.names.iter().any(|known| *known == name) {
                keys.names.push(name.into_owned());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(keys)
    }
}
