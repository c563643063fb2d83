//! UTF-8 strings: well-formed, without forbidden and without discouraged characters
//! (MQTT 5 section 1.5.4, 3.1.1 section 1.5.3).

use super::{Violation, Violations};

/// What a scan of a string found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scan {
    pub(super) violations: Violations,
    /// `+` or `#` occurs.
    pub(super) wildcard: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Nonzero if and only if one byte of `word` is 0.
#[inline]
const fn has_zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

/// Nonzero if and only if one byte of `word` is outside printable ASCII, U+0020 to U+007E.
#[inline]
const fn has_unprintable(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word & HIGH_BITS;
    let delete = has_zero(word ^ ONES.wrapping_mul(0x7f));
    (word & HIGH_BITS) | below_space | delete
}

#[inline]
const fn has_wildcard(word: u64) -> u64 {
    has_zero(word ^ ONES.wrapping_mul(b'+' as u64))
        | has_zero(word ^ ONES.wrapping_mul(b'#' as u64))
}

/// One pass over eight bytes at a time; only strings with other than printable ASCII are looked
/// at more closely.
#[inline]
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut unprintable = 0;
    let mut wildcard = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        unprintable |= has_unprintable(word);
        wildcard |= has_wildcard(word);
    }
    let word = match bytes.last_chunk() {
        // The last eight bytes, some of them looked at twice.
        Some(last) => u64::from_le_bytes(*last),
        // A short string, filled up with spaces, which are neither.
        None => tail.iter().fold(ONES.wrapping_mul(0x20), |word, &byte| {
            (word << 8) | u64::from(byte)
        }),
    };
    unprintable |= has_unprintable(word);
    wildcard |= has_wildcard(word);
    Scan {
        violations: if unprintable == 0 {
            Violations::NONE
        } else {
            look_closely(bytes)
        },
        wildcard: wildcard != 0,
    }
}

#[cold]
fn look_closely(bytes: &[u8]) -> Violations {
    let mut violations = Violations::NONE;
    match core::str::from_utf8(bytes) {
        // Surrogates encoded in UTF-8 are refused here too.
        Err(_) => {
            violations.insert(Violation::InvalidUtf8);
            violations.insert_if(bytes.contains(&0), Violation::NullCharacter);
        }
        Ok(text) => {
            for character in text.chars() {
                match character {
                    '\0' => violations.insert(Violation::NullCharacter),
                    c => violations.insert_if(is_discouraged(c), Violation::DiscouragedCharacter),
                }
            }
        }
    }
    violations
}

/// U+0001..U+001F, U+007F..U+009F and the Unicode non-characters: "SHOULD NOT" in section 1.5.4.
const fn is_discouraged(character: char) -> bool {
    let code = character as u32;
    matches!(code, 0x01..=0x1f | 0x7f..=0x9f | 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}
