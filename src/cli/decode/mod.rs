//! `mqttscope decode`

mod json;
mod payload;
mod text;

use std::io::{self, BufWriter, Write};

use crate::analysis::rows;
use crate::analysis::{
    BadLengthEvent, BytesEvent, ConnectionEvent, GapEvent, Observer, PacketEvent,
};
use crate::results::{Formulas, PacketRow, RowWriter, Text};
use crate::session::{self, DelayKind, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards};
use crate::time::{TimeDelta, Timestamp};

use super::args::{DecodeArgs, DecodeFormat, PayloadFormat};
use super::error::Failure;
use super::frames::{FrameFile, FrameNotes};
use super::input::{Input, no_mqtt};
use super::terminal::{colors, complain};

/// Bytes of a payload that are kept to be shown.
const SHOWN_PAYLOAD: u32 = 16 << 20;

pub(super) fn run(arguments: &DecodeArgs) -> Result<(), Failure> {
    let mut input = match arguments.write {
        Some(_) => Input::open_for_two_passes(&arguments.capture)?,
        None => Input::open(&arguments.capture)?,
    };
    // Packets are shown one by one.
    input.settings.options.matching = false;
    let output = arguments
        .write
        .as_deref()
        .map(|path| FrameFile::create(path, &input))
        .transpose()?;
    if arguments.payload != PayloadFormat::None {
        input.settings.options.stream.publish_bytes = SHOWN_PAYLOAD;
    }
    let paths = input.paths();
    let shown = text::Shown {
        payload: arguments.payload,
        credentials: arguments.show_credentials,
        files: if paths.len() > 1 { paths } else { Vec::new() },
        color: colors(arguments.color),
        schemas: input.settings.schemas.clone(),
    };
    let out = io::stdout().lock();
    let mut printer = Printer {
        printed: 0,
        error: None,
        style: Style::new(arguments.format, out, shown, input.settings.formulas)
            .map_err(Failure::stdout)?,
        note: Vec::new(),
        topic: Vec::new(),
        frames: output.is_some().then(FrameNotes::default),
    };
    let pipeline = input.run(&mut printer, Printer::goes_on);
    let printed = printer.printed;
    let notes = printer.frames.take();
    let shown = printer.finish().map_err(Failure::stdout);
    if let Err(failure) = shown
        && !(failure.is_closed_pipe() && output.is_some())
    {
        return Err(failure);
    }
    if printed == 0 {
        input.check()?;
        return Err(Failure::NoMqtt(no_mqtt(&input, &pipeline)));
    }
    for (reason, connections) in &pipeline.totals().unread {
        let ending = if *connections == 1 { "" } else { "s" };
        complain(
            "warning",
            &format!("{connections} connection{ending}: {reason}"),
        );
    }
    if let (Some(output), Some(notes)) = (output, notes) {
        write_frames(output, &notes, &input)?;
    }
    input.check()
}

fn write_frames(output: FrameFile, notes: &FrameNotes, input: &Input) -> Result<(), Failure> {
    if notes.forgotten > 0 {
        let text = format!(
            "{} frames of very long packets are left out of the file, to stay within limits",
            notes.forgotten
        );
        complain("warning", &text);
    }
    output.write(notes, input).map(drop)
}

/// One row of whatever kind, with what its printing needs.
enum Line<'a> {
    Packet(&'a PacketEvent<'a>),
    Other,
}

enum Style<W: Write> {
    Text(text::TextPrinter<BufWriter<W>>),
    Csv(RowWriter<W>, text::Shown),
    Json(json::JsonPrinter<BufWriter<W>>),
}

impl<W: Write> Style<W> {
    fn new(
        format: DecodeFormat,
        out: W,
        shown: text::Shown,
        formulas: Formulas,
    ) -> io::Result<Self> {
        let buffered = |out| BufWriter::with_capacity(128 << 10, out);
        Ok(match format {
            DecodeFormat::Text => Self::Text(text::TextPrinter::new(buffered(out), shown)),
            DecodeFormat::Jsonl => Self::Json(json::JsonPrinter::new(buffered(out), shown)),
            DecodeFormat::Csv => {
                let leading: &[&str] = if shown.files.is_empty() {
                    &[]
                } else {
                    &["file"]
                };
                let writer = RowWriter::with_leading::<PacketRow<'_>>(out, formulas, leading)?;
                Self::Csv(writer, shown)
            }
        })
    }

    fn print(&mut self, row: &PacketRow<'_>, file: u32, line: &Line<'_>) -> io::Result<()> {
        match self {
            Self::Text(printer) => printer.print(row, file, line),
            Self::Json(printer) => printer.print(row, file, line),
            Self::Csv(writer, shown) => match shown.files.get(file as usize) {
                Some(path) => writer.write_after(&Text(path), row),
                None => writer.write(row),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Text(printer) => printer.flush(),
            Self::Json(printer) => printer.flush(),
            Self::Csv(writer, _) => writer.flush(),
        }
    }
}

/// Prints rows as they come; after the first error nothing more.
struct Printer<W: Write> {
    style: Style<W>,
    printed: u64,
    error: Option<io::Error>,
    note: Vec<u8>,
    topic: Vec<u8>,
    /// Which frames are to be written, if any are.
    frames: Option<FrameNotes>,
}

impl<W: Write> Printer<W> {
    fn finish(mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.style.flush(),
        }
    }

    /// Whether the rest of the capture matters: after the reader of the rows went away, only
    /// for the frames.
    fn goes_on(&mut self) -> bool {
        self.error
            .as_ref()
            .is_none_or(|error| self.frames.is_some() && error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Prints nothing more after an error.
    fn is_silent(&self) -> bool {
        self.error.is_some()
    }

    fn book(&mut self, result: io::Result<()>) {
        self.printed = self.printed.saturating_add(1);
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl<W: Write> session::Observer for Printer<W> {
    fn exchange(&mut self, _: &ExchangeRecord<'_>) {}
    fn subscription(&mut self, _: &SubscriptionRecord<'_>) {}
    fn session(&mut self, _: &SessionRecord<'_>) {}
    fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
}

impl<W: Write> Observer for Printer<W> {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        if let Some(frames) = &mut self.frames {
            let sender = rows::endpoints(event.state, event.towards).0;
            frames.select(event.slot, sender, event.extent);
        }
        if self.is_silent() {
            return;
        }
        rows::note(event, &mut self.note);
        let topic = rows::topic_column(event, &mut self.topic);
        let row = rows::packet_row(event, topic, &self.note);
        let result = self.style.print(&row, event.file, &Line::Packet(event));
        self.book(result);
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        if let Some(frames) = &mut self.frames {
            let sender = rows::endpoints(event.state, event.towards).0;
            frames.select(event.slot, sender, event.extent);
        }
        if self.is_silent() {
            return;
        }
        let row = rows::bad_length_row(event, rows::BAD_LENGTH_NOTE.as_bytes());
        let result = self.style.print(&row, event.file, &Line::Other);
        self.book(result);
    }

    fn gap(&mut self, event: &GapEvent<'_>) {
        if event.within_packet || self.is_silent() {
            return;
        }
        rows::gap_note(event.gap.bytes, event.gap.reason, &mut self.note);
        let row = rows::gap_row(event, &self.note);
        let result = self.style.print(&row, event.gap.file, &Line::Other);
        self.book(result);
    }

    fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {}
    fn connection(&mut self, _: &ConnectionEvent<'_>) {}

    fn bytes(&mut self, event: &BytesEvent<'_>) {
        if let Some(frames) = &mut self.frames {
            frames.bytes(event);
        }
    }

    fn tick(&mut self, _: Timestamp) {}
}
