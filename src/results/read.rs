//! Tables read back, row by row and column by name.
//!
//! A table may have more columns than a reader asks for (a newer version wrote it), or fewer (an
//! older one did): a column that is not there has only empty cells.

use super::text::unescape;
use super::{Formulas, Row, is_unsafe, needs_guard};
use std::fmt;
use std::fmt::Write as _;
use std::io::Read;

/// So much is read at once.
const BUFFER_SIZE: usize = 256 << 10;

/// Longest text that is shown to people: topics can have 65,535 bytes.
pub const MOST_SHOWN: usize = 240;

/// Reads one table. Rows are lent, so reading a table takes no memory per row.
pub struct TableReader<R> {
    reader: csv::Reader<R>,
    name: &'static str,
    columns: Vec<String>,
    record: csv::ByteRecord,
}

/// Where a column stands in the table's rows, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(Option<usize>);

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'r>(&'r csv::ByteRecord);

/// Why a table cannot be read.
#[derive(Debug)]
pub struct TableError {
    name: &'static str,
    detail: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.detail)
    }
}

impl std::error::Error for TableError {}

impl<R> fmt::Debug for TableReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableReader")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl<R: Read> TableReader<R> {
    /// Reads the header of the table of rows `T`.
    ///
    /// # Errors
    ///
    /// See [`TableReader::named`].
    pub fn new<T: Row>(input: R) -> Result<Self, TableError> {
        Self::named(T::FILE, input)
    }

    /// Reads the header of the table with this file name.
    ///
    /// # Errors
    ///
    /// What the input says, and where the header is no header.
    pub fn named(name: &'static str, input: R) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .buffer_capacity(BUFFER_SIZE)
            .from_reader(input);
        let header = reader.headers().map_err(|error| TableError {
            name,
            detail: error.to_string(),
        })?;
        let columns = header.iter().map(str::to_owned).collect();
        Ok(Self {
            reader,
            name,
            columns,
            record: csv::ByteRecord::new(),
        })
    }

    /// Where the column with this name stands.
    #[must_use]
    pub fn column(&self, name: &str) -> Column {
        Column(self.columns.iter().position(|column| column == name))
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    ///
    /// What the input says.
    pub fn read(&mut self) -> Result<Option<Cells<'_>>, TableError> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => Ok(Some(Cells(&self.record))),
            Ok(false) => Ok(None),
            Err(error) => Err(TableError {
                name: self.name,
                detail: error.to_string(),
            }),
        }
    }
}

impl<'r> Cells<'r> {
    /// The cell as it is written, empty where there is none.
    #[must_use]
    pub fn raw(&self, column: Column) -> &'r [u8] {
        column
            .0
            .and_then(|index| self.0.get(index))
            .unwrap_or_default()
    }

    /// The cell of one of our own names; empty where it is none.
    #[must_use]
    pub fn name(&self, column: Column) -> &'r str {
        str::from_utf8(self.raw(column)).unwrap_or_default()
    }

    /// A number; `None` where the cell is empty or no number.
    #[must_use]
    pub fn integer(&self, column: Column) -> Option<i64> {
        integer(self.raw(column))
    }

    /// A count, 0 where there is none.
    #[must_use]
    pub fn count(&self, column: Column) -> u64 {
        self.integer(column)
            .map_or(0, |n| u64::try_from(n).unwrap_or(0))
    }

    /// A number with decimals; `None` where the cell is empty or no number.
    #[must_use]
    pub fn decimal(&self, column: Column) -> Option<f64> {
        self.name(column)
            .parse()
            .ok()
            .filter(|n: &f64| n.is_finite())
    }

    /// Whether the cell is `1`.
    #[must_use]
    pub fn flag(&self, column: Column) -> bool {
        self.raw(column) == b"1"
    }

    /// Text as [`readable`] makes it, at most [`MOST_SHOWN`] characters with the middle left out
    /// where it is longer; empty where there is none.
    #[must_use]
    pub fn text(&self, column: Column) -> String {
        shortened(readable(self.raw(column)))
    }
}

/// At most [`MOST_SHOWN`] characters: of a longer text the beginning and the end.
#[must_use]
pub fn shortened(text: String) -> String {
    const END: usize = 60;
    if text.len() <= MOST_SHOWN || text.chars().count() <= MOST_SHOWN {
        return text;
    }
    let mut shown: String = text.chars().take(MOST_SHOWN - END - 1).collect();
    shown.push('…');
    let mut end: Vec<char> = text.chars().rev().take(END).collect();
    end.reverse();
    shown.extend(end);
    shown
}

fn integer(cell: &[u8]) -> Option<i64> {
    let (negative, digits) = match cell.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, cell),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, &digit| {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if !(0..=9).contains(&digit) {
            return None;
        }
        let digit = if negative { -digit } else { digit };
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The bytes that a text cell stands for. The `'` in front of what looks like a formula is taken
/// away: tables written with `--raw-csv` lose one of text that really begins with `'=`.
#[must_use]
pub fn cell_bytes(cell: &[u8]) -> Vec<u8> {
    let text = match cell.split_first() {
        Some((b'\'', rest)) if needs_guard(rest) => rest,
        _ => cell,
    };
    unescape(text, Formulas::Keep).unwrap_or_else(|| text.to_vec())
}

/// A text cell for people: characters that drive a terminal or turn the direction of what
/// follows as `\u{202E}`, bytes that are not UTF-8 as `\xNN`, and everything else as it is.
#[must_use]
pub fn readable(cell: &[u8]) -> String {
    if !cell.iter().any(|byte| matches!(byte, b'\\' | b'\''))
        && let Ok(text) = str::from_utf8(cell)
        && !text.chars().any(is_unsafe)
    {
        return text.to_owned();
    }
    let bytes = cell_bytes(cell);
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_unsafe(character) {
                // A write to a string does not fail.
                _ = write!(shown, "\\u{{{:X}}}", u32::from(character));
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests;
