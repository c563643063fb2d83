//! Records, one by one: handshakes in the clear, then what opens with the keys.

use std::ops::Range;

use super::super::{Mark, Passed, Piece, Scratch, Side};
use super::facts::Stop;
use super::hello::{ClientHello, ServerHello, encrypted_extensions};
use super::keylog::{Label, Secret};
use super::keys::{Opener, Suite, TLS_1_2, TLS_1_3};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CLIENT_HELLO, ENCRYPTED_EXTENSIONS,
    END_OF_EARLY_DATA, FINISHED, HANDSHAKE, HEADER, KEY_UPDATE, Messages, Record, SERVER_HELLO,
};
use super::{Epoch, Keys, Outcome, Tls};

/// The shortest encrypted record: header, content type, authentication tag.
const SHORTEST: u64 = 22;

/// Most numbers that a record behind missing bytes is tried with, and most bytes decrypted in
/// trying.
const TRIES: u64 = 1024;
const TRIED_BYTES: u64 = 4 << 20;

/// Most records that are passed over because they do not have to open.
const PASSED_OVER: u32 = 4096;

impl<M: Mark> Tls<M> {
    /// Reads one record.
    pub(super) fn read(
        &mut self,
        side: Side,
        record: Record<M>,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) -> Result<Outcome<M>, Stop> {
        let content_type = record.content_type();
        if self.half(side).sealed {
            return self.sealed(side, record, keys, scratch, pass);
        }
        match content_type {
            HANDSHAKE if record.missing == 0 => self.clear_handshake(side, &record)?,
            ALERT => self.facts.alert(side, record.content()),
            CHANGE_CIPHER_SPEC => {
                if self.server_hello.is_none() {
                    return self.await_hello(record);
                }
                // In TLS 1.3 it means nothing (RFC 8446 appendix D.4).
                if !self.is_tls_1_3() {
                    self.half(side).sealed = true;
                }
            }
            APPLICATION_DATA => {
                if self.server_hello.is_none() {
                    return self.await_hello(record);
                }
                if !self.is_tls_1_3() {
                    return Err(Stop::Malformed);
                }
                self.half(side).sealed = true;
                return self.sealed(side, record, keys, scratch, pass);
            }
            _ => return Err(Stop::Malformed),
        }
        Ok(Outcome::Done(record.bytes))
    }

    /// What cannot be understood before the ServerHello is there.
    fn await_hello(&self, record: Record<M>) -> Result<Outcome<M>, Stop> {
        if self.client_hello.is_none() {
            return Err(Stop::NotTls);
        }
        Ok(Outcome::Wait(record))
    }

