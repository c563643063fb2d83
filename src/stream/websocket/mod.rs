//! MQTT within WebSocket (RFC 6455): the upgrade, then frames.
//!
//! [`WebSocket`] follows both sides of one connection. Payload is handed on as it comes, unmasked,
//! without waiting for the end of its frame, so a frame's declared length costs no memory. Control
//! frames between the parts of a fragmented message are skipped. A gap within a frame's payload
//! is handed on as such and leaves the side in step; after any other gap, the next frame is taken
//! only where a segment begins with frames that fill it exactly.

mod frame;
#[cfg(test)]
mod tests;
mod upgrade;

use std::fmt;

use frame::{FrameHeader, Gathered, HeaderBytes, Opcode, unmask};
pub use upgrade::Subprotocol;
use upgrade::{Request, Response};

use super::{Mark, Passed, Piece, Scratch, Side};

/// The longest request or response of an upgrade, in bytes.
pub const MAX_HEAD: usize = 16 << 10;

/// Why a connection's WebSocket frames are not read, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The client's first bytes are no upgrade to WebSocket.
    NotAnUpgrade,
    /// The head of the request or response is malformed, or longer than [`MAX_HEAD`].
    BadHead,
    /// The server did not switch protocols.
    Refused {
        /// The status code of its response.
        status: u16,
    },
    /// permessage-deflate (RFC 7692) was agreed on.
    Compressed,
    /// Not a WebSocket frame: a reserved bit or opcode, or a control frame that is too long or
    /// fragmented.
    BadFrame,
    /// A payload length of 2^63 or more (RFC 6455 section 5.2).
    BadLength,
    /// Too much was kept in memory for connections like this one.
    Memory,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnUpgrade => "no upgrade to WebSocket",
            Self::BadHead => "malformed upgrade to WebSocket",
            Self::Refused { status } => {
                return write!(
                    f,
                    "WebSocket refused: the server answered with status {status}"
                );
            }
            Self::Compressed => "websocket with permessage-deflate: not supported",
            Self::BadFrame => "malformed WebSocket frame",
            Self::BadLength => "WebSocket frame with a length of 2^63 or more",
            Self::Memory => "too much waits in memory",
        })
    }
}

/// What was noticed about the frames, besides what they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameStatistics {
    /// Data frames.
    pub frames: u64,
    /// Text frames: MQTT requires binary ones \[MQTT-6.0.0-1\].
    pub text_frames: u64,
    /// Frames of a client without a mask, or of a server with one (RFC 6455 section 5.1).
    pub wrongly_masked: u64,
    /// Lengths written longer than needed (section 5.2).
    pub long_lengths: u64,
    /// Bytes that could not be read, since the beginning of the next frame was not known.
    pub skipped_bytes: u64,
}

/// Both sides of one connection.
#[derive(Debug)]
pub struct WebSocket<M> {
    client: Half<M>,
    server: Half<M>,
    request: Option<Request>,
    selected: Option<Subprotocol>,
    stop: Option<Stop>,
    statistics: FrameStatistics,
}

/// One side.
#[derive(Debug)]
struct Half<M> {
    phase: Phase,
    /// The beginning of the request or response.
    head: Vec<u8>,
    header: HeaderBytes,
    /// The chunk in which the unfinished head or frame header began.
    first: Option<M>,
    frame: FrameHeader,
    /// Bytes of the frame's payload that are still to come.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The request or response of the upgrade.
    Head,
    /// Between frames, or within a frame's header.
    Header,
    /// Within a frame's payload.
    Payload,
    /// The beginning of the next frame is not known.
    Searching,
    /// A close frame was seen: nothing follows it.
    Closed,
}

impl<M: Mark> Half<M> {
    fn new(phase: Phase) -> Self {
        Self {
            phase,
            head: Vec::new(),
            header: HeaderBytes::default(),
            first: None,
            frame: FrameHeader::default(),
            left: 0,
        }
    }
}

impl<M: Mark> WebSocket<M> {
    /// A connection from its first byte on: the upgrade comes first.
    #[must_use]
    pub fn new() -> Self {
        Self::in_phase(Phase::Head)
    }

    /// A connection whose beginning is not in the capture. Frames are found where a segment
    /// begins with them.
    #[must_use]
    pub fn midstream() -> Self {
        Self::in_phase(Phase::Searching)
    }

