//! TLS records: what a bystander sees of them, and with a key log what is inside.
//!
//! [`Tls`] follows both sides of one connection from its ClientHello on. Version, cipher suite,
//! server name and protocol come from the hellos. With the connection's secrets in a [`KeyLog`],
//! records of TLS 1.3 and of TLS 1.2 with AES-GCM or ChaCha20-Poly1305 are opened, and their
//! content is handed on. Records that come before their keys are known wait, within
//! [`TlsLimits`]; then they are handed on in the order in which they came.
//!
//! What does not open is not content: a record with a wrong authentication tag ends the
//! decryption of its connection. Behind missing bytes, a record is tried with each number that it
//! can have; the tag tells which one is right.

mod facts;
mod hello;
mod keylog;
mod keys;
mod open;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use facts::{Alert, Stop, TlsFacts};
pub use keylog::{KeyLog, KeyLogStatistics, MAX_SESSIONS};

use hello::{ClientHello, ServerHello};
use keylog::Secret;
use keys::{Opener, TLS_1_3};
use record::{Assembly, Messages, Record, Skim};

use super::{Mark, Passed, Piece, Scratch, Side};

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct TlsLimits {
    /// Memory in bytes for records that wait for their keys.
    pub waiting_bytes: usize,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            waiting_bytes: 256 << 10,
        }
    }
}

/// What opens records.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'k> {
    /// The secrets known by now.
    pub log: &'k KeyLog,
    /// More may come: records whose keys are not known wait.
    pub more: bool,
    /// How much may wait.
    pub limits: TlsLimits,
}

/// Both sides of one connection.
#[derive(Debug)]
pub struct Tls<M> {
    client: Half<M>,
    server: Half<M>,
    client_hello: Option<ClientHello>,
    server_hello: Option<ServerHello>,
    /// Whether the server takes early data, once it has said so.
    early_data: Option<bool>,
    /// What gives the order of records that wait.
    serial: u64,
    waiting_bytes: usize,
    stop: Option<Stop>,
    facts: TlsFacts<M>,
}

/// Which secrets a side of TLS 1.3 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Epoch {
    /// The client's, before the server has answered.
    Early,
    Handshake,
    Traffic,
}

/// One side.
#[derive(Debug)]
struct Half<M> {
    assembly: Assembly<M>,
    messages: Messages,
    /// A part of a handshake message is missing: what follows it cannot be told apart.
    messages_lost: bool,
    skim: Option<Skim>,
    sealed: bool,
    epoch: Epoch,
    /// Its keys were asked for, and what is needed of them is there.
    ready: bool,
    opener: Option<Box<Opener>>,
    /// The traffic secret of `opener`.
    secret: Option<Secret>,
    waiting: VecDeque<(u64, Record<M>)>,
    /// Where the next record begins is not known.
    searching: bool,
    /// Bytes that were missed since the last record that was opened.
    missed_bytes: u64,
    /// Records that did not open and may not have to: early data, and a handshake whose secrets
    /// are not in the log.
    passed_over: u32,
}

impl<M: Mark> Half<M> {
    fn new() -> Self {
        Self {
            assembly: Assembly::default(),
            messages: Messages::default(),
            messages_lost: false,
            skim: None,
            sealed: false,
            epoch: Epoch::Handshake,
            ready: false,
            opener: None,
            secret: None,
            waiting: VecDeque::new(),
            searching: false,
            missed_bytes: 0,
            passed_over: 0,
        }
    }
}

/// What became of a record.
enum Outcome<M> {
    /// Its memory can be used again.
    Done(Vec<u8>),
    /// It has to wait: for keys, or for the other side's hello.
    Wait(Record<M>),
}

