//! Where the frames come from: an interface, or a stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::analysis::Options;
use crate::capture::CaptureError;
use crate::capture::live::{
    Counters, Device, DeviceSettings, Filler, FrameBatch, KernelFilter, LiveError, StreamEnd,
    read_stream,
};
use crate::cli::error::Failure;
use crate::cli::settings::Settings;
use crate::cli::terminal::complain;
use crate::time::{TimeDelta, Timestamp};

use super::args::CaptureLiveArgs;
use super::privileges::advice;

/// Open, and not read yet.
pub(super) enum Source {
    Device(Box<Device>),
    Stream(PathBuf),
}

/// The thread that reads.
pub(super) enum Reading {
    Device(String, JoinHandle<Result<(), String>>),
    Stream(JoinHandle<Result<StreamEnd, CaptureError>>),
}

/// How reading ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) device: bool,
    pub(super) stream: Option<StreamEnd>,
    trouble: Option<String>,
}

impl Source {
    pub(super) fn open(arguments: &CaptureLiveArgs, settings: &Settings) -> Result<Self, Failure> {
        let Some(name) = &arguments.interface else {
            return Ok(Self::Stream(arguments.read.clone().unwrap_or_default()));
        };
        let device = Device::open(&DeviceSettings {
            name: name.clone(),
            filter: KernelFilter {
                ports: wanted_ports(&settings.options),
                user: arguments.common.filter.clone(),
            },
            snap_length: arguments.snap_length,
            buffer_bytes: u32::try_from(arguments.buffer).unwrap_or(u32::MAX),
            promiscuous: !arguments.no_promiscuous,
            immediate: arguments.immediate,
        });
        device
            .map(|device| Self::Device(Box::new(device)))
            .map_err(|error| match error {
                LiveError::NoPermission { name } => Failure::NoRight(advice(&name)),
                error => Failure::Live(error),
            })
    }

    pub(super) const fn is_device(&self) -> bool {
        matches!(self, Self::Device(_))
    }

    /// What stands for the capture's path in the tables: the file that is written, or else where
    /// the frames come from.
    pub(super) fn path(&self, arguments: &CaptureLiveArgs) -> PathBuf {
        match (&arguments.write, self) {
            (Some(path), _) | (None, Self::Stream(path)) => path.clone(),
            (None, Self::Device(device)) => device.tap().name.unwrap_or_default().into(),
        }
    }

    /// Says what is captured, how, and how to end it.
    pub(super) fn announce(&self, arguments: &CaptureLiveArgs, options: &Options) {
        let mut text = match self {
            Self::Stream(path) if path == Path::new("-") => "reading standard input".to_owned(),
            Self::Stream(path) => format!("reading {}", path.display()),
            Self::Device(device) => {
                let tap = device.tap();
                let ports = wanted_ports(options);
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                format!(
                    "capturing {} on {} ({}), buffer {} MiB",
                    match ports.as_slice() {
                        [] => "TCP".to_owned(),
                        ports => format!("TCP port {}", ports.join(", ")),
                    },
                    tap.name.unwrap_or_default(),
                    tap.link_type,
                    arguments.buffer >> 20,
                )
            }
        };
        if let Some(filter) = &arguments.common.filter {
            text.push_str(&format!(", only '{filter}'"));
        }
        complain("note", &format!("{text}; Ctrl-C ends it"));
    }

    pub(super) fn clock(&self) -> Clock {
        Clock {
            device: self.is_device(),
            latest: None,
        }
    }

    pub(super) fn start(
        self,
        filler: Filler,
        counters: Arc<Counters>,
        stop: Arc<AtomicBool>,
    ) -> Reading {
        match self {
            Self::Device(device) => {
                let name = device.tap().name.unwrap_or_default();
                let run = move || device.run(filler, &counters, &stop);
                Reading::Device(name, thread::spawn(run))
            }
            Self::Stream(path) => {
                Reading::Stream(thread::spawn(move || read_stream(&path, filler, &stop)))
            }
        }
    }
}

/// The ports to which the system can be told to keep; none where any port can turn out to be
/// MQTT's.
fn wanted_ports(options: &Options) -> Vec<u16> {
    if options.detect {
        return Vec::new();
    }
    options.ports.iter().map(|rule| rule.port).collect()
}

impl Reading {
    /// Waits for the thread; not for one that waits for a stream that says nothing.
    pub(super) fn end(self) -> Result<Ended, Failure> {
        let panicked = || Some("the thread that reads ended by a fault of the program".to_owned());
        match self {
            Self::Device(name, thread) => {
                let trouble = match thread.join() {
                    Ok(Ok(())) => None,
                    Ok(Err(reason)) => Some(format!("{name} cannot be read any more: {reason}")),
                    Err(_) => panicked(),
                };
                Ok(Ended {
                    device: true,
                    stream: None,
                    trouble,
                })
            }
            Self::Stream(thread) if !thread.is_finished() => Ok(Ended::default()),
            Self::Stream(thread) => match thread.join() {
                Ok(Ok(end)) => Ok(Ended {
                    stream: Some(end),
                    ..Ended::default()
                }),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Ok(Ended {
                    trouble: panicked(),
                    ..Ended::default()
                }),
            },
        }
    }
}

impl Ended {
    /// Says what went wrong, if anything did.
    pub(super) fn complain(&self) {
        if let Some(trouble) = &self.trouble {
            complain("warning", trouble);
        }
        let Some(file) = self.stream.as_ref().and_then(|end| end.file.as_ref()) else {
            return;
        };
        let path = file.path.display();
        if file.truncated {
            let text = format!("{path} ends in the middle of a record; all that is whole was read");
            complain("warning", &text);
        }
        for warning in &file.warnings {
            complain("warning", &format!("{path}: {warning}"));
        }
    }

    /// An error if the input was damaged and that is not to be borne.
    pub(super) fn strict(&self, settings: &Settings) -> Result<(), Failure> {
        let file = self.stream.as_ref().and_then(|end| end.file.as_ref());
        let damaged = file.is_some_and(|file| file.truncated || !file.warnings.is_empty());
        if settings.strict && (damaged || self.trouble.is_some()) {
            return Err(Failure::Damaged(1));
        }
        Ok(())
    }
}

/// What time it is for the capture while no frame comes.
pub(super) struct Clock {
    device: bool,
    latest: Option<(Timestamp, Instant)>,
}

impl Clock {
    /// Frames came.
    pub(super) fn note(&mut self, batch: &FrameBatch) {
        let last = batch.len().checked_sub(1).and_then(|last| batch.time(last));
        if let Some(time) = last {
            self.latest = Some((time, Instant::now()));
        }
    }

    /// A device's frames are stamped by the clock of this machine; a stream's by some other, which
    /// is taken to go on from its last frame. `None`: nobody knows.
    pub(super) fn now(&self) -> Option<Timestamp> {
        if self.device {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            let now = i64::try_from(since.as_nanos()).ok()?;
            return Some(super::before(Timestamp::from_nanos(now)));
        }
        let (time, at) = self.latest?;
        let since = i64::try_from(at.elapsed().as_nanos()).ok()?;
        Some(super::before(time + TimeDelta::from_nanos(since)).max(time))
    }
}
