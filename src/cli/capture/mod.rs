//! `mqttscope capture`

pub(super) mod args;
mod describe;
mod file;
mod keys;
mod lines;
mod privileges;
mod source;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::capture::live::{Counters, FrameBatch, devices, queue};
use crate::results::{Throughput, escape};
use crate::time::{TimeDelta, Timestamp};

use self::args::{CaptureLiveArgs, LineFormat};
use self::file::Recording;
use self::keys::KeyLogFollower;
use self::lines::Lines;
use self::privileges::Target;
use self::source::Source;
use self::watch::Watch;
use super::error::Failure;
use super::input::no_mqtt_in;
use super::passive::{Analysis, SummaryForm, check, is_empty};
use super::settings::{Settings, duration};
use super::terminal::complain;

/// How long nothing comes before time and signals are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &CaptureLiveArgs) -> Result<(), Failure> {
    if arguments.list {
        return list();
    }
    let began = Instant::now();
    let mut plan = Plan::new(arguments)?;
    let stop = signals()?;
    let source = Source::open(arguments, &plan.settings)?;
    plan.analysis.open_directory(&arguments.results)?;
    let recording = plan.become_user(arguments)?;
    let path = source.path(arguments);
    let paths = [path.as_os_str().as_encoded_bytes().to_vec()];
    let observers = plan.analysis.observers(&plan.settings, &paths)?;

    let counters = Arc::new(Counters::default());
    let batches = usize::try_from(arguments.queue).unwrap_or(usize::MAX) / FrameBatch::BYTES;
    let takers = 1 + usize::from(recording.is_some());
    let (filler, mut takers) = queue(batches, takers, Arc::clone(&counters));
    let recording = recording.and_then(|recording| {
        let taker = takers.pop()?;
        Some(recording.start(taker, Arc::clone(&counters)))
    });
    let Some(taker) = takers.pop() else {
        return Ok(());
    };
    let live = source.is_device();
    let mut watch = Watch::new(&mut plan.settings, observers, plan.interval, live);
    let mut lines = Lines::start(arguments.format);
    let mut keys = plan.keys.map(KeyLogFollower::new);
    source.announce(arguments, &plan.settings.options);
    let opened = Instant::now();
    let mut clock = source.clock();
    let reading = source.start(filler, Arc::clone(&counters), Arc::clone(&stop));
    loop {
        let taken = taker.take(PATIENCE);
        if let Some(keys) = &mut keys {
            // Before the frames that may need them.
            keys.follow(&mut watch.pipeline);
        }
        match taken {
            Ok(batch) => {
                clock.note(&batch);
                watch.take(&batch, counters.get(), |interval| lines.print(interval));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(now) = clock.now() {
                    watch.pass(now, counters.get(), |interval| lines.print(interval));
                }
                if stop.load(Ordering::Relaxed) && !live {
                    // A stream may say nothing for long; a device's thread ends by itself.
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let over = plan
            .duration
            .is_some_and(|duration| opened.elapsed() >= duration);
        if over || lines.is_closed() || !watch.goes_on() {
            stop.store(true, Ordering::Relaxed);
        }
    }
    drop(taker);
    let ended = reading.end()?;
    let counts = counters.get();
    let finished = watch.finish(counts, |interval| lines.print(interval));
    lines.finish();
    if lines.skipped > 0 {
        let text = format!(
            "{} lines were left out: the terminal stood still",
            lines.skipped
        );
        complain("warning", &text);
    }
    let written = recording.map_or(Ok(()), file::Running::finish);
    let mut summary = plan
        .analysis
        .summarise(finished.observers, &finished.pipeline)?;
    describe::describe(
        &mut summary,
        &path,
        &ended,
        (&finished.taps, finished.span),
        counts,
    );
    summary.throughput = Some(Throughput::new(
        began.elapsed().as_secs_f64(),
        finished.frames,
        finished.bytes,
    ));
    ended.complain();
    if is_empty(&summary, &plan.settings) && !arguments.results.allow_empty {
        written?;
        let text = no_mqtt_in(finished.frames, &plan.settings, &finished.pipeline);
        return Err(Failure::NoMqtt(text));
    }
    let form = match (arguments.format, arguments.results.json) {
        (LineFormat::Jsonl, _) => SummaryForm::JsonLine,
        (LineFormat::Text, true) => SummaryForm::Json,
        (LineFormat::Text, false) => SummaryForm::Text,
    };
    let fail_on = plan
        .analysis
        .finish(&summary, finished.pipeline, &arguments.results, form)?;
    written?;
    ended.strict(&plan.settings)?;
    check(&fail_on, &summary)
}

/// The arguments, checked.
struct Plan {
    settings: Settings,
    analysis: Analysis,
    interval: TimeDelta,
    duration: Option<Duration>,
    user: Option<Target>,
    keys: Option<PathBuf>,
}

impl Plan {
    fn new(arguments: &CaptureLiveArgs) -> Result<Self, Failure> {
        let keys = arguments.common.key_log.clone();
        let keys = keys.or_else(|| std::env::var_os("SSLKEYLOGFILE").map(PathBuf::from));
        let mut settings = Settings::for_live(&arguments.common)?;
        settings.options.more_keys = keys.is_some() || arguments.read.is_some();
        let lasts = arguments.duration.as_deref();
        let lasts = lasts.map(|text| duration("--duration", text)).transpose()?;
        Ok(Self {
            settings,
            analysis: Analysis::new(&arguments.results)?,
            interval: duration("--interval", &arguments.interval)?,
            duration: lasts.map(|lasts| Duration::from_nanos(lasts.as_nanos().unsigned_abs())),
            user: Target::find(arguments.user.as_deref())?,
            keys,
        })
    }

    /// Opens the capture file, and gives up what rights are not needed any more. What root made
    /// for the user until then becomes the user's.
    fn become_user(&self, arguments: &CaptureLiveArgs) -> Result<Option<Recording>, Failure> {
        let recording = arguments
            .write
            .as_deref()
            .map(|path| Recording::open(path, arguments, self.user.as_ref()))
            .transpose()?;
        if let Some(user) = &self.user {
            if let Some(made) = self.analysis.made_directory() {
                user.give_directory(made).map_err(|error| Failure::Write {
                    path: made.to_owned(),
                    source: error.into(),
                })?;
            }
            user.become_it()?;
        }
        Ok(recording)
    }
}

/// SIGINT and SIGTERM ask for the end; the second one does not ask any more.
fn signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Failure::Signals)?;
    }
    Ok(stop)
}

/// `--list`
fn list() -> Result<(), Failure> {
    let mut text = String::new();
    for device in devices().map_err(Failure::Live)? {
        let mut cells = vec![device.name, device.flags.join(",")];
        cells.push(device.addresses.join(" "));
        cells.extend(device.description);
        let line = cells.join("\t");
        text.push_str(&escape(line.as_bytes()).replace("\\x09", "\t"));
        text.push('\n');
    }
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::stdout)
}

/// A time on the clock of frames that is surely past: what is still under way may be so old.
fn before(now: Timestamp) -> Timestamp {
    now - TimeDelta::from_millis(300)
}
