//! The targets: `run` takes one input.
pub mod container;
pub mod mqtt;
pub mod payload;
pub mod pipeline;

pub mod topic;
pub mod wire_tcp;
