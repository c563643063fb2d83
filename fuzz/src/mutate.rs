//! Inputs made from other inputs.

use crate::input::Random;

/// Longest input that the harness makes.
pub const LONGEST: usize = 4096;

const INTERESTING: [u8; 12] = [
    0, 1, 2, 0x0f, 0x10, 0x20, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'/',
];

/// Changes `input` in one to eight places; `other` lends pieces.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], tokens: &[&[u8]], random: &mut Random) {
    for _ in 0..=random.below(8) {
        step(input, other, tokens, random);
    }
    input.truncate(LONGEST);
}

fn step(input: &mut Vec<u8>, other: &[u8], tokens: &[&[u8]], random: &mut Random) {
    let length = input.len();
    let at = random.below(length + 1);
    let span = random.below(16.min(length + 1 - at) + 1).min(length - at);
    match random.below(11) {
        0 if at < length => input[at] ^= 1 << random.below(8),
        1 if at < length => input[at] = random.word() as u8,
        2 if at < length => input[at] = INTERESTING[random.below(INTERESTING.len())],
        3 if at < length => {
            let change = random.below(16) as u8 + 1;
            input[at] = if random.below(2) == 0 {
                input[at].wrapping_add(change)
            } else {
                input[at].wrapping_sub(change)
            };
        }
        4 => drop(input.drain(at..at + span)),
        5 => {
            let block = input[at..at + span].to_vec();
            insert(input, random.below(length + 1), &block);
        }
        6 => {
            let block: Vec<u8> = (0..=random.below(16))
                .map(|_| random.word() as u8)
                .collect();
            insert(input, at, &block);
        }
        7 => insert(input, at, piece(other, 64, random)),
        8 if !tokens.is_empty() => insert(input, at, tokens[random.below(tokens.len())]),
        9 if !tokens.is_empty() => {
            let token = tokens[random.below(tokens.len())];
            for (place, byte) in input[at..].iter_mut().zip(token) {
                *place = *byte;
            }
        }
        10 => {
            input.truncate(at);
            let from = random.below(other.len() + 1);
            input.extend_from_slice(&other[from..]);
        }
        _ => {}
    }
}

fn insert(input: &mut Vec<u8>, at: usize, block: &[u8]) {
    input.splice(at..at, block.iter().copied());
}

fn piece<'o>(other: &'o [u8], longest: usize, random: &mut Random) -> &'o [u8] {
    let from = random.below(other.len() + 1);
    let length = random.below(longest.min(other.len() - from) + 1);
    &other[from..from + length]
}
