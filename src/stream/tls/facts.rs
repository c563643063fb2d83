//! What is seen of a TLS connection, with keys or without.

use std::borrow::Cow;
use std::fmt;

use super::super::Side;
use super::hello::{ClientHello, ServerHello};
use super::keys::{Suite, TLS_1_2, TLS_1_3};
use super::record::ALERT;

/// Most alerts that are kept.
const MAX_ALERTS: usize = 8;

/// Why a connection's content is not handed on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does not begin with a ClientHello.
    NotTls,
    /// ClientHello or ServerHello is not in the capture.
    HandshakeUnseen,
    /// A version before TLS 1.2, or one that is not known.
    Version(u16),
    /// A cipher suite that is not decrypted.
    Suite(u16),
    /// TLS compression was agreed on.
    Compressed,
    /// The key log has nothing for it.
    NoKeys,
    /// Its keys did not come before as many bytes as may wait for them.
    LateKeys,
    /// A record did not open: a wrong secret, or damaged bytes.
    WrongKey,
    /// The key log has some of its secrets, but not this one.
    MissingSecret,
    /// A second handshake within TLS 1.2.
    Renegotiation,
    /// Bytes are missing from the capture, and no record behind them could be told.
    Gap,
    /// The bytes are not TLS records, or not any more.
    Malformed,
    /// Too much was kept in memory for connections like this one.
    Memory,
}

impl Stop {
    /// Decryption did not begin, since nothing was given to decrypt it with.
    #[must_use]
    pub const fn is_without_keys(self) -> bool {
        matches!(self, Self::NoKeys)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it does not begin with a TLS ClientHello",
            Self::HandshakeUnseen => "ClientHello or ServerHello is not in the capture",
            Self::Version(version) => {
                return write!(f, "{} is not decrypted", version_name(*version));
            }
            Self::Suite(suite) => return write!(f, "{} is not decrypted", suite_name(*suite)),
            Self::Compressed => "TLS compression is not supported",
            Self::NoKeys => "encrypted, no keys",
            Self::LateKeys => "its keys did not come before too much waited for them",
            Self::WrongKey => "a record does not open with its key: wrong secret, or damaged bytes",
            Self::MissingSecret => "the key log lacks one of its secrets",
            Self::Renegotiation => "renegotiation is not supported",
            Self::Gap => "bytes are missing from the capture",
            Self::Malformed => "malformed TLS record",
            Self::Memory => "too much waits in memory",
        })
    }
}

/// An alert that was not encrypted, or could be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub side: Side,
    /// Its number (RFC 8446 section 6).
    pub description: u8,
}

impl Alert {
    /// As the specification spells it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => return None,
        })
    }
}

/// `TLS 1.3` and so on.
fn version_name(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        TLS_1_2 => "TLS 1.2",
        TLS_1_3 => "TLS 1.3",
        other => return Cow::Owned(format!("TLS version {other:#06x}")),
    })
}

fn suite_name(suite: u16) -> Cow<'static, str> {
    Suite::name(suite).map_or_else(|| Cow::Owned(format!("{suite:#06x}")), Cow::Borrowed)
}

/// What is seen of a connection.
#[derive(Clone, Debug)]
pub struct TlsFacts<M> {
    /// The version agreed on: `TLS 1.3`.
    pub version: Option<Cow<'static, str>>,
    /// The cipher suite agreed on, by its IANA name; in hexadecimal if it has none.
    pub suite: Option<Cow<'static, str>>,
    /// The server name that the client asked for.
    pub server_name: Option<Vec<u8>>,
    /// The application protocol agreed on. In TLS 1.3 the server says it encrypted.
    pub protocol: Option<Vec<u8>>,
    /// The application protocols that the client offered.
    pub offered_protocols: Vec<Vec<u8>>,
    /// An earlier session was resumed.
    pub resumed: bool,
    /// The client sent data before the server had answered (0-RTT).
    pub early_data: bool,
    /// Key updates seen, of both sides.
    pub key_updates: u64,
    /// Alerts that could be read, the first few.
    pub alerts: Vec<Alert>,
    /// Alerts that were encrypted and not decrypted.
    pub sealed_alerts: u64,
    /// Records of the client.
    pub client_records: u64,
    /// Records of the server.
    pub server_records: u64,
    /// Bytes of the client's records, with their headers.
    pub client_bytes: u64,
    /// Bytes of the server's records, with their headers.
    pub server_bytes: u64,
    /// Bytes of the client's longest record, with its header.
    pub client_largest: u64,
    /// Bytes of the server's longest record, with its header.
    pub server_largest: u64,
    /// Records that were opened.
    pub opened: u64,
    /// The chunk with the ClientHello's first byte.
    pub begun: Option<M>,
    /// The chunk with the first record, of the side that was later, that is encrypted: the
    /// handshake ends with it.
    pub established: Option<M>,
}

impl<M> Default for TlsFacts<M> {
    fn default() -> Self {
        Self {
            version: None,
            suite: None,
            server_name: None,
            protocol: None,
            offered_protocols: Vec::new(),
            resumed: false,
            early_data: false,
            key_updates: 0,
            alerts: Vec::new(),
            sealed_alerts: 0,
            client_records: 0,
            server_records: 0,
            client_bytes: 0,
            server_bytes: 0,
            client_largest: 0,
            server_largest: 0,
            opened: 0,
            begun: None,
            established: None,
        }
    }
}

impl<M> TlsFacts<M> {
    pub(super) const fn count(&mut self, side: Side, length: usize) {
        let (records, bytes, largest) = match side {
            Side::Client => (
                &mut self.client_records,
                &mut self.client_bytes,
                &mut self.client_largest,
            ),
            Side::Server => (
                &mut self.server_records,
                &mut self.server_bytes,
                &mut self.server_largest,
            ),
        };
        *records = records.saturating_add(1);
        *bytes = bytes.saturating_add(length as u64);
        if *largest < length as u64 {
            *largest = length as u64;
        }
    }

    pub(super) fn alert(&mut self, side: Side, content: &[u8]) {
        if let &[_, description] = content
            && self.alerts.len() < MAX_ALERTS
        {
            self.alerts.push(Alert { side, description });
        }
    }

    pub(super) const fn sealed_alert(&mut self, content_type: u8) {
        if content_type == ALERT {
            self.sealed_alerts = self.sealed_alerts.saturating_add(1);
        }
    }

    pub(super) fn client_hello(&mut self, hello: &ClientHello, mark: M) {
        self.server_name.clone_from(&hello.server_name);
        self.offered_protocols.clone_from(&hello.protocols);
        self.early_data = hello.early_data;
        self.begun.get_or_insert(mark);
    }

    pub(super) fn server_hello(&mut self, hello: &ServerHello, client: Option<&ClientHello>) {
        self.version = Some(version_name(hello.version));
        self.suite = Some(suite_name(hello.suite));
        self.protocol.clone_from(&hello.protocol);
        let same_session = hello.version != TLS_1_3
            && !hello.session_id.is_empty()
            && client.is_some_and(|client| client.session_id == hello.session_id);
        self.resumed = hello.pre_shared_key || same_session;
    }
}