    fn in_phase(phase: Phase) -> Self {
        Self {
            client: Half::new(phase),
            server: Half::new(phase),
            request: None,
            selected: None,
            stop: None,
            statistics: FrameStatistics::default(),
        }
    }

    /// Why nothing more is read.
    #[must_use]
    pub const fn stopped(&self) -> Option<Stop> {
        self.stop
    }

    /// Whether the client asked for MQTT (`Sec-WebSocket-Protocol: mqtt` or `mqttv3.1`); `None`
    /// before its request was seen.
    #[must_use]
    pub fn asks_for_mqtt(&self) -> Option<bool> {
        self.offered().map(|offered| offered != Subprotocol::Other)
    }

    /// The subprotocol that the client offers; `None` before its request was seen.
    #[must_use]
    pub fn offered(&self) -> Option<Subprotocol> {
        self.request.map(|request| request.offers)
    }

    /// The subprotocol that the server selected; `None` before it switched protocols.
    #[must_use]
    pub const fn selected(&self) -> Option<Subprotocol> {
        self.selected
    }

    /// What was noticed about the frames.
    #[must_use]
    pub const fn statistics(&self) -> &FrameStatistics {
        &self.statistics
    }

    /// Bytes kept in memory.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.client
            .head
            .len()
            .saturating_add(self.server.head.len())
    }

    /// The chunk with the first byte of what is unfinished on a side.
    #[must_use]
    pub const fn begun(&self, side: Side) -> Option<M> {
        match side {
            Side::Client => self.client.first,
            Side::Server => self.server.first,
        }
    }

    /// Reads no more.
    pub fn give_up(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        self.client.head = Vec::new();
        self.server.head = Vec::new();
        self.client.first = None;
        self.server.first = None;
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
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        // The piece may be read only in part before its next step is known.
        let mut starts = piece.starts;
        while self.stop.is_none() && !piece.bytes.is_empty() {
            let done = match self.half(side).phase {
                Phase::Head => self.head(side, &mut piece),
                Phase::Header => self.header(side, &mut piece),
                Phase::Payload => {
                    self.payload(side, &mut piece, scratch, pass);
                    Ok(())
                }
                Phase::Searching => {
                    let found = starts && frame::fill(piece.bytes, side, piece.ends);
                    self.search(side, &mut piece, found);
                    Ok(())
                }
                Phase::Closed => return,
            };
            starts = false;
            if let Err(stop) = done {
                self.give_up(stop);
            }
        }
    }

    /// Takes note of missing bytes.
    pub fn gap(
        &mut self,
        side: Side,
        bytes: u64,
        mark: M,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        if self.stop.is_some() {
            return;
        }
        let half = self.half(side);
        match half.phase {
            Phase::Payload if bytes <= half.left => {
                half.left = half.left.saturating_sub(bytes);
                half.frame.skip_mask(bytes);
                let data = half.frame.opcode.is_data();
                if half.left == 0 {
                    half.end_frame();
                }
                if data {
                    let bytes = Some(bytes);
                    pass(side, Passed::Gap { bytes, mark });
                }
            }
            Phase::Head | Phase::Header | Phase::Payload | Phase::Searching => {
                half.phase = Phase::Searching;
                half.head = Vec::new();
                half.header.clear();
                half.first = None;
                pass(side, Passed::Gap { bytes: None, mark });
            }
            Phase::Closed => {}
        }
    }

    /// The request or response.
    fn head(&mut self, side: Side, piece: &mut Piece<'_, M>) -> Result<(), Stop> {
        let half = self.half(side);
        half.first.get_or_insert(piece.mark);
        let kept = half.head.len();
        let room = MAX_HEAD.saturating_sub(kept);
        let count = piece.bytes.len().min(room);
        let (taken, rest) = piece.bytes.split_at_checked(count).unwrap_or_default();
        half.head.extend_from_slice(taken);
        // Only what is new can hold the end; looking at all of it every time would take long for
        // a head that comes byte by byte.
        let from = kept.saturating_sub(3);
        // Before the end is looked for: a head must not be judged by how it was cut, and the HTTP
        // parser takes more beginnings than these (empty lines, other versions).
        if !upgrade::could_be(side, &half.head) {
            return Err(match side {
                Side::Client => Stop::NotAnUpgrade,
                Side::Server => Stop::BadHead,
            });
        }
        let Some(end) = upgrade::end_of_head(&half.head, from) else {
            piece.bytes = rest;
            return if half.head.len() >= MAX_HEAD {
                Err(Stop::BadHead)
            } else {
                Ok(())
            };
        };
        let head = std::mem::take(&mut half.head);
        half.first = None;
        half.phase = Phase::Header;
        let used = end.saturating_sub(kept);
        piece.bytes = piece.bytes.get(used..).unwrap_or_default();
        let head = head.get(..end).unwrap_or_default();
        match side {
            Side::Client => {
                let request = Request::parse(head)?;
                self.request = Some(request);
                Ok(())
            }
            Side::Server => match Response::parse(head)? {
                Response {
                    status: 101,
                    deflate,
                    selects,
                } => {
                    self.selected = Some(selects);
                    if deflate {
                        Err(Stop::Compressed)
                    } else {
                        Ok(())
                    }
                }
                Response { status, .. } => Err(Stop::Refused { status }),
            },
        }
    }

    /// A frame's header.
    fn header(&mut self, side: Side, piece: &mut Piece<'_, M>) -> Result<(), Stop> {
        let half = self.half(side);
        half.first.get_or_insert(piece.mark);
        let header = match half.header.gather(&mut piece.bytes)? {
            Gathered::Whole(header) => header,
            Gathered::Part => return Ok(()),
        };
        half.begin_frame(header);
        let closed = header.opcode == Opcode::Close;
        if closed {
            half.phase = Phase::Closed;
        }
        let statistics = &mut self.statistics;
        let add = |count: &mut u64, yes: bool| *count = count.saturating_add(u64::from(yes));
        add(&mut statistics.frames, header.opcode.is_data());
        add(&mut statistics.text_frames, header.opcode == Opcode::Text);
        let expected = side == Side::Client;
        add(&mut statistics.wrongly_masked, header.masked() != expected);
        add(&mut statistics.long_lengths, !header.shortest);
        Ok(())
    }

    /// Payload, as much of it as there is.
    fn payload(
        &mut self,
        side: Side,
        piece: &mut Piece<'_, M>,
        scratch: &mut Scratch,
        pass: &mut impl FnMut(Side, Passed<'_, M>),
    ) {
        let half = self.half(side);
        let left = usize::try_from(half.left).unwrap_or(usize::MAX);
        let count = piece.bytes.len().min(left);
        let (bytes, rest) = piece.bytes.split_at_checked(count).unwrap_or_default();
        piece.bytes = rest;
        let starts = half.left == half.frame.length;
        half.left = half.left.saturating_sub(count as u64);
        let frame = half.frame;
        half.frame.skip_mask(count as u64);
        let ends = half.left == 0;
        let mark = half.first.take().map_or(piece.mark, |first| {
            // The header stood in an earlier chunk.
            piece.mark.spanning(first, piece.mark)
        });
        if ends {
            half.end_frame();
        }
        if !frame.opcode.is_data() {
            return;
        }
        let piece = |bytes| Piece {
            bytes,
            mark,
            starts,
            ends,
        };
        if frame.masked() {
            let mut unmasked = scratch.take();
            unmasked.extend_from_slice(bytes);
            unmask(&mut unmasked, frame.mask);
            pass(side, Passed::Bytes(piece(&unmasked)));
            scratch.give_back(unmasked);
        } else {
            pass(side, Passed::Bytes(piece(bytes)));
        }
    }

    /// Goes on behind a gap, or in mid-stream, if the piece begins with a frame.
    fn search(&mut self, side: Side, piece: &mut Piece<'_, M>, found: bool) {
        if found {
            self.half(side).phase = Phase::Header;
            return;
        }
        let count = piece.bytes.len() as u64;
        self.statistics.skipped_bytes = self.statistics.skipped_bytes.saturating_add(count);
        piece.bytes = &[];
    }
}

impl<M: Mark> Default for WebSocket<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Mark> Half<M> {
    fn begin_frame(&mut self, header: FrameHeader) {
        self.frame = header;
        self.left = header.length;
        if header.length > 0 {
            self.phase = Phase::Payload;
        } else {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        self.phase = Phase::Header;
        self.first = None;
    }
}
