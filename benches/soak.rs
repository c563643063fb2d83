//! Frames of coming and going connections through the path of a live capture, for as long as
//! wanted: `cargo bench --bench soak -- [MILLIONS OF FRAMES]`. It prints speed and resident memory
//! as it goes; README.md says what to look for.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod traffic;

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use mqttscope::analysis::{FindingFiles, Lints, TableFiles, Tables};
use mqttscope::capture::live::{Counters, Filler, queue};
use mqttscope::live::{Figures, Surroundings};
use mqttscope::results::Formulas;
use mqttscope::{Frame, Options, Pipeline, Timestamp};

use traffic::{Ip, Traffic};

/// Connections of a wave, and messages that each publishes.
const CONNECTIONS: usize = 1_000;
const MESSAGES: usize = 20;
/// Capture time from one wave to the next, so that a run takes days of it: silent connections are
/// given up after one.
const WAVE: i64 = 300_000_000_000;
/// One of so many connections ends without a word.
const SILENT: usize = 4;

/// A frame of the first wave, and what makes it one of another.
struct Template {
    time: i64,
    bytes: Vec<u8>,
    /// Where the client's address and, in a CONNECT, the end of its identifier stand.
    address: usize,
    identifier: Option<usize>,
    index: u32,
}

fn templates() -> Vec<Template> {
    let traffic = Traffic::ending(Ip::V4, CONNECTIONS, MESSAGES, SILENT);
    let template = |frame: Frame<'_>| {
        let to_broker = frame.bytes[36..38] == 1883_u16.to_be_bytes();
        let address = if to_broker { 26 } else { 30 };
        let host: [u8; 4] = frame.bytes[address..address + 4].try_into().unwrap();
        let name = frame.bytes.windows(7).position(|part| part == b"sensor-");
        Template {
            time: frame.time.as_nanos(),
            bytes: frame.bytes.to_vec(),
            address,
            identifier: name.map(|at| at + 7),
            index: (u32::from_be_bytes(host) & 0x00ff_ffff) - 2,
        }
    };
    traffic.frames().map(template).collect()
}

/// Puts waves in until there were so many frames.
fn generate(mut templates: Vec<Template>, frames: u64, mut filler: Filler) {
    let mut number = 0;
    for wave in 0.. {
        for template in &mut templates {
            if number == frames {
                return;
            }
            number += 1;
            let client = wave as u32 * CONNECTIONS as u32 + template.index;
            let address = 0x0a00_0000 | (client & 0x00ff_ffff);
            let at = template.address;
            template.bytes[at..at + 4].copy_from_slice(&address.to_be_bytes());
            if let Some(at) = template.identifier {
                template.bytes[at..at + 6].copy_from_slice(
                    format!("{client:06x}")
                        .as_bytes()
                        .last_chunk::<6>()
                        .unwrap(),
                );
            }
            let frame = Frame {
                time: Timestamp::from_nanos(template.time + WAVE * wave),
                link_type: mqttscope::LinkType::ETHERNET,
                wire_length: template.bytes.len() as u32,
                bytes: &template.bytes,
                tap: 0,
                file: 0,
                number,
            };
            assert!(filler.push_patiently(&frame));
        }
    }
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or(0) * 4 / 1024
}

fn main() {
    let millions = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse::<u64>().ok());
    let frames = millions.unwrap_or(1) * 1_000_000;
    let counters = Arc::new(Counters::default());
    let (filler, mut takers) = queue(64, 1, Arc::clone(&counters));
    let taker = takers.pop().unwrap();
    let templates = templates();
    println!(
        "{frames} frames, {CONNECTIONS} connections and {} frames a wave",
        templates.len()
    );
    let generator = thread::spawn(move || generate(templates, frames, filler));

    let sinks = TableFiles {
        connections: io::sink(),
        sessions: io::sink(),
        messages: Some(io::sink()),
        exchanges: io::sink(),
        deliveries: io::sink(),
        subscriptions: io::sink(),
    };
    let tables = Tables::new(sinks, Formulas::Guard, vec![b"soak".to_vec()]).unwrap();
    let findings = FindingFiles {
        findings: io::sink(),
        topics: io::sink(),
    };
    let mut lints = Lints::new(Default::default(), Default::default())
        .write_to(findings, Formulas::Guard, vec![b"soak".to_vec()])
        .unwrap();
    lints.watch();
    let mut observers = ((tables, lints), Figures::new());
    let mut pipeline = Pipeline::new(Options::default());
    let (began, mut told, mut before) = (Instant::now(), 0_u64, Timestamp::default());
    println!("    frames   frames/s  resident MiB  connections seen");
    loop {
        match taker.take(Duration::from_secs(60)) {
            Ok(batch) => pipeline.push_all(batch.frames(), &mut observers),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => continue,
        }
        if pipeline.frames() >= told + frames / 40 {
            told = pipeline.frames();
            let now = Timestamp::from_nanos(told as i64);
            let ((_, lints), figures) = &mut observers;
            let (findings, newest) = lints.take_newest();
            let around = Surroundings {
                counts: counters.get(),
                findings,
                newest: newest.as_ref(),
                ..Surroundings::default()
            };
            figures.take((before, now), around);
            before = now;
            let rate = told as f64 / began.elapsed().as_secs_f64();
            let connections = pipeline.tcp().connections;
            println!(
                "{told:>10} {rate:>10.0} {:>13} {connections:>17}",
                resident()
            );
        }
    }
    generator.join().unwrap();
    pipeline.finish(&mut observers);
    assert_eq!(pipeline.frames(), frames);
    assert_eq!(counters.get().dropped(), 0);
    let dropped = pipeline.tcp().evicted_connections;
    println!(
        "done: {} connections, {dropped} evicted for want of room",
        pipeline.tcp().connections
    );
}
