//! Large tables, the way memory likes them.
//!
//! What is known of tens of thousands of connections and topics lies in no cache. So what is
//! needed soon is asked for ahead ([`prefetch()`]), the places of where it stands too ([`Index`]), and
//! tables grow by pages, without being moved ([`Pages`]).

mod index;
mod pages;
mod prefetch;

pub use index::Index;
pub use pages::Pages;
pub use prefetch::prefetch;
