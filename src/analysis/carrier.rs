//! What carries MQTT on one connection: TLS, WebSocket, or both, put one into the other.

use crate::lint::WebSocketUse;
use crate::mqtt::ProtocolLevel;
use crate::stream::tls::{self, Keys, Tls, TlsFacts};
use crate::stream::websocket::{self, Subprotocol, WebSocket};
use crate::stream::{Passed, Piece, Scratch, Side};
use crate::tcp::Direction;
use crate::time::{TimeDelta, Timestamp};

use super::detect::{FirstBytes, Guess, guess};
use super::flow::Mark;
use super::options::Transport;

impl crate::stream::Mark for Mark {
    fn spanning(self, first: Self, last: Self) -> Self {
        Self {
            first_seen: self.first_seen,
            start: first.start,
            ..last
        }
    }
}

/// The layers between TCP and MQTT of one connection.
#[derive(Debug)]
pub(super) struct Carrier {
    tls: Option<Box<Tls<Mark>>>,
    web_socket: Option<Box<WebSocket<Mark>>>,
    /// The direction in which the client sends.
    client: Direction,
    /// What the client first says within TLS, until it tells what that is.
    content: Option<FirstBytes>,
    /// The mark of its first byte.
    content_mark: Option<Mark>,
    /// Bytes that came before it was known who carries them.
    before: Option<(FirstBytes, Mark)>,
    /// The end of reading was told of.
    pub(super) reported: bool,
    /// When the client was heard last, and its longest silence so far.
    heard: Option<Timestamp>,
    silence: Option<TimeDelta>,
}

/// Why MQTT is not read on a connection, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierStop {
    /// Because of TLS.
    Tls(tls::Stop),
    /// Because of WebSocket.
    WebSocket(websocket::Stop),
}

impl CarrierStop {
    /// The code of the finding; `None` where there is nothing to find: it is encrypted, and no
    /// keys were given.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Tls(stop) if stop.is_without_keys() => None,
            Self::Tls(tls::Stop::NotTls | tls::Stop::HandshakeUnseen) => None,
            Self::Tls(_) => Some("tls-decryption-ended"),
            Self::WebSocket(_) => Some("websocket-unread"),
        }
    }
}

impl std::fmt::Display for CarrierStop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls(stop) => stop.fmt(f),
            Self::WebSocket(stop) => stop.fmt(f),
        }
    }
}

/// What is known of a connection that TLS carries.
#[derive(Clone, Copy, Debug)]
pub struct TlsView<'a> {
    facts: &'a TlsFacts<Mark>,
    silence: Option<TimeDelta>,
}

impl<'a> TlsView<'a> {
    /// The version agreed on.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        self.facts.version.as_deref()
    }

    /// The cipher suite agreed on.
    #[must_use]
    pub fn suite(&self) -> Option<&'a str> {
        self.facts.suite.as_deref()
    }

    /// The server name that the client asked for.
    #[must_use]
    pub fn server_name(&self) -> Option<&'a [u8]> {
        self.facts.server_name.as_deref()
    }

    /// The application protocol agreed on, where that can be seen.
    #[must_use]
    pub fn protocol(&self) -> Option<&'a [u8]> {
        self.facts.protocol.as_deref()
    }

    /// The application protocols that the client offered.
    #[must_use]
    pub fn offered_protocols(&self) -> &'a [Vec<u8>] {
        &self.facts.offered_protocols
    }

    /// From the ClientHello's first byte to the end of the handshake.
    #[must_use]
    pub fn handshake_time(&self) -> Option<TimeDelta> {
        Some(self.facts.established?.whole - self.facts.begun?.first_seen)
    }

    /// Names of the alerts that could be read, `close_notify` left out.
    pub fn alerts(&self) -> impl Iterator<Item = String> + use<'a> {
        let alerts = self
            .facts
            .alerts
            .iter()
            .filter(|alert| alert.description != 0);
        alerts.map(|alert| match alert.name() {
            Some(name) => name.to_owned(),
            None => format!("alert_{}", alert.description),
        })
    }

    /// Records, by who sent them: client, server.
    #[must_use]
    pub const fn records(&self) -> (u64, u64) {
        (self.facts.client_records, self.facts.server_records)
    }

    /// Bytes of records, by who sent them: client, server.
    #[must_use]
    pub const fn bytes(&self) -> (u64, u64) {
        (self.facts.client_bytes, self.facts.server_bytes)
    }

    /// Bytes of the longest record, by who sent it: client, server.
    #[must_use]
    pub const fn largest(&self) -> (u64, u64) {
        (self.facts.client_largest, self.facts.server_largest)
    }

    /// The client's longest silence: one that has nothing else to say keeps its connection alive
    /// before its keep-alive has passed.
    #[must_use]
    pub const fn client_silence(&self) -> Option<TimeDelta> {
        self.silence
    }

    /// Records that were decrypted.
    #[must_use]
    pub const fn decrypted(&self) -> u64 {
        self.facts.opened
    }
}

