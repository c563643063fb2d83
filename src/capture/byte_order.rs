//! Integers in either byte order.

/// The byte order that a file, or a section of it, is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The 16-bit integer at `at`; 0 where `bytes` ends before it (callers check lengths first).
    #[inline]
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(field) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return 0;
        };
        match self {
            Self::Little => u16::from_le_bytes(*field),
            Self::Big => u16::from_be_bytes(*field),
        }
    }

    /// The 32-bit integer at `at`; 0 where `bytes` ends before it.
    #[inline]
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(field) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return 0;
        };
        match self {
            Self::Little => u32::from_le_bytes(*field),
            Self::Big => u32::from_be_bytes(*field),
        }
    }

    /// The 64-bit integer that is the whole of `bytes`, if they are eight.
    pub(crate) fn u64(self, bytes: &[u8]) -> Option<u64> {
        let field = <[u8; 8]>::try_from(bytes).ok()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(field),
            Self::Big => u64::from_be_bytes(field),
        })
    }
}
