//! Active measurement: publishes messages through a broker, receives them, and says what became
//! of each and how long it took.
//!
//! Pure parts know no socket and no clock: when messages are due ([`schedule`]), in which order
//! conditions are measured ([`blocks`]), what is in flight ([`outbound`], [`inbound`]), what is
//! inside a message ([`payload`]), what became of it ([`record`]), and whether the measurement can
//! be trusted ([`distrust`]). Around them is a client with stamps at the socket: one thread for
//! all publishers, one for all subscribers (or one for both, where processors are few and nothing
//! has a schedule), non-blocking sockets, no runtime; or, as the client under test, rumqttc.
//! [`run_cell`] measures one condition once.

pub mod blocks;
mod cell;
pub mod check;
pub mod clock;
mod control;
pub mod design;
pub mod distrust;
mod error;
pub mod handshake;
mod host;
pub mod inbound;
mod inbox;
mod line;
mod link;
mod load;
pub mod outbound;
mod outbox;
pub mod payload;
mod plan;
mod publisher;
pub mod record;
mod rounds;
pub mod rows;
pub mod schedule;
mod subscriber;
pub mod sys;
pub mod tally;
mod target;
mod tested;
mod threads;
mod tls;
mod turns;
mod wait;

pub use cell::{CellProgress, CellResult, Sample, knock, run_cell};
pub use control::clear_retained;
pub use error::{CellError, LinkError, TlsError};
pub use host::host_record;
pub use inbox::Inbox;
pub use link::Link;
pub use load::CpuTimes;
pub use outbox::{Outbox, Progress, Token};
pub use plan::{CellPlan, ClientKind, Limits};
pub use publisher::PublisherResult;
pub use record::{MessageRecord, Reception};
pub use schedule::{Arrivals, Extent};
pub use subscriber::SubscriberResult;
pub use target::{BrokerUrl, Connector, Credentials, Dialect, Direct, Role, UrlError, is_loopback};
pub use tls::{Tls, TlsFileError, TlsFiles};
pub use turns::Turns;
