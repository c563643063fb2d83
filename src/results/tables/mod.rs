//! The tables: each row is one struct, written down once.
//!
//! The `table!` macro makes of a struct its file name, its header and its writing, so that a
//! column's name, its place and its type cannot drift apart. Fields named `…_ns` that are points
//! in time are nanoseconds since the Unix epoch; those that are differences are nanoseconds.

mod connections;
mod deliveries;
mod exchanges;
mod findings;
mod messages;
mod packets;
mod subscriptions;

pub use connections::{ConnectionRow, SessionRow};
pub use deliveries::DeliveryRow;
pub use exchanges::ExchangeRow;
pub use findings::{FindingRow, TopicRow};
pub use messages::MessageRow;
pub use packets::PacketRow;
pub use subscriptions::SubscriptionRow;

/// Defines a row: a struct with public fields, each of which is a column of that name, in that
/// order.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident<'a> in $file:literal {
            $($(#[$field_attribute:meta])* pub $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name<'a> {
            $($(#[$field_attribute])* pub $field: $type,)+
        }

        impl $crate::results::Row for $name<'_> {
            const FILE: &'static str = $file;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];

            #[inline]
            fn write_cells(&self, cells: &mut $crate::results::Cells<'_>) {
                $(cells.push(&self.$field);)+
            }
        }
    };
}
use table;

#[cfg(test)]
mod tests;
