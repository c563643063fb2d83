//! What an experiment leaves: samples.csv, cells.csv, correlations.csv, effects.csv and
//! manifest.json.
//!
//! Unlike the tables of an analysis, these are read back as rows: cells are made from samples,
//! correlations and effects from cells, and a report from all of them. So each row is a struct that
//! owns what it holds, and [`read_table`] is the inverse of writing it. Text that many rows share
//! is shared in memory too.

mod cells;
mod correlations;
mod counts;
mod effects;
mod field;
mod manifest;
mod samples;

pub use cells::CellRow;
pub use correlations::CorrelationRow;
pub use counts::CellCounts;
pub use effects::EffectRow;
pub use field::{Field, Record, RecordError, Texts, read_table};
pub use manifest::{
    BrokerRecord, CellSys, ClockRecord, HostRecord, LinkRecord, Manifest, PROBE_SCHEMA,
    PublishCount, STUDY_SCHEMA, SysRecord,
};
pub use samples::{Outcome, SampleRow};

/// Defines a row that can be written and read: a struct with public fields, each of which is a
/// column of that name, in that order.
macro_rules! record {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident in $file:literal {
            $($(#[$field_attribute:meta])* pub $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_attribute])* pub $field: $type,)+
        }

        impl $crate::results::Row for $name {
            const FILE: &'static str = $file;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];

            #[inline]
            fn write_cells(&self, cells: &mut $crate::results::Cells<'_>) {
                $(cells.push(&self.$field);)+
            }
        }

        impl $crate::results::Record for $name {
            fn from_cells(
                columns: &[$crate::results::Column],
                cells: &$crate::results::ReadCells<'_>,
                texts: &mut $crate::results::Texts,
            ) -> Result<Self, &'static str> {
                let mut columns = columns.iter();
                Ok(Self {
                    $($field: columns
                        .next()
                        .and_then(|column| {
                            <$type as $crate::results::Field>::from_cell(cells.raw(*column), texts)
                        })
                        .ok_or(stringify!($field))?,)+
                })
            }
        }
    };
}
use record;

#[cfg(test)]
mod tests;
