//! Captures through the pipeline.

use std::fs::{self, File};
use std::io::{IsTerminal, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analysis::{Observer, Options, Pipeline, Transport};
use crate::capture::{
    Batch, Capture, CaptureError, FileSummary, Item, SecretsFormat, read_secrets,
};
use crate::results::escape;

use super::args::CaptureArgs;
use super::error::Failure;
use super::frames::spool;
use super::settings::{Settings, wants};
use super::terminal::complain;

/// Open captures and how to read them.
pub(super) struct Input {
    pub(super) capture: Capture,
    pub(super) settings: Settings,
    /// What could be read only once, kept so that it can be read again.
    spooled: Option<File>,
}

impl Input {
    /// Checks the arguments and opens the captures: nothing is read before both went well.
    pub(super) fn open(arguments: &CaptureArgs) -> Result<Self, Failure> {
        let mut settings = Settings::new(&arguments.common)?;
        let capture = Capture::open(&arguments.files)?;
        read_ahead(&capture, &mut settings.options);
        Ok(Self {
            capture,
            settings,
            spooled: None,
        })
    }

    /// The same for captures that are to be read twice ([`Input::open_again`]). A stream goes
    /// through a temporary file, so nothing of it is read on before it ends.
    pub(super) fn open_for_two_passes(arguments: &CaptureArgs) -> Result<Self, Failure> {
        let [path] = arguments.files.as_slice() else {
            let stream = arguments.files.iter().find(|path| is_stream(path));
            return match stream {
                Some(path) => Err(Failure::ReadOnce(path.clone())),
                None => Self::open(arguments),
            };
        };
        if !is_stream(path) {
            return Self::open(arguments);
        }
        let mut settings = Settings::new(&arguments.common)?;
        // Keys may stand behind the frames that need them.
        settings.options.more_keys = true;
        let file = if path == Path::new("-") {
            if std::io::stdin().is_terminal() {
                return Err(CaptureError::StdinIsTerminal.into());
            }
            spool(std::io::stdin().lock())
        } else {
            File::open(path).and_then(spool)
        }
        .map_err(Failure::Spool)?;
        Ok(Self {
            capture: read_spooled(path, &file)?,
            settings,
            spooled: Some(file),
        })
    }

    /// The same files from their beginnings, under the same numbers.
    pub(super) fn open_again(&self) -> Result<Capture, Failure> {
        let files = self.capture.files();
        if let (Some(spooled), Some(file)) = (&self.spooled, files.first()) {
            return read_spooled(&file.path, spooled);
        }
        // The files of a directory by name: it may hold others by now.
        let paths: Vec<&PathBuf> = files.iter().map(|file| &file.path).collect();
        Ok(Capture::open(&paths)?)
    }

    /// Paths of the captures, by index.
    pub(super) fn paths(&self) -> Vec<Vec<u8>> {
        let bytes = |file: &FileSummary| file.path.as_os_str().as_encoded_bytes().to_vec();
        self.capture.files().iter().map(bytes).collect()
    }

    /// Reads everything; `go_on` is asked now and then whether to.
    pub(super) fn run<O: Observer>(
        &mut self,
        observer: &mut O,
        mut go_on: impl FnMut(&mut O) -> bool,
    ) -> Pipeline {
        let mut pipeline = Pipeline::new(self.settings.options.clone());
        let Self {
            capture, settings, ..
        } = self;
        let mut batch = Batch::default();
        while capture.next_batch(&mut batch) {
            // Before the frames that they stand among: those may need them.
            for (format, secrets) in capture.secrets(&batch) {
                if format == SecretsFormat::TLS_KEY_LOG {
                    pipeline.add_secrets(secrets);
                    pipeline.add_secrets(b"\n");
                }
            }
            let frames = capture.lend(&batch).filter_map(|item| match item {
                Item::Frame(frame) => {
                    let filter = settings.filter.as_mut();
                    let wanted = (settings.since, settings.until) == (None, None)
                        || wants(settings.since, settings.until, frame.time);
                    (wanted && filter.is_none_or(|filter| filter.matches(&frame))).then_some(frame)
                }
                Item::Secrets { .. } => None,
            });
            pipeline.push_all(frames, observer);
            if !go_on(observer) {
                break;
            }
        }
        pipeline.finish(observer);
        pipeline
    }

    /// Says what is wrong with the inputs; an error if that is not to be borne.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let mut damaged = 0;
        for file in self.capture.files() {
            let path = file.path.display().to_string();
            if file.truncated {
                complain(
                    "warning",
                    &format!("{path} ends in the middle of a record; all that is whole was read"),
                );
            }
            for warning in &file.warnings {
                complain("warning", &format!("{path}: {warning}"));
            }
            damaged += usize::from(file.truncated || !file.warnings.is_empty());
        }
        if damaged > 0 && self.settings.strict {
            return Err(Failure::Damaged(damaged));
        }
        Ok(())
    }
}

