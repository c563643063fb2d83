//! Rows of comma-separated tables, written without an allocation per row.
//!
//! The format is RFC 4180 with `\n` between rows: a header row, cells in quotes only where they
//! hold a comma or a quote. Numbers are decimal integers, a missing value is an empty cell.

use super::text::{self, Formulas, Text};
use crate::time::{TimeDelta, Timestamp};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// So much is collected before it is handed on.
const BUFFER_SIZE: usize = 128 << 10;

/// A row of one table. The `table!` macro of the tables writes the implementations.
pub trait Row {
    /// The table's file name.
    const FILE: &'static str;
    /// The names of its columns, in order.
    const COLUMNS: &'static [&'static str];

    /// Hands every cell to `cells`, in the order of [`Row::COLUMNS`].
    fn write_cells(&self, cells: &mut Cells<'_>);
}

/// The value of one cell.
pub trait Cell {
    /// Appends the cell's text, with quotes where it needs them.
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas);
}

/// Where a row's cells go.
#[derive(Debug)]
pub struct Cells<'b> {
    out: &'b mut Vec<u8>,
    formulas: Formulas,
}

impl Cells<'_> {
    /// Appends one cell.
    #[inline]
    pub fn push(&mut self, cell: &impl Cell) {
        cell.write_to(self.out, self.formulas);
        self.out.push(b',');
    }
}

/// Writes the rows of one table. Call [`RowWriter::finish`] in the end: what is still collected
/// when a writer is dropped is lost.
#[derive(Debug)]
pub struct RowWriter<W: Write> {
    inner: W,
    buffer: Vec<u8>,
    formulas: Formulas,
    /// Cells of the header, to hold rows to.
    columns: usize,
}

impl<W: Write> RowWriter<W> {
    /// A table of rows `R`, with its header row.
    ///
    /// # Errors
    ///
    /// None now: the header is written with the first rows.
    pub fn new<R: Row>(inner: W, formulas: Formulas) -> io::Result<Self> {
        Self::with_leading::<R>(inner, formulas, &[])
    }

    /// Like [`RowWriter::new`], with columns before those of `R`; rows are then written with
    /// [`RowWriter::write_after`].
    ///
    /// # Errors
    ///
    /// See [`RowWriter::new`].
    pub fn with_leading<R: Row>(
        inner: W,
        formulas: Formulas,
        leading: &[&'static str],
    ) -> io::Result<Self> {
        let mut writer = Self {
            inner,
            // Rows longer than the rest of the buffer are rare: it grows for them once.
            buffer: Vec::with_capacity(BUFFER_SIZE + (8 << 10)),
            formulas,
            columns: leading.len() + R::COLUMNS.len(),
        };
        let names = leading.iter().chain(R::COLUMNS);
        writer.row(|cells| names.for_each(|name| cells.push(name)))?;
        Ok(writer)
    }

    /// Adds one row.
    ///
    /// # Errors
    ///
    /// What the destination says when the collected rows are handed on; those rows are lost.
    #[inline]
    pub fn write<R: Row>(&mut self, row: &R) -> io::Result<()> {
        debug_assert_eq!(self.columns, R::COLUMNS.len(), "the header's columns");
        self.row(|cells| row.write_cells(cells))
    }

    /// Adds one row after a leading cell.
    ///
    /// # Errors
    ///
    /// See [`RowWriter::write`].
    #[inline]
    pub fn write_after<R: Row>(&mut self, leading: &impl Cell, row: &R) -> io::Result<()> {
        debug_assert_eq!(self.columns, 1 + R::COLUMNS.len(), "the header's columns");
        self.row(|cells| {
            cells.push(leading);
            row.write_cells(cells);
        })
    }

    #[inline]
    fn row(&mut self, write: impl FnOnce(&mut Cells<'_>)) -> io::Result<()> {
        write(&mut Cells {
            out: &mut self.buffer,
            formulas: self.formulas,
        });
        // The last cell's comma ends the row.
        if let Some(comma) = self.buffer.last_mut() {
            *comma = b'\n';
        }
        if self.buffer.len() >= BUFFER_SIZE {
            self.hand_on()?;
        }
        Ok(())
    }

    #[cold]
    fn hand_on(&mut self) -> io::Result<()> {
        let result = self.inner.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    /// Hands on what is collected, and flushes the destination: what was written so far can be
    /// read there.
    ///
    /// # Errors
    ///
    /// What the destination says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.inner.flush()
    }

    /// Flushes, and gives the destination back.
    ///
    /// # Errors
    ///
    /// What the destination says.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.inner)
    }
}

macro_rules! integer_cells {
    ($($type:ty),+) => {$(
        impl Cell for $type {
            #[inline]
            fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )+};
}
integer_cells!(u8, u16, u32, u64, usize, i64);

impl Cell for bool {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        out.push(b'0' + u8::from(*self));
    }
}

impl Cell for Timestamp {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        self.as_nanos().write_to(out, formulas);
    }
}

impl Cell for TimeDelta {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        self.as_nanos().write_to(out, formulas);
    }
}

/// Our own names, which need neither escapes nor quotes.
impl Cell for &'static str {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        debug_assert!(!self.contains([',', '"', '\n', '\\']), "{self}");
        out.extend_from_slice(self.as_bytes());
    }
}

impl Cell for Text<'_> {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        text::cell_into(out, self.0, formulas);
    }
}

impl Cell for Arc<str> {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        text::cell_into(out, self.as_bytes(), formulas);
    }
}

/// With as many digits as give the same number back; what is no number is an empty cell.
impl Cell for f64 {
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        if self.is_finite() {
            // A write to a vector does not fail.
            _ = write!(out, "{self}");
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        if let Some(value) = self {
            value.write_to(out, formulas);
        }
    }
}

impl Cell for IpAddr {
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        match self {
            Self::V4(address) => write_v4(*address, out, formulas),
            // A write to a vector does not fail.
            Self::V6(address) => _ = write!(out, "{address}"),
        }
    }
}

/// `192.0.2.1:1883`, `[2001:db8::1]:1883`.
impl Cell for SocketAddr {
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        match self.ip() {
            IpAddr::V4(address) => write_v4(address, out, formulas),
            IpAddr::V6(address) => _ = write!(out, "[{address}]"),
        }
        out.push(b':');
        self.port().write_to(out, formulas);
    }
}

fn write_v4(address: Ipv4Addr, out: &mut Vec<u8>, formulas: Formulas) {
    let [first, rest @ ..] = address.octets();
    first.write_to(out, formulas);
    for octet in rest {
        out.push(b'.');
        octet.write_to(out, formulas);
    }
}

/// A 64-bit hash, written as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash64(pub u64);

impl Cell for Hash64 {
    #[inline]
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 16];
        for (digits, byte) in digits
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(self.0.to_be_bytes())
        {
            *digits = [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 0xf)],
            ];
        }
        out.extend_from_slice(&digits);
    }
}

/// Text of our own making that is to be copied as it is: quoted where it needs that, and not
/// escaped. Control characters have no place in it and are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbatim<'a>(pub &'a str);

impl Cell for Verbatim<'_> {
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        let quoted = self.0.contains([',', '"']);
        if quoted {
            out.push(b'"');
        }
        for character in self.0.chars().filter(|&c| !text::is_unsafe(c)) {
            if character == '"' {
                out.push(b'"');
            }
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if quoted {
            out.push(b'"');
        }
    }
}

/// So many per second, written with three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

impl Cell for Rate {
    fn write_to(&self, out: &mut Vec<u8>, _: Formulas) {
        // A write to a vector does not fail.
        _ = write!(out, "{:.3}", self.0);
    }
}
