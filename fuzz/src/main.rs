//! `replay [--seconds N] [--seed N] TARGET`, `run TARGET FILE…`, `seeds`, `list`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use mqttscope_fuzz::harness::{Summary, replay, run_files};
use mqttscope_fuzz::{TARGETS, Target, memory, seeds};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const USAGE: &str = "\
usage: harness replay [--seconds N] [--seed N] TARGET   the corpus, then mutations of it
       harness run TARGET FILE…                         these inputs once
       harness seeds                                    writes the hand-made part of the corpora
       harness list                                     the targets";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    match command.as_str() {
        "replay" => replay_command(rest),
        "run" => {
            let (name, paths) = rest.split_first().ok_or(USAGE)?;
            let target = target(name)?;
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let summary = run_files(target, &paths).map_err(|error| error.to_string())?;
            print(target, &summary);
            Ok(())
        }
        "seeds" => seeds::write().map_err(|error| error.to_string()),
        "list" => {
            for target in TARGETS {
                println!("{}", target.name);
            }
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn replay_command(arguments: &[String]) -> Result<(), String> {
    let (mut seconds, mut seed, mut name) = (20, 1, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || {
            let value = rest.next().ok_or(USAGE)?;
            value
                .parse::<u64>()
                .map_err(|_| format!("{value:?} is no number"))
        };
        match argument.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            other => name = Some(other),
        }
    }
    let target = target(name.ok_or(USAGE)?)?;
    println!("{}: {seconds} s, seed {seed}", target.name);
    let summary = replay(target, Duration::from_secs(seconds), seed)
        .map_err(|error| format!("fuzz/corpus/{}: {error}", target.name))?;
    print(target, &summary);
    Ok(())
}

fn target(name: &str) -> Result<&'static Target, String> {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("no target {name:?}; `harness list` names them"))
}

fn print(target: &Target, summary: &Summary) {
    println!(
        "{}: {} kept inputs, {} executions, at most {} KiB allocated by one",
        target.name,
        summary.kept,
        summary.executions,
        summary.peak_bytes / 1024
    );
}
