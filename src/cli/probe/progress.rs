//! Bars on a terminal, a line for each finished cell, and Ctrl-C.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::probe::{CellPlan, CellProgress};
use crate::results::{CellRow, delay, grouped, percent};

/// Shows how a run is coming along.
pub(in crate::cli) struct Progress {
    bars: MultiProgress,
    run: ProgressBar,
    cell: ProgressBar,
    planned: usize,
}

impl Progress {
    pub(in crate::cli) fn new(planned: usize, finished: usize) -> Self {
        let bars = MultiProgress::new();
        if !io::stderr().is_terminal() {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let style = |template| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let run = bars.add(ProgressBar::new(planned as u64));
        run.set_style(style(
            "{prefix:12} [{wide_bar}] {pos}/{len} cells, {elapsed} so far, {eta} left",
        ));
        run.set_prefix("run");
        run.set_position(finished as u64);
        let cell = bars.add(ProgressBar::new(0));
        cell.set_style(style(
            "{prefix:12} [{wide_bar}] {pos}/{len} messages {msg}, {eta} left",
        ));
        run.enable_steady_tick(Duration::from_millis(500));
        Self {
            bars,
            run,
            cell,
            planned,
        }
    }

    pub(in crate::cli) fn begin(&self, plan: &CellPlan) {
        self.cell.reset();
        self.cell
            .set_prefix(format!("QoS {}, {} B", plan.qos, plan.payload_bytes));
    }

    pub(in crate::cli) fn show(&self, progress: CellProgress) {
        self.cell.set_length(progress.total);
        self.cell.set_position(progress.written);
        self.cell
            .set_message(format!("sent, {} received", progress.received));
    }

    /// One line for a cell that is finished.
    pub(in crate::cli) fn end(&self, row: &CellRow) {
        self.run.inc(1);
        let line = line(row, self.planned);
        // With the bars out of the way, or without any.
        self.bars.suspend(|| {
            let _ = io::Write::write_all(&mut io::stderr().lock(), line.as_bytes());
        });
    }

    pub(in crate::cli) fn finish(&self) {
        self.cell.finish_and_clear();
        self.run.finish_and_clear();
    }
}

fn line(row: &CellRow, planned: usize) -> String {
    let delays = [
        ("median", row.delay_median_ns),
        ("p99", row.delay_p99_ns),
        ("max", row.delay_max_ns),
    ];
    let delays: Vec<String> = delays
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", delay(Some(value?.as_nanos())))))
        .collect();
    let arrived = row.delivered + row.late;
    let share = match row.never_arrived_ratio {
        Some(ratio) if row.lost > 0 => format!(" ({} % lost)", percent(ratio)),
        _ => String::new(),
    };
    let mut line = format!(
        "cell {}/{planned}: {}{}, {} B: {} of {} arrived{share}, {}\n",
        row.cell,
        network(row),
        row.qos_name(),
        grouped(row.payload_bytes),
        grouped(arrived),
        grouped(row.sent),
        delays.join(", "),
    );
    if let Some(reason) = &row.invalid_reason {
        line.push_str(&format!("  invalid: {reason}\n"));
    }
    line
}

/// What a study's cell is besides QoS and payload.
fn network(row: &CellRow) -> String {
    let mut text = String::new();
    if &*row.part != "probe" {
        text = format!(
            "{}, {}, ",
            row.part,
            row.link.as_deref().unwrap_or("no link")
        );
        if let Some(loss) = row.packet_loss_ratio {
            text.push_str(&format!("{} % of packets lost, ", percent(loss)));
        }
        if let Some(fault) = &row.fault {
            text.push_str(&format!("{fault}, "));
        }
    }
    text
}

/// Becomes true with the first Ctrl-C; a second one ends the program as ever.
pub(in crate::cli) fn interrupt() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

pub(in crate::cli) fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}
