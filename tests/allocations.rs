//! Without TLS nothing is allocated per message, neither where messages are sent nor where they are
//! read. A test binary of its own: whatever else ran beside it would be counted too.
#![allow(unsafe_code, reason = "an allocator that counts has no other way")]

#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "common/tool.rs"]
mod tool;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mosquitto::Mosquitto;
use mqttscope::ProtocolLevel;
use mqttscope::probe::{CellPlan, Credentials, Dialect, Direct, Extent, run_cell};
use tool::may_skip;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: everything is the system's allocator's; a counter is added to.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a cell of so many messages, connecting and all.
fn allocations(port: u16, qos: u8, count: u32) -> u64 {
    let plan = CellPlan {
        qos,
        subscriber_qos: qos,
        payload_bytes: 128,
        rate: None,
        extent: Extent::Count(count),
        ..CellPlan::default()
    };
    let dialect = Dialect {
        level: ProtocolLevel::V5,
        tls: None,
        credentials: Credentials::default(),
        timeout: Duration::from_secs(5),
    };
    let connector = Direct {
        host: "127.0.0.1".into(),
        port,
        timeout: Duration::from_secs(5),
    };
    let before = COUNT.load(Ordering::Relaxed);
    let result = run_cell(&plan, &dialect, &connector, &mut |_| true).unwrap();
    let after = COUNT.load(Ordering::Relaxed);
    let received = result
        .samples()
        .filter(|sample| sample.reception.received.is_some());
    assert_eq!(received.count(), count as usize);
    after - before
}

#[test]
fn no_message_is_worth_an_allocation() {
    let options = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0";
    let Some(broker) = Mosquitto::start(|_| options.to_owned()) else {
        return may_skip("mosquitto");
    };
    for qos in 0..=2 {
        let (few, many) = (2_000, 12_000);
        let (of_few, of_many) = (
            allocations(broker.port, qos, few),
            allocations(broker.port, qos, many),
        );
        // A buffer may have to grow once more, depending on how the bytes come.
        let more = of_many.saturating_sub(of_few);
        assert!(
            more < 100,
            "QoS {qos}: {more} allocations more for {} messages more",
            many - few
        );
    }
}