impl<M: Mark> Tls<M> {
    /// A connection from its first byte on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            client: Half::new(),
            server: Half::new(),
            client_hello: None,
            server_hello: None,
            early_data: None,
            serial: 0,
            waiting_bytes: 0,
            stop: None,
            facts: TlsFacts::default(),
        }
    }

    /// Why its content is not handed on, or no longer.
    #[must_use]
    pub const fn stopped(&self) -> Option<Stop> {
        self.stop
    }

    /// What was seen of it.
    #[must_use]
    pub const fn facts(&self) -> &TlsFacts<M> {
        &self.facts
    }

    /// The random of the ClientHello, by which key logs name a connection.
    #[must_use]
    pub fn client_random(&self) -> Option<&[u8; 32]> {
        self.client_hello.as_ref().map(|hello| &hello.random)
    }

    /// Bytes kept in memory: unfinished records, and records that wait.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let half = |half: &Half<M>| {
            half.assembly
                .buffered()
                .saturating_add(half.messages.buffered())
        };
        half(&self.client)
            .saturating_add(half(&self.server))
            .saturating_add(self.waiting_bytes)
    }

    /// The chunk with the first byte of what is unfinished, or waits, on a side.
    #[must_use]
    pub fn begun(&self, side: Side) -> Option<M> {
        let half = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let waiting = half.waiting.front().map(|(_, record)| record.first);
        waiting.or_else(|| half.assembly.first())
    }

    /// Hands on nothing more. Records are still counted.
    pub fn give_up(&mut self, stop: Stop) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(stop);
        for half in [&mut self.client, &mut self.server] {
            half.skim = Some(half.assembly.skim());
            half.messages = Messages::default();
            half.waiting = VecDeque::new();
            half.opener = None;
            half.secret = None;
        }
        self.waiting_bytes = 0;
    }

    /// Nothing more will come: what still waits for keys waits in vain.
    pub fn finish(
        &mut self,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        self.release(keys, scratch, pass);
        if !self.client.waiting.is_empty() || !self.server.waiting.is_empty() {
            let unseen = self.client_hello.is_none() || self.server_hello.is_none();
            self.give_up(if unseen {
                Stop::HandshakeUnseen
            } else {
                Stop::NoKeys
            });
        } else if self.client.searching || self.server.searching {
            self.give_up(Stop::Gap);
        }
    }

    const fn half(&mut self, side: Side) -> &mut Half<M> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Takes bytes of one side and hands on what is in them.
    pub fn push(
        &mut self,
        side: Side,
        mut piece: Piece<'_, M>,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        if self.waiting_bytes > 0 {
            self.release(keys, scratch, pass);
        }
        if self.half(side).searching && self.stop.is_none() {
            if !piece.starts || !record::begins_sealed(piece.bytes) {
                return;
            }
            let half = self.half(side);
            half.searching = false;
            half.sealed = true;
        }
        while !piece.bytes.is_empty() {
            if self.stop.is_some() {
                self.skim(side, piece);
                return;
            }
            match self.half(side).assembly.next(&mut piece, scratch) {
                Ok(Some(record)) => self.take(side, record, keys, scratch, pass),
                Ok(None) => return,
                Err(record::NotTls) => {
                    let hello = self.client_hello.is_some();
                    self.half(side).assembly.clear();
                    self.give_up(if hello { Stop::Malformed } else { Stop::NotTls });
                    return;
                }
            }
        }
    }

    /// Takes note of missing bytes.
    pub fn gap(
        &mut self,
        side: Side,
        bytes: u64,
        mark: M,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        if self.stop.is_some() {
            if let Some(skim) = &mut self.half(side).skim {
                skim.gap(bytes);
            }
            return;
        }
        let known = self.client_hello.is_some() && self.server_hello.is_some();
        let waits = !self.half(side).waiting.is_empty();
        if !known || waits {
            // A record that waits does so for its number too, which nobody knows behind a gap.
            self.give_up(if known {
                Stop::Gap
            } else {
                Stop::HandshakeUnseen
            });
            return;
        }
        let half = self.half(side);
        half.missed_bytes = half.missed_bytes.saturating_add(bytes);
        half.messages = Messages::default();
        // After the handshake, messages are short and not split.
        half.messages_lost = half.epoch < Epoch::Traffic;
        match half.assembly.gap(bytes, mark) {
            Some(Some(record)) => self.take(side, record, keys, scratch, pass),
            Some(None) => {}
            None => {
                half.missed_bytes = half
                    .missed_bytes
                    .saturating_add(half.assembly.buffered() as u64);
                half.assembly.clear();
                half.searching = true;
            }
        }
        pass(side, Passed::Gap { bytes: None, mark });
    }

    /// A whole record.
    fn take(
        &mut self,
        side: Side,
        record: Record<M>,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        self.facts.count(side, record.bytes.len());
        if !self.half(side).waiting.is_empty() {
            self.keep(side, record, keys);
            return;
        }
        match self.read(side, record, keys, scratch, pass) {
            Ok(Outcome::Done(bytes)) => {
                scratch.give_back(bytes);
                if self.waiting_bytes > 0 {
                    // The other side may have waited for this.
                    self.release(keys, scratch, pass);
                }
            }
            Ok(Outcome::Wait(record)) => self.keep(side, record, keys),
            Err(stop) => self.give_up(stop),
        }
    }

    /// A record has to wait.
    fn keep(&mut self, side: Side, mut record: Record<M>, keys: Keys<'_>) {
        record.bytes.shrink_to_fit();
        self.waiting_bytes = self.waiting_bytes.saturating_add(record.cost());
        if self.waiting_bytes > keys.limits.waiting_bytes {
            self.give_up(Stop::LateKeys);
            return;
        }
        let serial = self.serial;
        self.serial = serial.saturating_add(1);
        self.half(side).waiting.push_back((serial, record));
    }

    /// Reads what waits, in the order in which it came, as far as that is possible now.
    fn release(
        &mut self,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        let mut blocked = [false; 2];
        while self.stop.is_none() {
            let [client_blocked, server_blocked] = blocked;
            let next = |half: &Half<M>, blocked: bool| {
                let front = half.waiting.front().filter(|_| !blocked);
                front.map_or(u64::MAX, |(serial, _)| *serial)
            };
            let (client, server) = (
                next(&self.client, client_blocked),
                next(&self.server, server_blocked),
            );
            let side = if client < server {
                Side::Client
            } else {
                Side::Server
            };
            let Some((serial, record)) = (client != server)
                .then(|| self.half(side).waiting.pop_front())
                .flatten()
            else {
                return;
            };
            let cost = record.cost();
            match self.read(side, record, keys, scratch, pass) {
                Ok(Outcome::Done(bytes)) => {
                    self.waiting_bytes = self.waiting_bytes.saturating_sub(cost);
                    scratch.give_back(bytes);
                    blocked = [false; 2];
                }
                Ok(Outcome::Wait(record)) => {
                    self.half(side).waiting.push_front((serial, record));
                    let [client, server] = &mut blocked;
                    *(if side == Side::Client { client } else { server }) = true;
                }
                Err(stop) => self.give_up(stop),
            }
        }
    }

    /// Counts records of a connection whose content is not handed on.
    fn skim(&mut self, side: Side, piece: Piece<'_, M>) {
        let tls_1_3 = self.is_tls_1_3();
        let (half, other) = match side {
            Side::Client => (&mut self.client, &self.server),
            Side::Server => (&mut self.server, &self.client),
        };
        let Half { skim, sealed, .. } = half;
        let facts = &mut self.facts;
        let count = |content_type, length| {
            facts.count(side, length);
            facts.sealed_alert(content_type);
            let encrypted = *sealed || (tls_1_3 && content_type == record::APPLICATION_DATA);
            if encrypted && other.sealed && facts.established.is_none() {
                facts.established = Some(piece.mark);
            }
            *sealed |= encrypted || content_type == record::CHANGE_CIPHER_SPEC && !tls_1_3;
        };
        let passed = skim.as_mut().map(|skim| skim.pass(piece.bytes, count));
        if passed == Some(Err(record::NotTls)) {
            half.skim = None;
        }
    }

    /// TLS 1.3 has been agreed on.
    fn is_tls_1_3(&self) -> bool {
        let version = self.server_hello.as_ref().map(|hello| hello.version);
        version == Some(TLS_1_3)
    }
}

impl<M: Mark> Default for Tls<M> {
    fn default() -> Self {
        Self::new()
    }
}
