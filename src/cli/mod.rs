//! The command line: arguments to checked settings to wiring. One file per command.

mod analyze;
mod args;
mod capture;
mod decode;
mod describe;
mod error;
mod experiment;
mod fail_on;
mod frames;
mod input;
mod output;
mod passive;
mod probe;
mod proto;
mod rendering;
mod report;
mod settings;
#[cfg(target_os = "linux")]
mod study;
mod terminal;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use error::Failure;

/// Runs the command that the process's arguments name, and tells with which code to exit:
/// 0 done; 1 could not do it; 2 wrong usage; 3 done, but a threshold is broken or a measurement
/// invalid.
#[must_use]
pub fn run() -> ExitCode {
    // Wrong usage ends here, with clap's message and code 2.
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Decode(decode) => decode::run(decode),
        Command::Analyze(analyze) => analyze::run(analyze),
        Command::Probe(probe) => probe::run(probe),
        #[cfg(target_os = "linux")]
        Command::Study(study) => study::run(study),
        Command::Capture(capture) => capture::run(capture),
        Command::Report(report) => report::run(report),
        Command::Completions { shell } => completions(*shell),
        Command::Man => man(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output went away (`| head`): nothing is wrong.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        // Each was told of by itself.
        Err(Failure::ThresholdsBroken) => Failure::ThresholdsBroken.exit_code(),
        Err(failure) => {
            terminal::complain("error", &failure.to_string());
            failure.exit_code()
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mqttscope", &mut text);
    io::stdout().write_all(&text).map_err(Failure::stdout)
}

fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(Arguments::command());
    page.render(&mut text).map_err(Failure::stdout)?;
    for command in Arguments::command().get_subcommands() {
        text.extend_from_slice(
            format!(
                "\n.SH \"MQTTSCOPE {}\"\n",
                command.get_name().to_uppercase()
            )
            .as_bytes(),
        );
        let section = clap_mangen::Man::new(command.clone());
        section
            .render_description_section(&mut text)
            .map_err(Failure::stdout)?;
        section
            .render_options_section(&mut text)
            .map_err(Failure::stdout)?;
    }
    io::stdout().write_all(&text).map_err(Failure::stdout)
}
