//! Replays a corpus and goes on with mutations of it, on any stable compiler.
//!
//! It is no coverage-guided fuzzer: it keeps nothing of what it makes. It is there so that every
//! kept input runs before a merge, with some random ground around each.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::input::Random;
use crate::mutate::mutate;
use crate::{Target, memory};

/// How long one input may take. The slowest takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The input that is being run, for the panic hook and the watchdog.
static CURRENT: Mutex<Current> = Mutex::new(Current {
    target: "",
    input: Vec::new(),
    since: None,
});

struct Current {
    target: &'static str,
    input: Vec<u8>,
    since: Option<Instant>,
}

fn current() -> MutexGuard<'static, Current> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run did.
pub struct Summary {
    /// Inputs of the corpus.
    pub kept: usize,
    /// Inputs run in all.
    pub executions: u64,
    /// Most bytes that one input had allocated.
    pub peak_bytes: usize,
}

/// The directory of this crate.
fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs every input of the target's corpus, then mutations of them until `time` is up.
pub fn replay(target: &Target, time: Duration, seed: u64) -> std::io::Result<Summary> {
    let until = Instant::now() + time;
    install(target.name);
    let corpus = corpus(target.name)?;
    let mut summary = Summary {
        kept: corpus.len(),
        executions: 0,
        peak_bytes: 0,
    };
    for input in &corpus {
        run(target, input, &mut summary);
    }
    let mut random = Random::new(seed);
    let mut input = Vec::new();
    while Instant::now() < until {
        let empty: &[u8] = &[];
        let base = corpus
            .get(random.below(corpus.len()))
            .map_or(empty, |bytes| bytes);
        let other = corpus
            .get(random.below(corpus.len()))
            .map_or(empty, |bytes| bytes);
        input.clear();
        input.extend_from_slice(base);
        mutate(&mut input, other, target.tokens, &mut random);
        run(target, &input, &mut summary);
    }
    Ok(summary)
}

/// Runs the inputs in these files once.
pub fn run_files(target: &Target, paths: &[PathBuf]) -> std::io::Result<Summary> {
    install(target.name);
    let mut summary = Summary {
        kept: paths.len(),
        executions: 0,
        peak_bytes: 0,
    };
    for path in paths {
        println!("{}", path.display());
        run(target, &fs::read(path)?, &mut summary);
    }
    Ok(summary)
}

fn corpus(name: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(home().join("corpus").join(name))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

fn run(target: &Target, input: &[u8], summary: &mut Summary) {
    {
        let mut current = current();
        current.input.clear();
        current.input.extend_from_slice(input);
        current.since = Some(Instant::now());
    }
    let peak = memory::peak_of(|| (target.run)(input));
    current().since = None;
    summary.executions += 1;
    summary.peak_bytes = summary.peak_bytes.max(peak);
    assert!(
        peak <= target.peak_bytes,
        "{peak} bytes allocated for an input of {} bytes",
        input.len()
    );
}

/// From now on a panic, or an input that takes too long, ends the process with its input kept.
fn install(target: &'static str) {
    current().target = target;
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        report(information);
        fail("panic");
    }));
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let since = current().since;
            if since.is_some_and(|since| since.elapsed() > PATIENCE) {
                fail("timeout");
            }
        }
    });
}

fn fail(what: &str) -> ! {
    let current = current();
    let name = format!(
        "{}-{what}-{:016x}",
        current.target,
        xxhash_rust::xxh3::xxh3_64(&current.input)
    );
    let directory = home().join("artifacts");
    let path = directory.join(name);
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, &current.input));
    let mut error = std::io::stderr();
    let _ = match written {
        Ok(()) => writeln!(error, "{what}; the input is in {}", path.display()),
        Err(why) => writeln!(error, "{what}; the input could not be kept: {why}"),
    };
    std::process::exit(1);
}