impl Carrier {
    fn new(client: Direction) -> Self {
        Self {
            tls: None,
            web_socket: None,
            client,
            content: None,
            content_mark: None,
            before: None,
            reported: false,
            heard: None,
            silence: None,
        }
    }

    /// TLS, from the ClientHello on.
    pub(super) fn tls(client: Direction) -> Self {
        Self {
            tls: Some(Box::new(Tls::new())),
            content: Some(FirstBytes::default()),
            ..Self::new(client)
        }
    }

    /// WebSocket, from the upgrade on.
    pub(super) fn web_socket(client: Direction) -> Self {
        Self {
            web_socket: Some(Box::new(WebSocket::new())),
            ..Self::new(client)
        }
    }

    /// WebSocket whose upgrade is not in the capture.
    pub(super) fn web_socket_midstream(client: Direction) -> Self {
        Self {
            web_socket: Some(Box::new(WebSocket::midstream())),
            ..Self::new(client)
        }
    }

    /// Bytes that came earlier, in a chunk that was too short to tell anything.
    pub(super) fn after(mut self, bytes: FirstBytes, mark: Option<Mark>) -> Self {
        self.before = mark.map(|mark| (bytes, mark));
        self
    }

    pub(super) fn transport(&self) -> Transport {
        match (&self.tls, &self.web_socket) {
            (Some(_), Some(_)) => Transport::SecureWebSocket,
            (Some(_), None) => Transport::Tls,
            (None, Some(_)) => Transport::WebSocket,
            (None, None) => Transport::Tcp,
        }
    }

    /// How WebSocket carries a connection of this level.
    pub(super) fn web_socket_use(&self, level: ProtocolLevel) -> Option<WebSocketUse> {
        let web_socket = self.web_socket.as_ref()?;
        let is_broken = |named: Option<Subprotocol>| match named {
            None | Some(Subprotocol::Mqtt) => false,
            Some(Subprotocol::MqttV31) => level != ProtocolLevel::V3_1,
            Some(Subprotocol::Misspelt | Subprotocol::Other) => true,
        };
        Some(WebSocketUse {
            not_offered: is_broken(web_socket.offered()),
            not_selected: is_broken(web_socket.selected()),
            text_frames: web_socket.statistics().text_frames,
        })
    }

