//! mqttscope: what MQTT really does on a network.
//!
//! The library behind the `mqttscope` program. It is a stack of layers through which data flows
//! one way; each is a module and knows those before it:
//!
//! ```text
//! capture ──frames──▶ wire ──segments──▶ tcp ──bytes and gaps──▶ mqtt ──packets──▶ session
//!                                         └─▶ stream (TLS, WebSocket) ─┘              │ events
//! cli ◀──tables, summary── results ◀──observations── analysis (composes all of these) ◀┘
//! ```
//!
//! Each layer can be used by itself: [`mqtt`] parses and writes control packets, [`tcp`] puts
//! segments in order, [`stream`] unwraps TLS and WebSocket, [`capture`] reads and writes capture files. [`analysis::Pipeline`] composes
//! them: frames go in, an [`analysis::Observer`] is told of packets, gaps, exchanges and
//! connections, and at the end there is a [`results::Summary`].
//!
//! No layer but [`capture`] and [`cli`] opens a file, and none reads a clock: time comes from the
//! frames, so the same capture gives the same answer every time. What is read comes from a
//! network: it may make a result worse, but never makes the library panic or grow without bound.
//!
//! # A tour
//!
//! A capture with one frame, in which a client asks a broker whether it is there:
//!
//! ```
//! use mqttscope::analysis::{self, TableFiles, Tables};
//! use mqttscope::results::Formulas;
//! use mqttscope::{Capture, Interface, Item, LinkType, Options, Pipeline, PcapngWriter, Timestamp};
//!
//! // IPv4 and TCP by hand, and PINGREQ (c0 00) as payload.
//! let frame = [
//!     0x45, 0, 0, 42, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
//!     0x9c, 0x40, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 2, 0, 0, 0, 0, 0, // TCP
//!     0xc0, 0x00,
//! ];
//! let mut writer = PcapngWriter::new(Vec::new(), "example")?;
//! let interface = writer.add_interface(&Interface::new(LinkType::RAW))?;
//! let time = Timestamp::from_nanos(1_700_000_000_000_000_000);
//! writer.write_frame(interface, time, 42, &frame, None)?;
//! let file = std::io::Cursor::new(writer.into_inner()?);
//!
//! // Read it, and write tables to memory.
//! let mut capture = Capture::from_reader("example.pcapng", Box::new(file))?;
//! let files = TableFiles {
//!     connections: Vec::new(),
//!     sessions: Vec::new(),
//!     messages: None,
//!     exchanges: Vec::new(),
//!     deliveries: Vec::new(),
//!     subscriptions: Vec::new(),
//! };
//! let mut tables = Tables::new(files, Formulas::Guard, vec![b"example.pcapng".to_vec()])?;
//! let mut pipeline = Pipeline::new(Options::default());
//! while let Some(item) = capture.next_item() {
//!     if let Item::Frame(frame) = item {
//!         pipeline.push(&frame, &mut tables);
//!     }
//! }
//! pipeline.finish(&mut tables);
//!
//! let summary = analysis::summary(&pipeline, "example");
//! assert_eq!(summary.mqtt.by_type["PINGREQ"], 1);
//! assert_eq!(summary.connections, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod analysis;
pub mod broker;
pub mod capture;
pub mod cli;
pub mod delivery;
pub mod evaluation;
pub mod frame;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod lint;
pub mod live;
pub mod memory;
pub mod mqtt;
pub mod payload;
pub mod probe;
pub mod processors;
pub mod proxy;
pub mod report;
pub mod results;
pub mod session;
pub mod stats;
pub mod stream;
#[cfg(target_os = "linux")]
pub mod study;
pub mod tcp;
pub mod time;
pub mod waiting;
pub mod wire;

pub use analysis::{Observer, Options, PacketEvent, Pipeline};
pub use capture::{Capture, CaptureError, Interface, Item, PcapngWriter};
pub use frame::{Frame, LinkType};
pub use mqtt::{Packet, PacketType, ProtocolLevel};
pub use results::Summary;
pub use time::{TimeDelta, Timestamp};
