//! The upgrade from HTTP (RFC 6455 section 4; MQTT 5.0 section 6).

use super::super::Side;
use super::Stop;

/// Most header fields of a request or response.
const FIELDS: usize = 128;

/// Where the head ends (one past its empty line), searching from `from` on.
pub(super) fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let place = bytes
        .get(from..)?
        .windows(4)
        .position(|w| w == b"\r\n\r\n")?;
    from.checked_add(place)?.checked_add(4)
}

/// Whether the first bytes can still become a request (or response) of an upgrade.
pub(super) fn could_be(side: Side, head: &[u8]) -> bool {
    let start: &[u8] = match side {
        Side::Client => b"GET ",
        Side::Server => b"HTTP/1.1 ",
    };
    start
        .iter()
        .zip(head)
        .all(|(expected, byte)| expected == byte)
}

/// A subprotocol of WebSocket (RFC 6455 section 1.9), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// `mqtt`, of MQTT 3.1.1 and 5.
    Mqtt,
    /// `mqttv3.1`, of MQTT 3.1.
    MqttV31,
    /// One of them, but for upper and lower case.
    Misspelt,
    /// Any other, or none.
    Other,
}

impl Subprotocol {
    /// The best of those that a head names.
    fn of(fields: &[httparse::Header<'_>]) -> Self {
        let named = |wanted: &dyn Fn(&str) -> bool| has(fields, "Sec-WebSocket-Protocol", wanted);
        if named(&|name| name == "mqtt") {
            Self::Mqtt
        } else if named(&|name| name == "mqttv3.1") {
            Self::MqttV31
        } else if named(&|name| {
            name.eq_ignore_ascii_case("mqtt") || name.eq_ignore_ascii_case("mqttv3.1")
        }) {
            Self::Misspelt
        } else {
            Self::Other
        }
    }
}

/// What matters of the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The subprotocol that it offers.
    pub(super) offers: Subprotocol,
}

impl Request {
    pub(super) fn parse(head: &[u8]) -> Result<Self, Stop> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Stop::BadHead),
        }
        let upgrades = request.method == Some("GET")
            && has(request.headers, "Upgrade", |token| {
                token.eq_ignore_ascii_case("websocket")
            });
        if !upgrades {
            return Err(Stop::NotAnUpgrade);
        }
        Ok(Self {
            offers: Subprotocol::of(request.headers),
        })
    }
}

/// What matters of the server's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The subprotocol that it selects.
    pub(super) selects: Subprotocol,
    /// permessage-deflate was agreed on.
    pub(super) deflate: bool,
}

impl Response {
    pub(super) fn parse(head: &[u8]) -> Result<Self, Stop> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Stop::BadHead),
        }
        let deflate = has(response.headers, "Sec-WebSocket-Extensions", |extension| {
            let name = extension.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("permessage-deflate")
        });
        Ok(Self {
            status: response.code.unwrap_or_default(),
            selects: Subprotocol::of(response.headers),
            deflate,
        })
    }
}

/// Whether a header field, a list joined by commas, has an item that `wanted` accepts.
fn has(fields: &[httparse::Header<'_>], name: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let mut values = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .filter_map(|field| std::str::from_utf8(field.value).ok());
    values.any(|value| value.split(',').any(|item| wanted(item.trim())))
}
