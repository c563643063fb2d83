//! `mqttscope probe --check`

use std::io::{self, Write as _};

use serde::Serialize;

use crate::cli::error::Failure;
use crate::probe::check::{Judgement, Site, Verdict, check};
use crate::probe::clear_retained;
use crate::results::escape;

use super::args::ProbeArgs;
use super::failure::ProbeFailure;
use super::settings::Settings;

/// Version of what `--check --json` prints.
const SCHEMA: &str = "mqttscope.check/1";
/// Columns of the title.
const TITLE: usize = 26;

#[derive(Serialize)]
struct Report<'r> {
    schema: &'static str,
    tool_version: &'static str,
    broker: String,
    verdicts: &'r [Verdict],
}

/// The check that says when QoS 2 messages go on.
pub(super) const FORWARDING: &str = "qos2_forwarding";

/// Where to ask: the broker itself, past the proxy.
pub(super) fn site<'s>(settings: &'s Settings, topic_prefix: &'s str) -> Site<'s> {
    Site {
        connector: &settings.site.control,
        dialect: &settings.dialect,
        topic_prefix,
        run: rand::random(),
    }
}

pub(super) fn run(arguments: &ProbeArgs) -> Result<(), Failure> {
    let settings = Settings::new(arguments, 0)?;
    let broker = settings.site.name.clone();
    let site = site(&settings, &arguments.design.topic_prefix);
    let topics = site.topic_root();
    let mut written = Ok(());
    // Each as it is found: all of them take some seconds.
    let result = check(&site, |verdict| {
        if !arguments.json && written.is_ok() {
            written = io::stdout().lock().write_all(line(verdict).as_bytes());
        }
    });
    // A check that broke off may have left its retained message behind. Whoever cannot be asked any
    // more keeps it.
    let _ = clear_retained(&settings.site.control, &settings.dialect, &topics, site.run);
    written.map_err(Failure::stdout)?;
    let verdicts = result.map_err(|error| ProbeFailure::Check {
        broker: broker.clone(),
        error,
    })?;
    if arguments.json {
        let report = Report {
            schema: SCHEMA,
            tool_version: env!("CARGO_PKG_VERSION"),
            broker,
            verdicts: &verdicts,
        };
        let mut text =
            serde_json::to_string_pretty(&report).map_err(|e| Failure::stdout(e.into()))?;
        text.push('\n');
        let written = io::stdout().lock().write_all(text.as_bytes());
        written.map_err(Failure::stdout)?;
    }
    Ok(())
}

/// A verdict, and below it what to do.
fn line(verdict: &Verdict) -> String {
    let mark = match verdict.judgement {
        Judgement::Ok => "ok",
        Judgement::Note => "note",
        Judgement::Warning => "WARN",
        Judgement::Unknown => "?",
    };
    let answer = escape(verdict.answer.as_bytes());
    let mut text = format!("{mark:4}  {:TITLE$}{answer}\n", verdict.title);
    if let Some(advice) = verdict.advice {
        for part in wrapped(advice, 70) {
            text += &format!("{:w$}{part}\n", "", w = 6 + TITLE);
        }
    }
    text
}

/// Breaks between words, at so many characters at most.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines
            .last_mut()
            .filter(|line| line.len() + word.len() < width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_a_broker_says_of_itself_does_not_reach_the_terminal_as_it_is() {
        let verdict = Verdict {
            check: "version",
            title: "broker",
            judgement: Judgement::Ok,
            answer: "evil \x1b[2J".into(),
            value: Value::Null,
            advice: Some("one two"),
        };
        let text = line(&verdict);
        assert!(text.starts_with("ok    broker                    evil \\x1b[2J\n"));
        assert!(text.ends_with("                one two\n"), "{text}");
    }

    #[test]
    fn advice_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("one", 2), ["", "one"]);
    }
}
