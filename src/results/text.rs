//! Text from the network, made safe to store and to show.
//!
//! A topic or a client identifier can hold anything: sequences that drive a terminal, line breaks
//! that forge a row, right-to-left overrides that make one name look like another, bytes that are
//! no UTF-8 at all. What is written here is valid UTF-8 without any of these, and nothing is lost:
//! [`unescape`] gives back the very bytes.

use std::borrow::Cow;

/// Bytes from the network, supposed to be UTF-8 text. It is escaped wherever it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub &'a [u8]);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self(text)
    }
}

/// What is done to text that a spreadsheet would take for a formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formulas {
    /// Text that starts with `=`, `+`, `-`, `@` or `'` gets one `'` in front.
    #[default]
    Guard,
    /// Text starts as it is, for readers that are no spreadsheet.
    Keep,
}

/// The character that keeps a spreadsheet from calculating.
const GUARD: u8 = b'\'';

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Whether a spreadsheet would take text with this beginning for a formula, or would swallow the
/// beginning.
#[must_use]
pub fn needs_guard(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\''))
}

/// Appends `text` with control characters, line separators, bidirectional controls and bytes
/// that are not UTF-8 as `\xNN` (each byte of the encoding, lower case), and `\` as `\\`.
pub fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escape_slowly(out, text);
    }
}