    pub(super) fn tls_view(&self) -> Option<TlsView<'_>> {
        let tls = self.tls.as_ref()?;
        tls.client_random()?;
        Some(TlsView {
            facts: tls.facts(),
            silence: self.silence,
        })
    }

    /// One side sent something.
    pub(super) fn hear(&mut self, direction: Direction, at: Timestamp) {
        if direction != self.client {
            return;
        }
        if let Some(before) = self.heard.replace(at) {
            self.silence = self.silence.max(Some(at - before));
        }
    }

    pub(super) fn buffered(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.buffered());
        let web_socket = self.web_socket.as_ref().map_or(0, |ws| ws.buffered());
        tls.saturating_add(web_socket)
    }

    /// Why nothing more is read.
    pub(super) fn stopped(&self) -> Option<CarrierStop> {
        let tls = self.tls.as_ref().and_then(|tls| tls.stopped());
        let web_socket = self.web_socket.as_ref().and_then(|ws| ws.stopped());
        let tls = tls.map(CarrierStop::Tls);
        tls.or_else(|| web_socket.map(CarrierStop::WebSocket))
    }

    pub(super) fn give_up_memory(&mut self) {
        match (&mut self.tls, &mut self.web_socket) {
            (Some(tls), _) => tls.give_up(tls::Stop::Memory),
            (None, Some(web_socket)) => web_socket.give_up(websocket::Stop::Memory),
            (None, None) => {}
        }
    }

    fn side(&self, direction: Direction) -> Side {
        if direction == self.client {
            Side::Client
        } else {
            Side::Server
        }
    }

    const fn direction(&self, side: Side) -> Direction {
        match side {
            Side::Client => self.client,
            Side::Server => self.client.opposite(),
        }
    }

    /// Where in the stream the earliest byte stands that is still needed.
    pub(super) fn needed_from(&self, direction: Direction) -> Option<u64> {
        let side = self.side(direction);
        let tls = self.tls.as_ref().and_then(|tls| tls.begun(side));
        let web_socket = self.web_socket.as_ref().and_then(|ws| ws.begun(side));
        let begun = [tls, web_socket, self.before.map(|(_, mark)| mark)];
        begun.into_iter().flatten().map(|mark| mark.start).min()
    }

    /// Whether a connection on no named port is one of ours, once that can be told.
    pub(super) fn verdict(&self, keys: Keys<'_>) -> Option<bool> {
        if let Some(web_socket) = &self.web_socket {
            let asked = web_socket.asks_for_mqtt();
            return asked.or(web_socket.stopped().map(|_| false));
        }
        let tls = self.tls.as_ref()?;
        let Some(random) = tls.client_random() else {
            return tls.stopped().map(|_| false);
        };
        let offered = &tls.facts().offered_protocols;
        // `x-amzn-mqtt-ca` is MQTT with client certificates on the port of HTTPS.
        if offered
            .iter()
            .any(|name| name == b"mqtt" || name == b"x-amzn-mqtt-ca")
        {
            return Some(true);
        }
        if tls.stopped().is_some() || !(keys.more || keys.log.knows(random)) {
            return Some(false);
        }
        let content = self.content.as_ref()?;
        match content.guess() {
            Guess::Connect => Some(true),
            Guess::Open => None,
            _ => Some(false),
        }
    }

    /// Takes one step of TCP and hands on what it means for MQTT.
    pub(super) fn take(
        &mut self,
        direction: Direction,
        step: Step<'_>,
        keys: Keys<'_>,
        scratch: &mut Scratches,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        match step {
            Step::Bytes(piece) => self.push(direction, piece, keys, scratch, pass),
            step => self.step(direction, step, keys, scratch, pass),
        }
    }

    fn push(
        &mut self,
        direction: Direction,
        piece: Piece<'_, Mark>,
        keys: Keys<'_>,
        scratch: &mut Scratches,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        if direction == self.client
            && let Some((bytes, mark)) = self.before.take()
        {
            let early = Piece {
                bytes: bytes.bytes(),
                mark,
                ..piece
            };
            self.step(direction, Step::Bytes(early), keys, scratch, pass);
        }
        self.step(direction, Step::Bytes(piece), keys, scratch, pass);
    }

    /// One step through the layers.
    fn step(
        &mut self,
        direction: Direction,
        step: Step<'_>,
        keys: Keys<'_>,
        scratch: &mut Scratches,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        let side = self.side(direction);
        let Some(mut tls) = self.tls.take() else {
            match step {
                Step::Bytes(piece) => self.content(side, Passed::Bytes(piece), scratch, pass),
                Step::Gap(bytes, mark) => {
                    let bytes = Some(bytes);
                    self.content(side, Passed::Gap { bytes, mark }, scratch, pass);
                }
                Step::End => {}
            }
            return;
        };
        let Scratches { outer, inner } = scratch;
        let mut pass = |side, passed: Passed<'_, Mark>| self.inner(side, passed, inner, pass);
        match step {
            Step::Bytes(piece) => tls.push(side, piece, keys, outer, &mut pass),
            Step::Gap(bytes, mark) => tls.gap(side, bytes, mark, keys, outer, &mut pass),
            Step::End => tls.finish(keys, outer, &mut pass),
        }
        self.tls = Some(tls);
    }

    fn content(
        &mut self,
        side: Side,
        passed: Passed<'_, Mark>,
        scratch: &mut Scratches,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        self.inner(side, passed, &mut scratch.inner, pass);
    }

    /// What is within TLS, or within TCP itself.
    fn inner(
        &mut self,
        side: Side,
        passed: Passed<'_, Mark>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        if let (Some(content), Passed::Bytes(piece), Side::Client) =
            (&mut self.content, passed, side)
            && matches!(content.guess(), Guess::Open)
        {
            let early = *content;
            let guess = content.add(piece.bytes);
            let first = *self.content_mark.get_or_insert(piece.mark);
            if guess == Guess::Open {
                return;
            }
            if guess == Guess::Http {
                self.web_socket = Some(Box::new(WebSocket::new()));
            }
            if !early.bytes().is_empty() {
                let early = Piece {
                    bytes: early.bytes(),
                    mark: first,
                    starts: true,
                    ends: false,
                };
                self.unwrapped(side, Passed::Bytes(early), scratch, pass);
            }
        }
        if let (Some(content), Passed::Bytes(piece), Side::Server) =
            (&mut self.content, passed, side)
            && matches!(content.guess(), Guess::Open)
            && matches!(guess(piece.bytes), Guess::Http)
        {
            // The answer to an upgrade whose request is missing.
            let mut web_socket = Box::new(WebSocket::new());
            web_socket.gap(Side::Client, u64::MAX, piece.mark, &mut |_, _| {});
            self.web_socket = Some(web_socket);
            self.content = None;
        }
        self.unwrapped(side, passed, scratch, pass);
    }

    /// Through WebSocket, if there is one.
    fn unwrapped(
        &mut self,
        side: Side,
        passed: Passed<'_, Mark>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Direction, Passed<'_, Mark>),
    ) {
        let Some(mut web_socket) = self.web_socket.take() else {
            pass(self.direction(side), passed);
            return;
        };
        let mut through = |side, passed: Passed<'_, Mark>| pass(self.direction(side), passed);
        match passed {
            Passed::Bytes(piece) => web_socket.push(side, piece, scratch, &mut through),
            Passed::Gap { bytes, mark } => {
                web_socket.gap(side, bytes.unwrap_or(u64::MAX), mark, &mut through);
            }
        }
        self.web_socket = Some(web_socket);
    }
}

/// What goes into the layers.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Bytes(Piece<'a, Mark>),
    Gap(u64, Mark),
    /// The connection is over.
    End,
}

/// Memory for one record and one frame, used again by all connections.
#[derive(Debug, Default)]
pub(super) struct Scratches {
    outer: Scratch,
    inner: Scratch,
}
