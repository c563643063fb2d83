//! NSS key logs: the secrets of connections, as clients and servers write them to the file named
//! by `SSLKEYLOGFILE` (draft-ietf-tls-keylogfile).

use std::collections::{HashMap, VecDeque};

/// Connections whose secrets are kept; beyond it, those added first are forgotten.
pub const MAX_SESSIONS: usize = 200_000;

/// The longest line that can hold a secret: label, client random, secret.
const MAX_LINE: usize = 256;

/// The longest secret: a TLS 1.2 master secret, or a hash of SHA-384.
const MAX_SECRET: usize = 48;

/// Which secret a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.2.
    Master,
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    ClientTraffic,
    ServerTraffic,
}

impl Label {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"CLIENT_RANDOM" => Self::Master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Self::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Self::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Self::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Self::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Self::ServerTraffic,
            _ => return None,
        })
    }
}

/// A secret, without its own place on the heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret {
    bytes: [u8; MAX_SECRET],
    length: u8,
}

impl Secret {
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self {
            bytes: [0; MAX_SECRET],
            length: u8::try_from(bytes.len()).ok()?,
        };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(secret)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// Secrets are not for logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.length)
    }
}

/// What became of the lines of a key log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLogStatistics {
    /// Lines that hold a secret that is of use.
    pub secrets: u64,
    /// Comments, empty lines, and secrets of other kinds (exporters).
    pub others: u64,
    /// Lines that cannot be understood.
    pub malformed: u64,
    /// Connections that were forgotten to stay within [`MAX_SESSIONS`].
    pub forgotten: u64,
}

/// Secrets of TLS connections, by the random of their ClientHello.
#[derive(Clone, Debug, Default)]
pub struct KeyLog {
    sessions: HashMap<[u8; 32], Vec<(Label, Secret)>>,
    /// The keys of `sessions`, in the order in which they were added.
    order: VecDeque<[u8; 32]>,
    /// The beginning of a line whose end is still to come.
    partial: Vec<u8>,
    /// The line is too long already: the rest of it is passed over.
    overlong: bool,
    statistics: KeyLogStatistics,
}

impl KeyLog {
    /// A key log without any secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a part of a key log that goes on: a line may end in the next part.
    pub fn push(&mut self, text: &[u8]) {
        let mut lines = text.split(|&byte| byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.gather(line);
            self.end();
        }
        self.gather(last);
    }

    /// The last line is over, even if it was not ended by a line feed.
    pub fn end(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let overlong = std::mem::take(&mut self.overlong);
        if overlong {
            self.statistics.malformed = self.statistics.malformed.saturating_add(1);
        } else {
            self.line(line.trim_ascii());
        }
        self.partial = line;
        self.partial.clear();
    }

    fn gather(&mut self, part: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        if part.len() > room {
            self.overlong = true;
        } else {
            self.partial.extend_from_slice(part);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let statistics = &mut self.statistics;
        if line.is_empty() || line.starts_with(b"#") {
            statistics.others = statistics.others.saturating_add(1);
            return;
        }
        match parse(line) {
            Some(Some((label, random, secret))) => {
                statistics.secrets = statistics.secrets.saturating_add(1);
                self.insert(random, label, secret);
            }
            Some(None) => statistics.others = statistics.others.saturating_add(1),
            None => statistics.malformed = statistics.malformed.saturating_add(1),
        }
    }

    fn insert(&mut self, random: [u8; 32], label: Label, secret: Secret) {
        if !self.sessions.contains_key(&random) {
            if self.sessions.len() >= MAX_SESSIONS
                && let Some(oldest) = self.order.pop_front()
            {
                self.sessions.remove(&oldest);
                self.statistics.forgotten = self.statistics.forgotten.saturating_add(1);
            }
            self.order.push_back(random);
        }
        let secrets = self.sessions.entry(random).or_default();
        match secrets.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) => *known = secret,
            None => secrets.push((label, secret)),
        }
    }

    pub(super) fn get(&self, random: &[u8; 32], label: Label) -> Option<&Secret> {
        let secrets = self.sessions.get(random)?;
        let (_, secret) = secrets.iter().find(|(known, _)| *known == label)?;
        Some(secret)
    }

    /// Whether anything is known of the connection with this random in its ClientHello.
    #[must_use]
    pub fn knows(&self, random: &[u8; 32]) -> bool {
        self.sessions.contains_key(random)
    }

    /// Connections whose secrets are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What became of the lines.
    #[must_use]
    pub const fn statistics(&self) -> &KeyLogStatistics {
        &self.statistics
    }
}

/// `LABEL random secret`, both in hexadecimal; `Some(None)` for a secret of another kind.
fn parse(line: &[u8]) -> Option<Option<(Label, [u8; 32], Secret)>> {
    let mut words = line.split(|byte| byte.is_ascii_whitespace());
    let (name, random, secret) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some()
        || !name
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
    {
        return None;
    }
    let Some(label) = Label::from_name(name) else {
        // Of no use, but no damage.
        let mut digits = random.iter().chain(secret);
        return digits.all(u8::is_ascii_hexdigit).then_some(None);
    };
    let mut random_bytes = [0; 32];
    let mut secret_bytes = [0; MAX_SECRET];
    let count = decode(random, &mut random_bytes)?;
    let length = decode(secret, &mut secret_bytes)?;
    let right = length == MAX_SECRET || (length == 32 && label != Label::Master);
    let secret = Secret::new(secret_bytes.get(..length)?)?;
    (count == 32 && right).then_some(Some((label, random_bytes, secret)))
}

/// Hexadecimal to bytes; how many. `None` where it is none, or too long.
fn decode(hex: &[u8], out: &mut [u8]) -> Option<usize> {
    let (pairs, rest) = hex.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > out.len() {
        return None;
    }
    for (place, &[high, low]) in out.iter_mut().zip(pairs) {
        *place = digit(high)? << 4 | digit(low)?;
    }
    Some(pairs.len())
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl KeyLog {
    /// Some secret of a connection.
    pub(super) fn insert_for_test(&mut self, random: [u8; 32]) {
        self.insert(random, Label::Master, Secret::new(&[1; 48]).unwrap());
    }
}
