//! Fuzz targets of mqttscope. Each takes any bytes and panics when an invariant is broken.
//!
//! They run under libFuzzer (`fuzz_targets/`) and under the harness of this crate (`main.rs`),
//! which needs nothing but a stable compiler.
pub mod harness;
pub mod input;
pub mod memory;
pub mod mutate;
pub mod seeds;
pub mod targets;

/// A target: its name, what it runs, and what its inputs are made of.
#[derive(Clone, Copy)]
pub struct Target {
    /// As the corpus directory and the libFuzzer binary are called.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
    /// Pieces that inputs are likely to hold, for the mutator.
    pub tokens: &'static [&'static [u8]],
    /// Bytes that one input may have allocated at its peak. Inputs are at most a few KiB, so
    /// this is about buffers of a fixed size and what a short input can make of them.
    pub peak_bytes: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "container",
        run: targets::container::run,
        tokens: targets::container::TOKENS,
        // One record or block may have 16 MiB, and growing a buffer holds it twice.
        peak_bytes: 64 << 20,
    },
    Target {
        name: "wire_tcp",
        run: targets::wire_tcp::run,
        tokens: targets::wire_tcp::TOKENS,
        peak_bytes: 8 << 20,
    },
    Target {
        name: "mqtt",
        run: targets::mqtt::run,
        tokens: targets::mqtt::TOKENS,
        peak_bytes: 2 << 20,
    },
    Target {
        name: "pipeline",
        run: targets::pipeline::run,
        tokens: targets::mqtt::TOKENS,
        peak_bytes: 16 << 20,
    },
    Target {
        name: "payload",
        run: targets::payload::run,
        tokens: targets::payload::TOKENS,
        // The schema is compiled with the first input.
        peak_bytes: 8 << 20,
    },
    Target {
        name: "tls",
        run: targets::tls::run,
        tokens: targets::tls::TOKENS,
        peak_bytes: 4 << 20,
    },
    Target {
        name: "websocket",
        run: targets::websocket::run,
        tokens: targets::websocket::TOKENS,
        peak_bytes: 1 << 20,
    },
    Target {
        name: "broker",
        run: targets::broker::run,
        tokens: targets::broker::TOKENS,
        peak_bytes: 4 << 20,
    },
    Target {
        name: "topic",
        run: targets::topic::run,
        tokens: targets::topic::TOKENS,
        peak_bytes: 1 << 20,
    },
];
