//! Cells read back as values.

use crate::results::{Column, Hash64, ReadCells, Row, TableError, TableReader, cell_bytes};
use crate::time::{TimeDelta, Timestamp};
use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

/// A row that can be read back. The macro of the experiment's tables writes the implementations.
pub trait Record: Row + Sized {
    /// The row in `cells`; `columns` are those of [`Row::COLUMNS`], in that order. The error is
    /// the name of the column that holds something else.
    #[doc(hidden)]
    fn from_cells(
        columns: &[Column],
        cells: &ReadCells<'_>,
        texts: &mut Texts,
    ) -> Result<Self, &'static str>;
}

/// What a cell can be read as.
pub trait Field: Sized {
    /// The value of a cell; `None` where it has none of this type.
    fn from_cell(cell: &[u8], texts: &mut Texts) -> Option<Self>;
}

/// Texts that were read, each kept once.
#[derive(Debug, Default)]
pub struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// The text, shared with all that equal it.
    #[must_use]
    pub fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// Why rows cannot be read back.
#[derive(Debug)]
pub enum RecordError {
    /// The file is no table, or cannot be read.
    Table(TableError),
    /// A cell holds what its column cannot.
    Cell {
        /// The table's file name.
        file: &'static str,
        /// The row, 1 is the first below the header.
        row: u64,
        /// The column's name.
        column: &'static str,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => error.fmt(f),
            Self::Cell { file, row, column } => write!(
                f,
                "{file}: row {row}: column {column} is missing or holds no value of its kind"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

/// Reads all rows of a table and hands each to `with`.
///
/// # Errors
///
/// What the input says, and the first cell that holds what its column cannot.
pub fn read_table<R: Record>(input: impl Read, mut with: impl FnMut(R)) -> Result<(), RecordError> {
    let mut reader = TableReader::new::<R>(input).map_err(RecordError::Table)?;
    let columns: Vec<Column> = R::COLUMNS.iter().map(|name| reader.column(name)).collect();
    let mut texts = Texts::default();
    let mut number = 0;
    while let Some(cells) = reader.read().map_err(RecordError::Table)? {
        number += 1;
        let row = R::from_cells(&columns, &cells, &mut texts);
        with(row.map_err(|column| RecordError::Cell {
            file: R::FILE,
            row: number,
            column,
        })?);
    }
    Ok(())
}

impl<T: Field> Field for Option<T> {
    fn from_cell(cell: &[u8], texts: &mut Texts) -> Option<Self> {
        if cell.is_empty() {
            return Some(None);
        }
        T::from_cell(cell, texts).map(Some)
    }
}

macro_rules! parsed_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn from_cell(cell: &[u8], _: &mut Texts) -> Option<Self> {
                str::from_utf8(cell).ok()?.parse().ok()
            }
        }
    )+};
}
parsed_fields!(u8, u16, u32, u64, i64);

impl Field for f64 {
    fn from_cell(cell: &[u8], _: &mut Texts) -> Option<Self> {
        let value: Self = str::from_utf8(cell).ok()?.parse().ok()?;
        value.is_finite().then_some(value)
    }
}

impl Field for bool {
    fn from_cell(cell: &[u8], _: &mut Texts) -> Option<Self> {
        match cell {
            b"0" => Some(false),
            b"1" => Some(true),
            _ => None,
        }
    }
}

impl Field for Timestamp {
    fn from_cell(cell: &[u8], texts: &mut Texts) -> Option<Self> {
        i64::from_cell(cell, texts).map(Self::from_nanos)
    }
}

impl Field for TimeDelta {
    fn from_cell(cell: &[u8], texts: &mut Texts) -> Option<Self> {
        i64::from_cell(cell, texts).map(Self::from_nanos)
    }
}

impl Field for Hash64 {
    fn from_cell(cell: &[u8], _: &mut Texts) -> Option<Self> {
        let digits = str::from_utf8(cell).ok().filter(|d| d.len() == 16)?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// What is no UTF-8 after its escapes are undone is replaced: only texts of our own stand here,
/// and topics that a user typed.
impl Field for Arc<str> {
    fn from_cell(cell: &[u8], texts: &mut Texts) -> Option<Self> {
        let bytes = cell_bytes(cell);
        Some(texts.shared(&String::from_utf8_lossy(&bytes)))
    }
}
