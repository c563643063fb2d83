//! What lies between TCP and MQTT: TLS records and WebSocket frames. Bytes in, bytes out.
//!
//! [`tls::Tls`] and [`websocket::WebSocket`] follow one connection each and stack: what one hands
//! on can be given to the other. Both take the bytes of a side in order, split and joined in any
//! way, with gaps named, and hand on what was inside as [`Passed`], piece by piece. Every piece
//! carries the caller's mark (times, frame), so that whoever reads the content knows when it was
//! seen. Nothing is guessed: bytes are handed on when their frame is understood and, in TLS, when
//! their authentication tag was right; otherwise reading stops with the reason.
//!
//! No socket, no clock; memory is bounded, whatever lengths the network declares.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

pub mod tls;
pub mod websocket;

/// The caller's mark of a chunk: its times, its frame, its place in the stream.
pub trait Mark: Copy + std::fmt::Debug {
    /// The mark of bytes that came in the chunk of `self` and could be read only together with
    /// everything from the chunk of `first` to that of `last`: they were first seen with `self`,
    /// and whole with `last`.
    #[must_use]
    fn spanning(self, first: Self, last: Self) -> Self;
}

/// Who of a connection's two ends sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who opened it: the sender of the ClientHello, of the upgrade request.
    Client,
    /// The other one.
    Server,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Bytes of one side, in order.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a, M> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where they came from.
    pub mark: M,
    /// They begin where the sender began to write: a segment, a record, a message.
    pub starts: bool,
    /// They end where such a thing ends.
    pub ends: bool,
}

/// What a layer hands on.
#[derive(Clone, Copy, Debug)]
pub enum Passed<'a, M> {
    /// Bytes of the content; never empty.
    Bytes(Piece<'a, M>),
    /// Bytes of the content are missing.
    Gap {
        /// How many, where that is known.
        bytes: Option<u64>,
        /// Where the gap was noticed.
        mark: M,
    },
}

/// Memory that is used again from record to record and frame to frame, by all connections.
#[derive(Debug, Default)]
pub struct Scratch {
    spare: Vec<u8>,
    copy: Vec<u8>,
}

/// The most memory that is kept for the next record or frame, in bytes.
const SPARE: usize = 64 << 10;

impl Scratch {
    fn take(&mut self) -> Vec<u8> {
        let mut spare = std::mem::take(&mut self.spare);
        spare.clear();
        spare
    }

    fn give_back(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() > self.spare.capacity() && bytes.capacity() <= SPARE {
            self.spare = bytes;
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
pub(crate) mod testing {
    //! A mark and a collector for the tests of both layers.
    use super::{Mark, Passed, Side};

    /// Numbers of chunks: first seen with, readable from, readable with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Chunk {
        pub(crate) seen: usize,
        pub(crate) first: usize,
        pub(crate) last: usize,
    }

    impl Chunk {
        pub(crate) const fn new(number: usize) -> Self {
            Self {
                seen: number,
                first: number,
                last: number,
            }
        }
    }

    impl Mark for Chunk {
        fn spanning(self, first: Self, last: Self) -> Self {
            Self {
                seen: self.seen,
                first: first.first,
                last: last.last,
            }
        }
    }

    /// Everything that was handed on.
    #[derive(Debug, Default)]
    pub(crate) struct Collected {
        pub(crate) client: Vec<u8>,
        pub(crate) server: Vec<u8>,
        pub(crate) pieces: Vec<(Side, usize, Chunk)>,
        pub(crate) gaps: Vec<(Side, Option<u64>)>,
    }

    impl Collected {
        pub(crate) fn add(&mut self, side: Side, passed: Passed<'_, Chunk>) {
            match passed {
                Passed::Bytes(piece) => {
                    assert!(!piece.bytes.is_empty());
                    self.pieces.push((side, piece.bytes.len(), piece.mark));
                    match side {
                        Side::Client => self.client.extend_from_slice(piece.bytes),
                        Side::Server => self.server.extend_from_slice(piece.bytes),
                    }
                }
                Passed::Gap { bytes, .. } => self.gaps.push((side, bytes)),
            }
        }
    }
}
