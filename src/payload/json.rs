//! JSON: whether bytes are some, its keys, and its shortest form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

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

/// The keys of a JSON object, in its order, each once; 32 and 512 bytes at most. One string, since
/// there is a list for every topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keys {
    text: String,
    /// Where each name ends.
    ends: Vec<u16>,
    /// There are more.
    pub more: bool,
}

impl Keys {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| {
            let name = self.text.get(usize::from(begin)..usize::from(end));
            name.unwrap_or_default()
        })
    }

    /// Takes those of a JSON object in place of what was there, in the same memory; what is no
    /// object leaves nothing. Takes time linear in the number of bytes and no stack, however deep
    /// they are nested.
    pub fn read(&mut self, bytes: &[u8]) -> bool {
        self.clear();
        let is_object = self.try_read(bytes).is_some();
        if !is_object {
            self.clear();
        }
        is_object
    }

    fn try_read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut json = serde_json::Deserializer::from_str(str::from_utf8(bytes).ok()?);
        let mut collect = Collect {
            keys: self,
            looks: [0; LOOKS],
        };
        json.deserialize_map(&mut collect).ok()?;
        json.end().ok()
    }

    /// Nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty() && !self.more
    }

    /// Holds nothing any more.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.more = false;
    }

    /// Whether that is the name with this number, from 1 on.
    fn is_name(&self, number: usize, name: &str) -> bool {
        let end = |number: usize| self.ends.get(number.wrapping_sub(1)).copied();
        let begin = end(number.wrapping_sub(1)).unwrap_or(0);
        end(number).and_then(|end| self.text.get(begin.into()..end.into())) == Some(name)
    }

    fn add(&mut self, name: &str) {
        let length = self.text.len().saturating_add(name.len());
        match u16::try_from(length) {
            Ok(end) if self.ends.len() < MOST_KEYS && length <= MOST_KEY_BYTES => {
                self.text.push_str(name);
                self.ends.push(end);
            }
            _ => self.more = true,
        }
    }
}

/// The keys of a JSON object, not of those within it; `None` for anything else.
#[must_use]
pub fn keys(bytes: &[u8]) -> Option<Keys> {
    let mut keys = Keys::default();
    keys.read(bytes).then_some(keys)
}

/// Looks that names are told apart by.
const LOOKS: usize = 64;

/// Collects the keys of an object.
struct Collect<'k> {
    keys: &'k mut Keys,
    /// By what a name looks like, the number of the last one in the list that looks so, from 1 on.
    /// Most names need not be compared, and of those that came before most with one only.
    looks: [u8; LOOKS],
}

impl Collect<'_> {
    fn name(&mut self, name: &str) {
        let bytes = name.as_bytes();
        let look = |byte: Option<&u8>| byte.copied().map_or(0, u32::from);
        let look = look(bytes.first())
            .wrapping_mul(7)
            .wrapping_add(look(bytes.last()))
            .wrapping_add(bytes.len() as u32);
        let Some(latest) = self.looks.get_mut(look as usize % LOOKS) else {
            return;
        };
        let is_known = match usize::from(*latest) {
            0 => false,
            number => {
                self.keys.is_name(number, name) || self.keys.names().any(|known| known == name)
            }
        };
        if !is_known {
            self.keys.add(name);
            *latest = self.keys.ends.len() as u8;
        }
    }
}

impl<'de> Visitor<'de> for &mut Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Key(&mut *self))?.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Takes one key, without a string of its own.
struct Key<'a, 'k>(&'a mut Collect<'k>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.name(name);
        Ok(())
    }
}
