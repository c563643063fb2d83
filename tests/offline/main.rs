//! What reads files and made-up input alone: no broker, no network, no clock. One binary, since
//! each has to be linked with the whole crate.
#![allow(
    clippy::print_stderr,
    reason = "what was compared, written or skipped belongs on the terminal"
)]

#[path = "../support/conversation/mod.rs"]
#[allow(dead_code, reason = "of the deliveries, only the frames are wanted")]
mod conversation;
#[path = "../support/known_deliveries.rs"]
mod known_deliveries;
#[path = "../support/recording.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod recording;
#[path = "../common/shared.rs"]
mod shared;
#[path = "../common/tool.rs"]
mod tool;

mod carried;
mod cli;
mod conversations;
mod deliveries;
mod documents;
mod drops;
mod findings;
mod fleet;
mod hostile;
mod payloads;
mod recordings;
mod report;
mod scripts;
mod second_opinion;
mod segmentation;
mod snapshots;
mod truth;