/// Reads the secrets of all files before any frame; where that cannot be done, records wait for
/// their keys.
fn read_ahead(capture: &Capture, options: &mut Options) {
    let keys = Arc::make_mut(&mut options.key_log);
    for file in capture.files() {
        let read = !is_stream(&file.path)
            && read_secrets(&file.path, |format, secrets| {
                if format == SecretsFormat::TLS_KEY_LOG {
                    keys.push(secrets);
                    keys.end();
                }
            })
            .unwrap_or(false);
        options.more_keys |= !read;
    }
}

/// Whether it can be read only once.
fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
        || fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir())
}

fn read_spooled(path: &Path, file: &File) -> Result<Capture, Failure> {
    let mut file = file.try_clone().map_err(Failure::Spool)?;
    file.rewind().map_err(Failure::Spool)?;
    let name = path.display().to_string();
    Ok(Capture::from_reader(&name, Box::new(file))?)
}

/// What to say when nothing was found: why that may be, and what can be done about it.
pub(super) fn no_mqtt(input: &Input, pipeline: &Pipeline) -> String {
    let frames = input.capture.files().iter().map(|file| file.frames).sum();
    no_mqtt_in(frames, &input.settings, pipeline)
}

/// The same for frames from anywhere, of which there were so many before any was left out.
pub(super) fn no_mqtt_in(frames: u64, settings: &Settings, pipeline: &Pipeline) -> String {
    if pipeline.frames() == 0 {
        return no_frames(frames, settings);
    }
    let selection = &settings.options.selection;
    let wanted = [
        ("--client", &selection.client_id),
        ("--topic", &selection.topic),
    ];
    let wanted: Vec<String> = wanted
        .iter()
        .filter_map(|(option, text)| Some(format!("{option} '{}'", escape(text.as_ref()?))))
        .collect();
    let ports: Vec<String> = settings
        .options
        .ports
        .iter()
        .map(|rule| match rule.transport {
            Transport::Tcp => rule.port.to_string(),
            transport => format!("{}/{}", rule.port, transport.name()),
        })
        .collect();
    let mut text = match wanted.as_slice() {
        [] => "no MQTT found".to_owned(),
        wanted => format!("no MQTT packet matches {}", wanted.join(" and ")),
    };
    text.push_str(&format!(
        " in {} frames, on port {}",
        pipeline.frames(),
        ports.join(", ")
    ));
    if settings.options.detect {
        text.push_str(" or in a connection that begins with a CONNECT");
    }
    for (reason, connections) in &pipeline.totals().unread {
        let ending = if *connections == 1 { "" } else { "s" };
        text.push_str(&format!("; {connections} connection{ending}: {reason}"));
    }
    let other = pipeline.other();
    let tcp = busiest(&other.busiest(), "connection");
    let udp = busiest(&other.busiest_datagrams(), "datagram");
    if !tcp.is_empty() {
        text.push_str(&format!("; other TCP ports: {tcp}"));
    }
    if !udp.is_empty() {
        text.push_str(&format!("; UDP ports: {udp}"));
    }
    for (link_type, count) in &pipeline.wire().unsupported_link_types.counted {
        text.push_str(&format!(
            "; {count} frames have link type {}, which is not supported",
            link_type.0
        ));
    }
    if !tcp.is_empty() && wanted.is_empty() {
        text.push_str("; if one of these TCP ports is the broker's, name it with --port");
    }
    text
}

/// Of the ports with the most bytes: `8080 (2 connections, 3120 bytes), …`.
fn busiest(ports: &[(u16, u64, u64)], unit: &str) -> String {
    let listed = ports.iter().take(5).map(|(port, count, bytes)| {
        let ending = if *count == 1 { "" } else { "s" };
        format!("{port} ({count} {unit}{ending}, {bytes} bytes)")
    });
    listed.collect::<Vec<_>>().join(", ")
}

/// Not a single frame: the captures have none, or the options left none.
fn no_frames(frames: u64, settings: &Settings) -> String {
    let options = [
        ("--filter", settings.filter.is_some()),
        ("--since", settings.since.is_some()),
        ("--until", settings.until.is_some()),
    ];
    let given: Vec<&str> = options
        .iter()
        .filter_map(|&(option, given)| given.then_some(option))
        .collect();
    if frames == 0 {
        return "no MQTT found: there is not a single frame in the capture".to_owned();
    }
    format!(
        "no MQTT found: {} left none of the {frames} frames",
        given.join(" and ")
    )
}