/// Like [`escape_into`], as a string; borrowed where nothing is to be escaped.
#[must_use]
pub fn escape(text: &[u8]) -> Cow<'_, str> {
    if is_plain(text)
        && let Ok(plain) = str::from_utf8(text)
    {
        return Cow::Borrowed(plain);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    escape_slowly(&mut out, text);
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The bytes that were escaped: the inverse of [`escape_into`] (`Formulas::Keep`) and of what
/// tables hold (`formulas` as they were written). `None` where a `\` begins nothing known, which
/// no escaped text contains.
#[must_use]
pub fn unescape(escaped: &[u8], formulas: Formulas) -> Option<Vec<u8>> {
    let mut rest = match formulas {
        Formulas::Guard => escaped.strip_prefix(&[GUARD]).unwrap_or(escaped),
        Formulas::Keep => escaped,
    };
    let mut text = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match rest {
            [b'\\', after @ ..] => {
                text.push(b'\\');
                rest = after;
            }
            [b'x', high, low, after @ ..] => {
                text.push((hex_value(*high)? << 4) | hex_value(*low)?);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(text)
}

/// Whether a character can move the cursor, break a line or turn the direction of what follows:
/// C0 and C1 controls and DEL, U+2028 and U+2029, and the bidirectional controls of Unicode
/// Standard Annex 9 (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
#[must_use]
pub const fn is_unsafe(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Appends a cell of a comma-separated table: escaped, guarded as `formulas` say, and in quotes
/// where it holds a comma or a quote (RFC 4180; line breaks are escaped already).
pub(super) fn cell_into(out: &mut Vec<u8>, text: &[u8], formulas: Formulas) {
    if is_plain_cell(text) && !needs_guard(text) {
        out.extend_from_slice(text);
        return;
    }
    let quoted = text.iter().any(|byte| matches!(byte, b',' | b'"'));
    if quoted {
        out.push(b'"');
    }
    if formulas == Formulas::Guard && needs_guard(text) {
        out.push(GUARD);
    }
    if text.contains(&b'"') {
        // Between quotes there is nothing left to double, and `"` itself is never escaped.
        for (index, part) in text.split(|&byte| byte == b'"').enumerate() {
            if index > 0 {
                out.extend_from_slice(b"\"\"");
            }
            escape_into(out, part);
        }
    } else {
        escape_into(out, text);
    }
    if quoted {
        out.push(b'"');
    }
}

/// The first bytes of all that is escaped within valid UTF-8: a character that begins with none
/// of them is safe. See [`is_unsafe`].
const fn may_begin_unsafe(byte: u8) -> bool {
    matches!(byte, ..0x20 | b'\\' | 0x7f | 0xc2 | 0xd8 | 0xe2)
}

#[cold]
fn escape_slowly(out: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(|byte| may_begin_unsafe(*byte)) && str::from_utf8(text).is_ok() {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut written = 0;
        for (at, character) in valid.char_indices() {
            if character != '\\' && !is_unsafe(character) {
                continue;
            }
            let after = at + character.len_utf8();
            out.extend_from_slice(&valid.as_bytes()[written..at]);
            if character == '\\' {
                out.extend_from_slice(b"\\\\");
            } else {
                hex_into(out, &valid.as_bytes()[at..after]);
            }
            written = after;
        }
        out.extend_from_slice(&valid.as_bytes()[written..]);
        hex_into(out, chunk.invalid());
    }
}

fn hex_into(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let high = DIGITS[usize::from(byte >> 4)];
        let low = DIGITS[usize::from(byte & 0xf)];
        out.extend_from_slice(&[b'\\', b'x', high, low]);
    }
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Nonzero if and only if one byte of `word` is 0.
const fn has_zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

const fn has(word: u64, byte: u8) -> u64 {
    has_zero(word ^ (ONES * byte as u64))
}

/// Nonzero if one byte of `word` is not printable ASCII or is a backslash.
const fn has_escaped(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS;
    (word & HIGH_BITS) | below_space | has(word, 0x7f) | has(word, b'\\')
}

const fn has_quoted(word: u64) -> u64 {
    has(word, b',') | has(word, b'"')
}

fn is_plain(text: &[u8]) -> bool {
    no_word(text, has_escaped)
}

fn is_plain_cell(text: &[u8]) -> bool {
    no_word(text, |word| has_escaped(word) | has_quoted(word))
}

/// Whether `is_found` is 0 for all of `text`, eight bytes at a time; the rest is filled up with
/// the letter `x`, which nobody looks for.
#[inline]
fn no_word(text: &[u8], is_found: impl Fn(u64) -> u64) -> bool {
    let (words, tail) = text.as_chunks::<8>();
    let mut found = 0;
    for word in words {
        found |= is_found(u64::from_le_bytes(*word));
    }
    let rest = tail.iter().fold(ONES * u64::from(b'x'), |word, &byte| {
        (word << 8) | u64::from(byte)
    });
    found | is_found(rest) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(text: &[u8], formulas: Formulas) -> String {
        let mut out = Vec::new();
        cell_into(&mut out, text, formulas);
        String::from_utf8(out).expect("cells are UTF-8")
    }

    #[test]
    fn hostile_text_is_spelled_out() {
        for (text, expected) in [
            (&b"home/kitchen/temp"[..], "home/kitchen/temp"),
            ("Küche/温度".as_bytes(), "Küche/温度"),
            (b"a\x1b[2Jb", r"a\x1b[2Jb"),
            (b"a\nb\r\0\x7f", r"a\x0ab\x0d\x00\x7f"),
            (br"C:\x41", r"C:\\x41"),
            (b"\xff\xc3(", r"\xff\xc3("),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
            ("x\u{202e}y".as_bytes(), r"x\xe2\x80\xaey"),
            ("\u{2028}\u{61c}".as_bytes(), r"\xe2\x80\xa8\xd8\x9c"),
            (b"", ""),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn formulas_are_guarded_and_quotes_doubled() {
        for (text, guarded, kept) in [
            ("=1+1", "'=1+1", "=1+1"),
            ("@SUM(A1,B1)", "\"'@SUM(A1,B1)\"", "\"@SUM(A1,B1)\""),
            ("'quoted'", "''quoted'", "'quoted'"),
            ("a,b", "\"a,b\"", "\"a,b\""),
            ("a\"b\\", "\"a\"\"b\\\\\"", "\"a\"\"b\\\\\""),
            ("\t=1", r"\x09=1", r"\x09=1"),
            ("-", "'-", "-"),
        ] {
            assert_eq!(cell(text.as_bytes(), Formulas::Guard), guarded);
            assert_eq!(cell(text.as_bytes(), Formulas::Keep), kept);
        }
    }

    /// All characters, so that the shortcut by first bytes misses none.
    #[test]
    fn first_bytes_of_unsafe_characters_are_known() {
        let mut buffer = [0; 4];
        for character in ('\0'..=char::MAX).filter(|character| is_unsafe(*character)) {
            let encoded = character.encode_utf8(&mut buffer);
            assert!(may_begin_unsafe(encoded.as_bytes()[0]), "{character:?}");
        }
    }

    #[test]
    fn what_was_never_escaped_is_refused() {
        for text in [&br"\"[..], br"\n", br"\x1", br"\xg0", br"a\x"] {
            assert_eq!(unescape(text, Formulas::Keep), None);
        }
    }

    /// Bytes, and text from the characters that matter here.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let characters = prop::collection::vec(
            prop::sample::select(vec![
                "'",
                "=",
                "+",
                "-",
                "@",
                "\\",
                "x",
                "4",
                "1",
                ",",
                "\"",
                "\n",
                "\r",
                " ",
                "é",
                "\u{202e}",
                "\u{9f}",
                "\t",
                "plain/text",
            ]),
            0..20,
        );
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            characters.prop_map(|parts| parts.concat().into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in hostile()) {
            let escaped = escape(&text);
            prop_assert_eq!(unescape(escaped.as_bytes(), Formulas::Keep), Some(text.clone()));
            prop_assert!(!escaped.chars().any(is_unsafe));
            let mut appended = b"before".to_vec();
            escape_into(&mut appended, &text);
            prop_assert_eq!(&appended[6..], escaped.as_bytes());
        }

        /// Written by us, read by the `csv` crate.
        #[test]
        fn cells_are_read_back(texts in prop::collection::vec(hostile(), 2..5)) {
            for formulas in [Formulas::Guard, Formulas::Keep] {
                let line: Vec<String> = texts.iter().map(|text| cell(text, formulas)).collect();
                let line = line.join(",") + "\n";
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .from_reader(line.as_bytes());
                let records: Vec<_> = reader.byte_records().collect();
                prop_assert_eq!(records.len(), 1);
                let record = records[0].as_ref().expect("a record");
                let read: Vec<_> = record.iter().map(|cell| unescape(cell, formulas)).collect();
                let expected: Vec<_> = texts.iter().cloned().map(Some).collect();
                prop_assert_eq!(read, expected);
            }
        }

        #[test]
        fn a_spreadsheet_never_sees_a_formula(text in hostile()) {
            let cell = cell(&text, Formulas::Guard);
            let shown = cell.strip_prefix('"').unwrap_or(&cell);
            prop_assert!(!shown.starts_with(['=', '+', '-', '@']));
        }
    }
}
