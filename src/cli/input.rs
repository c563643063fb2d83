//! Captures through the pipeline.

use crate::analysis::{Observer, Pipeline};
use crate::capture::{Batch, Capture, FileSummary, Item};
use crate::results::escape;

use super::args::CaptureArgs;
use super::error::Failure;
use super::settings::{Settings, wants};
use super::terminal::complain;

/// Open captures and how to read them.
pub(super) struct Input {
    pub(super) capture: Capture,
    pub(super) settings: Settings,
}

impl Input {
    /// Checks the arguments and opens the captures: nothing is read before both went well.
    pub(super) fn open(arguments: &CaptureArgs) -> Result<Self, Failure> {
        let settings = Settings::new(arguments)?;
        let capture = Capture::open(&arguments.files)?;
        Ok(Self { capture, settings })
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
        let Self { capture, settings } = self;
        let mut batch = Batch::default();
        while capture.next_batch(&mut batch) {
            let frames = capture.lend(&batch).filter_map(|item| match item {
                Item::Frame(frame) => {
                    let filter = settings.filter.as_mut();
                    let wanted = (settings.since, settings.until) == (None, None)
                        || wants(settings.since, settings.until, frame.time);
                    (wanted && filter.is_none_or(|filter| filter.matches(&frame))).then_some(frame)
                }
                // Secrets of encrypted connections are kept for when there is something to decrypt.
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

/// What to say when no MQTT was found.
pub(super) fn no_mqtt(input: &Input, pipeline: &Pipeline) -> String {
    let mut text = String::from("no MQTT found");
    let ports: Vec<String> = input
        .settings
        .options
        .ports
        .iter()
        .map(|rule| format!("{}/{}", rule.port, rule.transport.name()))
        .collect();
    text.push_str(&format!(
        " in {} frames, on port {}",
        pipeline.frames(),
        ports.join(", ")
    ));
    if input.settings.options.detect {
        text.push_str(" or in a connection that begins with a CONNECT");
    }
    let names = |busiest: Vec<(u16, u64, u64)>| {
        busiest
            .iter()
            .take(5)
            .map(|(port, count, bytes)| format!("{port} ({count}, {bytes} bytes)"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let tcp = names(pipeline.other().busiest());
    let udp = names(pipeline.other().busiest_datagrams());
    if !tcp.is_empty() {
        text.push_str(&format!("; TCP ports seen (connections): {tcp}"));
    }
    if !udp.is_empty() {
        text.push_str(&format!("; UDP ports seen (datagrams): {udp}"));
    }
    let unsupported = &pipeline.wire().unsupported_link_types;
    for (link_type, count) in &unsupported.counted {
        text.push_str(&format!(
            "; {count} frames have link type {}, which is not supported",
            link_type.0
        ));
    }
    if !tcp.is_empty() {
        text.push_str("; name the broker's port with --port if it is one of these");
    }
    let selection = &input.settings.options.selection;
    if let Some(client) = &selection.client_id {
        text.push_str(&format!("; only client {:?} was wanted", escape(client)));
    }
    text
}
