//! What ClientHello, ServerHello and EncryptedExtensions say (RFC 8446 section 4, RFC 5246
//! section 7.4). The messages are parsed by `tls-parser`.

use tls_parser::{
    IResult, TlsExtension, parse_tls_client_hello_extension, parse_tls_extension,
    parse_tls_handshake_client_hello, parse_tls_handshake_server_hello,
    parse_tls_server_hello_extension,
};

/// The random of a ServerHello that is a HelloRetryRequest: SHA-256 of that name (RFC 8446
/// section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Most bytes of offered protocol names that are kept.
const MAX_OFFER: usize = 512;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    pub(super) session_id: Vec<u8>,
    /// The name of the server.
    pub(super) server_name: Option<Vec<u8>>,
    /// Protocols for use within (ALPN), by preference.
    pub(super) protocols: Vec<Vec<u8>>,
    /// It sends data before the server has answered (0-RTT).
    pub(super) early_data: bool,
}

/// What a server agrees on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) version: u16,
    pub(super) suite: u16,
    pub(super) session_id: Vec<u8>,
    pub(super) protocol: Option<Vec<u8>>,
    /// A pre-shared key of an earlier session was accepted (TLS 1.3).
    pub(super) pre_shared_key: bool,
    pub(super) compressed: bool,
    pub(super) retry: bool,
}

/// Extensions one by one: one that cannot be parsed hides no other.
fn extensions<'a>(
    mut bytes: &'a [u8],
    parse: impl Fn(&'a [u8]) -> IResult<&'a [u8], TlsExtension<'a>>,
    mut take: impl FnMut(TlsExtension<'a>),
) {
    while let [_, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(rest) = rest.get(length..) else {
            return;
        };
        if let Ok((_, extension)) = parse(bytes) {
            take(extension);
        }
        bytes = rest;
    }
}

impl ClientHello {
    /// The body of a ClientHello message.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (_, hello) = parse_tls_handshake_client_hello(body).ok()?;
        let mut parsed = Self {
            random: hello.random.try_into().ok()?,
            session_id: hello.session_id.unwrap_or_default().to_vec(),
            server_name: None,
            protocols: Vec::new(),
            early_data: false,
        };
        let mut room = MAX_OFFER;
        extensions(
            hello.ext.unwrap_or_default(),
            parse_tls_client_hello_extension,
            |extension| match extension {
                TlsExtension::SNI(names) => {
                    let name = names.first().map(|(_, name)| *name);
                    let name = name.filter(|name| !name.is_empty() && name.len() <= 255);
                    parsed.server_name = name.map(<[u8]>::to_vec);
                }
                TlsExtension::ALPN(names) => {
                    for name in names {
                        let Some(left) = room.checked_sub(name.len()) else {
                            break;
                        };
                        room = left;
                        parsed.protocols.push(name.to_vec());
                    }
                }
                TlsExtension::EarlyData(_) => parsed.early_data = true,
                _ => {}
            },
        );
        Some(parsed)
    }
}

impl ServerHello {
    /// The body of a ServerHello message.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (_, hello) = parse_tls_handshake_server_hello(body).ok()?;
        let random: [u8; 32] = hello.random.try_into().ok()?;
        let mut parsed = Self {
            random,
            version: hello.version.0,
            suite: hello.cipher.0,
            session_id: hello.session_id.unwrap_or_default().to_vec(),
            protocol: None,
            pre_shared_key: false,
            compressed: hello.compression.0 != 0,
            retry: random == RETRY,
        };
        extensions(
            hello.ext.unwrap_or_default(),
            parse_tls_server_hello_extension,
            |extension| match extension {
                TlsExtension::SupportedVersions(versions) => {
                    if let [version] = versions.as_slice() {
                        parsed.version = version.0;
                    }
                }
                TlsExtension::ALPN(names) => parsed.protocol = agreed(&names),
                TlsExtension::PreSharedKey(_) => parsed.pre_shared_key = true,
                _ => {}
            },
        );
        Some(parsed)
    }
}

/// The protocol that a server's list of one names.
fn agreed(names: &[&[u8]]) -> Option<Vec<u8>> {
    names.first().map(|name| name.to_vec())
}

/// What EncryptedExtensions say: the protocol, and whether early data was accepted.
pub(super) fn encrypted_extensions(body: &[u8]) -> Option<(Option<Vec<u8>>, bool)> {
    let (length, rest) = body.split_first_chunk()?;
    let list = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    let (mut protocol, mut early_data) = (None, false);
    extensions(list, parse_tls_extension, |extension| match extension {
        TlsExtension::ALPN(names) => protocol = agreed(&names),
        TlsExtension::EarlyData(_) => early_data = true,
        _ => {}
    });
    Some((protocol, early_data))
}
