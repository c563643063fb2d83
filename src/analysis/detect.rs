//! What a connection's first bytes say it speaks.

use std::hint::cold_path;

/// Bytes of a CONNECT up to the end of its protocol name.
const LONGEST: usize = 13;

/// The verdict on the first bytes that one side sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// An MQTT CONNECT of some version.
    Connect,
    /// A TLS handshake.
    Tls,
    /// An HTTP request or response.
    Http,
    /// Could still become a CONNECT.
    Open,
    /// Something else.
    Other,
}

/// Looks at the first bytes of a stream.
pub(super) fn guess(bytes: &[u8]) -> Guess {
    // Nothing else begins as a CONNECT does.
    if let Some((&CONNECT, rest)) = bytes.split_first() {
        return connect(rest);
    }
    cold_path();
    if let [0x16, 0x03, 0..=4, ..] = bytes {
        return Guess::Tls;
    }
    const HTTP: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"OPTIONS ",
        b"DELETE ",
        b"CONNECT ",
        b"PATCH ",
        b"HTTP/",
    ];
    if HTTP.iter().any(|start| bytes.starts_with(start)) {
        return Guess::Http;
    }
    const BEGUN: [&[u8]; 3] = [b"GET ", b"HTTP/", b"\x16\x03"];
    if BEGUN.iter().any(|start| start.starts_with(bytes)) {
        return Guess::Open;
    }
    Guess::Other
}

/// The first byte of a CONNECT (3.1.1 section 3.1.1).
const CONNECT: u8 = 0x10;

/// Shortest remaining length of a CONNECT: ten bytes of variable header, and an empty client
/// identifier (3.1.1 sections 3.1.2 and 3.1.3.1).
const SHORTEST_CONNECT: u32 = 12;

/// Follows remaining length and protocol name of a CONNECT as far as the bytes go. A packet too
/// short to be one is none: so none can end before its name has told.
fn connect(rest: &[u8]) -> Guess {
    let Some(last) = rest.iter().take(4).position(|byte| byte & 0x80 == 0) else {
        return if rest.len() < 4 {
            Guess::Open
        } else {
            Guess::Other
        };
    };
    let (length, name) = rest.split_at_checked(last + 1).unwrap_or_default();
    let remaining = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 7 | u32::from(byte & 0x7f));
    if remaining < SHORTEST_CONNECT {
        return Guess::Other;
    }
    const NAMES: [&[u8]; 2] = [b"\0\x04MQTT", b"\0\x06MQIsdp"];
    if NAMES.iter().any(|known| name.starts_with(known)) {
        Guess::Connect
    } else if NAMES.iter().any(|known| known.starts_with(name)) {
        Guess::Open
    } else {
        Guess::Other
    }
}

/// The first bytes of a stream, collected until they are enough to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FirstBytes {
    bytes: [u8; LONGEST],
    length: u8,
}

impl FirstBytes {
    /// Adds what came, and looks at all of it.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Guess {
        let from = usize::from(self.length);
        let room = self.bytes.get_mut(from..).unwrap_or_default();
        let count = room.len().min(bytes.len());
        for (place, byte) in room.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.length = self.length.saturating_add(count as u8);
        self.guess()
    }
}

impl FirstBytes {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// What they say by now.
    pub(super) fn guess(&self) -> Guess {
        guess(self.bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (bytes, expected) in [
            (b"\x10\x10\0\x04MQTT\x04".as_slice(), Guess::Connect),
            (b"\x10\xff\xff\x01\0\x06MQIsdp", Guess::Connect),
            (b"\x10", Guess::Open),
            (b"\x10\x80\x01\0\x04MQ", Guess::Open),
            (b"\x10\x10\0\x05MQTT", Guess::Other),
            (b"\x10\0", Guess::Other),
            (b"\x10\x0b", Guess::Other),
            (b"\x10\x0c", Guess::Open),
            (b"\x10\x05\0\x04MQT", Guess::Other),
            (b"\x10\x80\x80\x80\x80", Guess::Other),
            (b"\x30\x05\0\x01abc", Guess::Other),
            (b"\x16\x03\x01\x02\0", Guess::Tls),
            (b"\x16\x03", Guess::Open),
            (b"\x16", Guess::Open),
            (b"GET / HTTP/1.1", Guess::Http),
            (b"GET", Guess::Open),
            (b"GE ", Guess::Other),
            (b"SSH-2.0", Guess::Other),
        ] {
            assert_eq!(guess(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_connect_start_fits() {
        let mut first = FirstBytes::default();
        let bytes = b"\x10\xff\xff\xff\x7f\0\x06MQIsdp";
        assert_eq!(bytes.len(), LONGEST);
        let guesses: Vec<Guess> = bytes.iter().map(|byte| first.add(&[*byte])).collect();
        assert_eq!(guesses.last(), Some(&Guess::Connect));
        assert!(
            guesses[..LONGEST - 1]
                .iter()
                .all(|guess| *guess == Guess::Open)
        );
    }
}
