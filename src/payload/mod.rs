//! What a payload is. MQTT does not say: to the protocol it is bytes.
//!
//! [`classify`] tells the kind of a payload in a bounded look, for every message of a capture;
//! [`decode`] makes it readable, for a person. Both take a [`Sample`], which may be the beginning
//! of a payload only. Protobuf is recognised only with the user's own schema ([`Schema`]), since
//! nearly any bytes are some message.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod json;
mod message;
mod schema;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
mod text;

use std::borrow::Cow;

pub use json::{Keys, compact, keys};
pub use message::Message;
pub use schema::{MessageSchema, Mismatch, Schema, SchemaError};

/// Bytes of a payload that [`classify`] looks at. A longer payload is judged by its beginning.
pub const LOOK: usize = 64 << 10;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PayloadKind {
    /// No byte at all. Retained, it deletes what the broker kept.
    Empty,
    /// A JSON object or array (RFC 8259); another JSON value where the content type says JSON.
    Json,
    /// A Protobuf message of the user's schema.
    Protobuf,
    /// UTF-8 without control characters other than tab and line breaks.
    Text,
    /// The same with one NUL at its end, as C programs send that count it in.
    TextNul,
    /// Anything else.
    Binary,
}

impl PayloadKind {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::Text => "text",
            Self::TextNul => "text_nul",
            Self::Binary => "binary",
        }
    }
}

/// A payload, or its beginning, and what its publisher says of it (MQTT 5 sections 3.3.2.3.2 and
/// 3.3.2.3.9).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample<'a> {
    /// The bytes that are there, from the first.
    pub bytes: &'a [u8],
    /// Length of the whole payload in bytes.
    pub length: u32,
    /// The payload format indicator says that it is UTF-8.
    pub declared_text: bool,
    /// The content type.
    pub content_type: Option<&'a [u8]>,
}

impl<'a> Sample<'a> {
    /// A whole payload of which nothing is said.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    /// All of it is there.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.bytes.len() >= self.length as usize
    }

    /// The content type is `application/json` or another with the suffix `+json` (RFC 6839).
    fn declared_json(&self) -> bool {
        self.media_type().is_some_and(|name| {
            let ends = |suffix: &[u8]| {
                name.len()
                    .checked_sub(suffix.len())
                    .and_then(|from| name.get(from..))
                    .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            };
            ends(b"/json") || ends(b"+json")
        })
    }

    /// The content type without its parameters.
    fn media_type(&self) -> Option<&'a [u8]> {
        let name = self.content_type?.split(|&byte| byte == b';').next()?;
        Some(name.trim_ascii())
    }

    fn within(self, look: usize) -> (Self, bool) {
        let bytes = self.bytes.get(..look).unwrap_or(self.bytes);
        let whole = bytes.len() >= self.length as usize;
        (Self { bytes, ..self }, whole)
    }
}

/// The kind of a payload; `None` where not one of its bytes is there. Looks at [`LOOK`] bytes at
/// most: what is longer, or cut, is what its beginning is. Nothing is allocated for text and
/// binary; nested JSON takes a byte per level.
#[must_use]
pub fn classify(sample: &Sample<'_>) -> Option<PayloadKind> {
    look(sample, LOOK)
}

/// What [`classify`] says, and into `keys` the [`keys`] of a JSON object that is there whole: for
/// both, it is read once. `keys` holds nothing where there are none.
#[must_use]
pub fn classify_with_keys(sample: &Sample<'_>, keys: &mut Keys) -> Option<PayloadKind> {
    let bytes = sample.bytes;
    let is_candidate = sample.length > 0
        && sample.is_whole()
        && bytes.len() <= LOOK
        && bytes.trim_ascii_start().starts_with(b"{");
    if is_candidate && keys.read(bytes) {
        return Some(PayloadKind::Json);
    }
    keys.clear();
    classify(sample)
}

fn look(sample: &Sample<'_>, limit: usize) -> Option<PayloadKind> {
    if sample.length == 0 {
        return Some(PayloadKind::Empty);
    }
    let (sample, whole) = sample.within(limit);
    let (&last, before_last) = sample.bytes.split_last()?;
    if json::may_be(sample.bytes, sample.declared_json()) && json::is_json(sample.bytes, whole) {
        return Some(PayloadKind::Json);
    }
    let is_text = |bytes, whole| {
        if sample.declared_text {
            text::is_utf8(bytes, whole)
        } else {
            text::is_text(bytes, whole)
        }
    };
    // One byte of 0 alone is a number or a flag, and no text.
    Some(
        if whole && last == 0 && !before_last.is_empty() && is_text(before_last, true) {
            PayloadKind::TextNul
        } else if is_text(sample.bytes, whole) {
            PayloadKind::Text
        } else {
            PayloadKind::Binary
        },
    )
}

/// Whether a payload of this kind is not what its content type says: JSON that cannot be parsed,
/// or a `text/…` that is no text.
#[must_use]
pub fn contradicts_content_type(sample: &Sample<'_>, kind: PayloadKind) -> bool {
    if sample.content_type.is_none() {
        return false;
    }
    let is_text_type = || {
        sample.media_type().is_some_and(|name| {
            name.get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
        })
    };
    match kind {
        PayloadKind::Empty | PayloadKind::Json => false,
        PayloadKind::Binary | PayloadKind::Protobuf => sample.declared_json() || is_text_type(),
        PayloadKind::Text | PayloadKind::TextNul => sample.declared_json(),
    }
}

/// A payload made readable.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded<'a> {
    /// Nothing.
    Empty,
    /// JSON without the white space between its parts. It may still hold characters that a
    /// terminal would act on.
    Json(Cow<'a, str>),
    /// A message of the schema.
    Protobuf(Message),
    /// Text.
    Text(&'a str),
    /// Text, without the NUL that ends it.
    TextNul(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// Makes a payload readable: by `schema` where its bytes are such a message, else as what it is.
/// A payload that is not there whole is shown as far as it is.
#[must_use]
pub fn decode<'a>(sample: &Sample<'a>, schema: Option<&MessageSchema>) -> Decoded<'a> {
    if let Some(schema) = schema
        && sample.is_whole()
        && let Ok(message) = schema.decode(sample.bytes)
    {
        return Decoded::Protobuf(message);
    }
    let bytes = sample.bytes;
    match look(sample, usize::MAX) {
        Some(PayloadKind::Empty) => Decoded::Empty,
        Some(PayloadKind::Json) => Decoded::Json(compact(text::whole_characters(bytes))),
        Some(PayloadKind::TextNul) => {
            let ended = bytes.split_last().map_or(bytes, |(_, text)| text);
            Decoded::TextNul(text::whole_characters(ended))
        }
        Some(PayloadKind::Text) => Decoded::Text(text::whole_characters(bytes)),
        _ => Decoded::Binary(bytes),
    }
}