    /// Handshake messages that are not encrypted.
    fn clear_handshake(&mut self, side: Side, record: &Record<M>) -> Result<(), Stop> {
        let mut content = record.content();
        while let Some((message, body)) = self.half(side).messages.next(&mut content) {
            match (side, message) {
                (Side::Client, CLIENT_HELLO) => {
                    let hello = ClientHello::parse(&body).ok_or(Stop::Malformed)?;
                    self.facts.client_hello(&hello, record.first);
                    if hello.early_data {
                        self.client.epoch = Epoch::Early;
                    }
                    self.client_hello = Some(hello);
                }
                (Side::Server, SERVER_HELLO) => {
                    let hello = ServerHello::parse(&body).ok_or(Stop::Malformed)?;
                    if hello.retry {
                        // Then there is no early data (RFC 8446 section 4.2.10).
                        self.client.epoch = Epoch::Handshake;
                        continue;
                    }
                    self.facts.server_hello(&hello, self.client_hello.as_ref());
                    self.server.sealed = hello.version == TLS_1_3;
                    self.server_hello = Some(hello);
                }
                // Whose connection it is is told by the ClientHello alone.
                _ if self.client_hello.is_none() && side == Side::Client => {
                    return Err(Stop::NotTls);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A record on a side that encrypts.
    fn sealed(
        &mut self,
        side: Side,
        mut record: Record<M>,
        keys: Keys<'_>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) -> Result<Outcome<M>, Stop> {
        let tls_1_3 = self.is_tls_1_3();
        if tls_1_3 {
            match record.content_type() {
                CHANGE_CIPHER_SPEC => return Ok(Outcome::Done(record.bytes)),
                // Before its sender has keys, or has understood the other's.
                ALERT if record.bytes.len() == HEADER.saturating_add(2) => {
                    self.facts.alert(side, record.content());
                    return Ok(Outcome::Done(record.bytes));
                }
                APPLICATION_DATA => {}
                _ => return Err(Stop::Malformed),
            }
        }
        self.established(side, record.last);
        if side == Side::Client && self.client.epoch == Epoch::Early && self.early_data.is_none() {
            // The server has still to say whether it takes early data.
            return Ok(Outcome::Wait(record));
        }
        if !self.half(side).ready {
            match self.prepare(side, keys) {
                Ok(()) => {}
                Err(Stop::NoKeys) if keys.more => return Ok(Outcome::Wait(record)),
                Err(stop) => {
                    self.facts.sealed_alert(record.content_type());
                    return Err(stop);
                }
            }
        }
        if record.missing > 0 {
            // Its number is one of those that the next one is tried with.
            return Ok(Outcome::Done(record.bytes));
        }
        let outer = record.content_type();
        match self.open(side, &mut record.bytes, keys, scratch) {
            Some(content) => {
                self.facts.opened = self.facts.opened.saturating_add(1);
                let (inner, content) = if tls_1_3 {
                    inner_content(&record.bytes, content).ok_or(Stop::Malformed)?
                } else {
                    (outer, content)
                };
                self.content(side, inner, content, &record, keys, pass)?;
            }
            None => self.stays_shut(side, record.last, pass)?,
        }
        Ok(Outcome::Done(record.bytes))
    }

    /// A record did not open. That is no trouble while it may be one of those whose secret is
    /// not needed: early data, or a handshake.
    fn stays_shut(
        &mut self,
        side: Side,
        mark: M,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) -> Result<(), Stop> {
        let accepted = self.early_data == Some(true);
        let half = self.half(side);
        let missing = half.opener.is_none() && half.epoch < Epoch::Traffic;
        if !missing || half.passed_over >= PASSED_OVER {
            let gap = half.missed_bytes > 0;
            return Err(if gap { Stop::Gap } else { Stop::WrongKey });
        }
        half.passed_over = half.passed_over.saturating_add(1);
        if half.epoch == Epoch::Early && accepted {
            pass(side, Passed::Gap { bytes: None, mark });
        }
        Ok(())
    }

    /// The first encrypted record of the side that is later ends the handshake.
    fn established(&mut self, side: Side, mark: M) {
        let other = match side {
            Side::Client => self.server.sealed,
            Side::Server => self.client.sealed,
        };
        if other && self.facts.established.is_none() && !self.half(side).ready {
            self.facts.established = Some(mark);
        }
    }

    fn suite(&self) -> Result<Suite, Stop> {
        let hello = self.server_hello.as_ref().ok_or(Stop::HandshakeUnseen)?;
        if hello.version != TLS_1_2 && hello.version != TLS_1_3 {
            return Err(Stop::Version(hello.version));
        }
        if hello.compressed {
            return Err(Stop::Compressed);
        }
        Suite::new(hello.suite, hello.version).ok_or(Stop::Suite(hello.suite))
    }

    /// Gets the keys that a side begins with.
    fn prepare(&mut self, side: Side, keys: Keys<'_>) -> Result<(), Stop> {
        let client = self.client_hello.as_ref().ok_or(Stop::HandshakeUnseen)?;
        let server = self.server_hello.as_ref().ok_or(Stop::HandshakeUnseen)?;
        let secret = |label| {
            let some = !keys.more && keys.log.knows(&client.random);
            let lacking = if some {
                Stop::MissingSecret
            } else {
                Stop::NoKeys
            };
            keys.log.get(&client.random, label).ok_or(lacking)
        };
        if server.version == TLS_1_3 {
            // The last one to be written. Without those of the handshake one can do.
            secret(traffic_label(side))?;
            self.suite()?;
            let epoch = self.half(side).epoch;
            self.enter(side, epoch, keys);
        } else {
            let suite = self.suite()?;
            let master = secret(Label::Master)?;
            let opener = suite
                .opener_from_master(master, side, &client.random, &server.random)
                .ok_or(Stop::WrongKey)?;
            let half = self.half(side);
            half.opener = Some(Box::new(opener));
            half.epoch = Epoch::Traffic;
        }
        self.half(side).ready = true;
        Ok(())
    }

    /// The opener of an epoch of TLS 1.3, if its secret is in the log.
    fn opener_of(&self, side: Side, epoch: Epoch, keys: Keys<'_>) -> Option<(Opener, Secret)> {
        let random = self.client_random()?;
        let label = match (side, epoch) {
            (Side::Client, Epoch::Early) if self.early_data == Some(false) => return None,
            (Side::Client, Epoch::Early) => Label::ClientEarly,
            (Side::Client, Epoch::Handshake) => Label::ClientHandshake,
            (Side::Server, Epoch::Early | Epoch::Handshake) => Label::ServerHandshake,
            (side, Epoch::Traffic) => traffic_label(side),
        };
        let secret = keys.log.get(random, label)?;
        Some((self.suite().ok()?.opener(secret)?, *secret))
    }

    /// Goes on with the keys of an epoch, as far as they are known.
    fn enter(&mut self, side: Side, epoch: Epoch, keys: Keys<'_>) {
        let (opener, secret) = self.opener_of(side, epoch, keys).unzip();
        self.go_on_with(side, epoch, opener, secret);
    }

    fn go_on_with(
        &mut self,
        side: Side,
        epoch: Epoch,
        opener: Option<Opener>,
        secret: Option<Secret>,
    ) {
        if side == Side::Server && epoch == Epoch::Traffic {
            // Whatever it said about early data was not seen.
            self.early_data.get_or_insert(false);
        }
        let half = self.half(side);
        half.opener = opener.map(Box::new);
        half.secret = secret;
        half.epoch = epoch;
        half.messages = Messages::default();
        half.messages_lost = false;
    }

    /// Decrypts a record in place: where its content is.
    fn open(
        &mut self,
        side: Side,
        record: &mut [u8],
        keys: Keys<'_>,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        let half = self.half(side);
        if half.epoch == Epoch::Traffic && half.missed_bytes == 0 {
            return half.opener.as_mut()?.open(record);
        }
        let mut copy = std::mem::take(&mut scratch.copy);
        copy.clear();
        copy.extend_from_slice(record);
        let content = self.try_to_open(side, record, &copy, keys);
        scratch.copy = copy;
        if content.is_some() {
            self.half(side).missed_bytes = 0;
        }
        content
    }

    /// The same where it is not certain which number and which keys the record has. Only the
    /// right ones open it.
    fn try_to_open(
        &mut self,
        side: Side,
        record: &mut [u8],
        copy: &[u8],
        keys: Keys<'_>,
    ) -> Option<Range<usize>> {
        let half = self.half(side);
        let affordable = TRIED_BYTES.checked_div(copy.len() as u64).unwrap_or(0);
        let missing = half.missed_bytes.div_ceil(SHORTEST);
        let window = missing.min(affordable).min(TRIES);
        let mut attempt = |opener: &Opener| {
            let first = opener.sequence();
            let mut numbers = first..=first.saturating_add(window);
            numbers.find_map(|number| {
                record.copy_from_slice(copy);
                let content = opener.open_as(record, number)?;
                Some((content, number.saturating_sub(first).saturating_add(1)))
            })
        };
        if let Some(opener) = &mut half.opener
            && let Some((content, records)) = attempt(opener)
        {
            opener.skip(records);
            return Some(content);
        }
        let epoch = half.epoch;
        for later in [Epoch::Handshake, Epoch::Traffic] {
            if later <= epoch {
                continue;
            }
            let Some((mut opener, secret)) = self.opener_of(side, later, keys) else {
                continue;
            };
            if let Some((content, records)) = attempt(&opener) {
                opener.skip(records);
                self.go_on_with(side, later, Some(opener), Some(secret));
                return Some(content);
            }
        }
        None
    }

    /// What an opened record holds.
    fn content(
        &mut self,
        side: Side,
        content_type: u8,
        place: Range<usize>,
        record: &Record<M>,
        keys: Keys<'_>,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) -> Result<(), Stop> {
        let content = record.bytes.get(place.clone()).unwrap_or_default();
        match content_type {
            APPLICATION_DATA => pass_on(side, place, record, pass),
            HANDSHAKE => self.sealed_handshake(side, content, keys)?,
            ALERT => self.facts.alert(side, content),
            CHANGE_CIPHER_SPEC => return Err(Stop::Renegotiation),
            _ => {}
        }
        Ok(())
    }

    /// Handshake messages that were encrypted.
    fn sealed_handshake(
        &mut self,
        side: Side,
        mut content: &[u8],
        keys: Keys<'_>,
    ) -> Result<(), Stop> {
        if self.half(side).messages_lost {
            return Ok(());
        }
        let tls_1_3 = self.is_tls_1_3();
        while let Some((message, body)) = self.half(side).messages.next(&mut content) {
            match message {
                CLIENT_HELLO | SERVER_HELLO if !tls_1_3 => return Err(Stop::Renegotiation),
                ENCRYPTED_EXTENSIONS if tls_1_3 => {
                    if let Some((protocol, early_data)) = encrypted_extensions(&body) {
                        self.facts.protocol = protocol;
                        self.early_data = Some(early_data);
                    }
                }
                END_OF_EARLY_DATA if tls_1_3 => self.enter(side, Epoch::Handshake, keys),
                FINISHED if tls_1_3 => self.enter(side, Epoch::Traffic, keys),
                KEY_UPDATE if tls_1_3 => self.key_update(side)?,
                // Certificates, tickets: nothing that changes how to go on.
                _ => {}
            }
        }
        Ok(())
    }

    /// The side goes on with the next secret (RFC 8446 section 7.2).
    fn key_update(&mut self, side: Side) -> Result<(), Stop> {
        let suite = self.suite()?;
        let secret = self.half(side).secret.ok_or(Stop::MissingSecret)?;
        let next = suite.next_secret(&secret).ok_or(Stop::WrongKey)?;
        let opener = suite.opener(&next);
        self.facts.key_updates = self.facts.key_updates.saturating_add(1);
        self.go_on_with(side, Epoch::Traffic, opener, Some(next));
        Ok(())
    }
}

const fn traffic_label(side: Side) -> Label {
    match side {
        Side::Client => Label::ClientTraffic,
        Side::Server => Label::ServerTraffic,
    }
}

/// The inner content of TLS 1.3 (RFC 8446 section 5.4): content, its type, zeros.
fn inner_content(bytes: &[u8], place: Range<usize>) -> Option<(u8, Range<usize>)> {
    let content = bytes.get(place.clone())?;
    let last = content.iter().rposition(|&byte| byte != 0)?;
    let content_type = *content.get(last)?;
    Some((content_type, place.start..place.start.checked_add(last)?))
}

/// Hands content on, in the pieces in which it came: each byte was first seen with its chunk,
/// and all were whole when the record was.
fn pass_on<M: Mark>(
    side: Side,
    place: Range<usize>,
    record: &Record<M>,
    pass: &mut impl FnMut(Side, Passed<'_, M>),
) {
    let mut start = place.start;
    let whole = [(record.bytes.len(), record.first)];
    let chunks = if record.chunks.is_empty() {
        &whole
    } else {
        record.chunks.as_slice()
    };
    for &(end, mark) in chunks {
        let end = end.min(place.end);
        let Some(bytes) = record
            .bytes
            .get(start..end)
            .filter(|bytes| !bytes.is_empty())
        else {
            continue;
        };
        let piece = Piece {
            bytes,
            mark: mark.spanning(record.first, record.last),
            starts: start == place.start,
            ends: end == place.end,
        };
        pass(side, Passed::Bytes(piece));
        start = end;
    }
}
