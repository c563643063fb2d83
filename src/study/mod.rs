//! The study: a plan, the cells that it makes, the network that they are measured in, and what
//! the packets at the taps say of them.
//!
//! [`Plan`] is read from TOML, [`Design`] has its cells in randomised blocks, a [`Bed`] is where
//! they are measured: emulated hosts and links, a proxy, or a real network. [`CellPackets`] reads
//! a cell's capture, and [`judge`] puts it beside the prober's stamps.

mod bed;
mod calibrate;
mod design;
mod error;
mod judge;
mod keep;
mod packets;
mod plan;

pub use bed::{Bed, BedSettings, Emulation, Place, Seen};
pub use design::{Design, StudyCell};
pub use error::{PlanError, StudyError};
pub use judge::judge;
pub use keep::{file_name, keep};
pub use packets::{CellPackets, Way};
pub use plan::{
    BrokerKind, BrokerPlan, CombenchPart, DEFAULT_PLAN, ForwardAt, MainPart, OutagePart,
    PacketLossPart, Plan, QUICK_PLAN, ScheduleKind, TrustPlan,
};
