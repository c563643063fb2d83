//! Large tables, the way memory likes them.
//!
//! What is known of tens of thousands of connections and topics lies in no cache. So what is
//! needed soon is asked for ahead ([`prefetch()`]), and tables grow by pages, without being moved
//! ([`Pages`]).

mod pages;
mod prefetch;

pub use pages::Pages;
pub use prefetch::prefetch;
