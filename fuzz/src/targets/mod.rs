//! The targets: `run` takes one input.
pub mod broker;
pub mod container;
pub mod mqtt;
pub mod payload;
pub mod pipeline;
pub mod tls;
pub mod topic;
pub mod websocket;
pub mod wire_tcp;
