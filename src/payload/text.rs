//! Whether bytes are text.

use std::str;

/// Bytes are looked at in blocks of this size, so that binary is told by its first ones.
const BLOCK: usize = 64;

/// UTF-8 without control characters (Unicode's general category Cc) other than tab, line feed and
/// carriage return. Of bytes that are not `whole`, the last character may be cut.
pub(super) fn is_text(bytes: &[u8], whole: bool) -> bool {
    let mut ascii = true;
    for block in bytes.chunks(BLOCK) {
        let (mut control, mut high) = (false, false);
        for &byte in block {
            control |= (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) | (byte == 0x7f);
            high |= byte >= 0x80;
        }
        if control {
            return false;
        }
        ascii &= !high;
    }
    // U+0080 to U+009F are C2 80 to C2 9F.
    let c1 = |bytes: &[u8]| {
        bytes
            .windows(2)
            .any(|pair| matches!(pair, [0xc2, 0x80..=0x9f]))
    };
    ascii || (is_utf8(bytes, whole) && !c1(bytes))
}

/// Well-formed UTF-8.
pub(super) fn is_utf8(bytes: &[u8], whole: bool) -> bool {
    match str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => !whole && error.error_len().is_none(),
    }
}

/// The text up to the last whole character.
pub(super) fn whole_characters(bytes: &[u8]) -> &str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| str::from_utf8(valid).ok())
            .unwrap_or_default(),
    }
}
