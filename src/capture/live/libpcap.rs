//! Interfaces by way of libpcap: the one place that opens them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::pcap::{Active, Capture, Error, Linktype, Precision, Stat};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::batch::{Lost, TapNote};
use super::counters::Counters;
use super::device::{DeviceInfo, DeviceSettings, LiveError};
use super::queue::Filler;
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

/// How long the system keeps frames to hand over several at a time, in milliseconds.
const BUFFERED_MS: i32 = 50;
/// How long frames are kept here for the same reason.
const BATCHED: Duration = Duration::from_millis(50);
/// How long nothing is awaited before the order to stop is looked for.
const PATIENCE_MS: u16 = 100;
/// How often the system is asked what it dropped.
const COUNTED: Duration = Duration::from_millis(200);
/// Most frames that are read without looking at anything else.
const AT_ONCE: usize = 4096;
/// What comes so long after the order to stop is still read: it was seen before it.
const AFTERGLOW: Duration = Duration::from_millis(150);

/// Link types of the system that have another number in files.
const DLT_RAW: i32 = if cfg!(target_os = "openbsd") { 14 } else { 12 };
const DLT_LINUX_SLL2: i32 = 276;

/// An open interface.
pub struct Device {
    capture: Capture<Active>,
    tap: TapNote,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

/// The interfaces of this machine, as libpcap lists them.
///
/// # Errors
///
/// [`LiveError::List`].
pub fn devices() -> Result<Vec<DeviceInfo>, LiveError> {
    let listed = ::pcap::Device::list().map_err(|error| LiveError::List(reason(error)))?;
    let info = |device: ::pcap::Device| {
        let flags = [
            ("up", device.flags.is_up()),
            ("running", device.flags.is_running()),
            ("loopback", device.flags.is_loopback()),
            ("wireless", device.flags.is_wireless()),
        ];
        DeviceInfo {
            name: device.name,
            description: device.desc,
            addresses: device
                .addresses
                .iter()
                .map(|address| address.addr.to_string())
                .collect(),
            flags: flags
                .into_iter()
                .filter_map(|(name, is)| is.then_some(name))
                .collect(),
        }
    };
    Ok(listed.into_iter().map(info).collect())
}

impl Device {
    /// Opens an interface and begins to capture: frames wait in the system's buffer.
    ///
    /// # Errors
    ///
    /// See [`LiveError`].
    pub fn open(settings: &DeviceSettings) -> Result<Self, LiveError> {
        let name = &settings.name;
        let known = devices()?;
        let Some(known) = known.iter().find(|device| device.name == *name) else {
            let names = known.into_iter().filter(is_network);
            return Err(LiveError::NoSuchDevice {
                name: name.clone(),
                known: names.map(|device| device.name).collect(),
            });
        };
        // All interfaces together cannot be made promiscuous.
        let promiscuous = settings.promiscuous && name != "any";
        let mut capture = activate(settings, promiscuous)
            .or_else(|error| match error {
                // Some interfaces cannot be, and libpcap's warning looks like an error here.
                Error::PcapError(text)
                    if promiscuous && text.to_lowercase().contains("promisc") =>
                {
                    activate(settings, false)
                }
                error => Err(error),
            })
            .map_err(|error| refused(name, error))?;
        if name == "any" {
            // The newer form tells of which interface a frame is; where there is none, the older.
            let _ = capture.set_datalink(Linktype(DLT_LINUX_SLL2));
        }
        #[cfg(target_os = "linux")]
        if known.flags.contains(&"loopback") {
            super::once::ignore_outgoing(&capture);
        }
        let filter = set_filter(&mut capture, settings)?;
        let link_type = match capture.get_datalink() {
            Linktype(DLT_RAW) => LinkType::RAW,
            Linktype(number) => LinkType(u16::try_from(number).unwrap_or(u16::MAX)),
        };
        Ok(Self {
            capture,
            tap: TapNote {
                tap: 0,
                link_type,
                name: Some(name.clone()),
                snap_length: settings.snap_length,
                filter: Some(filter).filter(|text| !text.is_empty()),
            },
        })
    }

    /// What is known of it.
    #[must_use]
    pub fn tap(&self) -> TapNote {
        self.tap.clone()
    }

    /// Reads until it is told to stop, and then what was captured until then.
    ///
    /// # Errors
    ///
    /// libpcap's words, if the interface cannot be read any more (it may be gone).
    pub fn run(
        self,
        filler: Filler,
        counters: &Arc<Counters>,
        stop: &AtomicBool,
    ) -> Result<(), String> {
        let capture = self.capture.setnonblock().map_err(reason)?;
        let mut reader = Reader {
            capture,
            filler,
            link_type: self.tap.link_type,
            frames: 0,
            handed_on: Instant::now(),
            drops: Drops::new(counters),
        };
        reader.filler.note_tap(self.tap);
        let result = reader.read_until(stop);
        reader.drops.count(&mut reader.capture, &mut reader.filler);
        result
    }
}

/// Something that MQTT is spoken over, and no bus of another kind.
fn is_network(device: &DeviceInfo) -> bool {
    let others = ["bluetooth", "usbmon", "dbus", "nflog", "nfqueue"];
    !others.iter().any(|other| device.name.starts_with(other))
}

fn activate(settings: &DeviceSettings, promiscuous: bool) -> Result<Capture<Active>, Error> {
    let clamp = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    Capture::from_device(settings.name.as_str())?
        .snaplen(clamp(settings.snap_length))
        .buffer_size(clamp(settings.buffer_bytes))
        .promisc(promiscuous)
        .immediate_mode(settings.immediate)
        .timeout(BUFFERED_MS)
        .precision(if NANOSECONDS {
            Precision::Nano
        } else {
            Precision::Micro
        })
        .open()
}

/// Every network interface of Linux has them; elsewhere libpcap does not tell through its binding
/// whether it could grant them.
const NANOSECONDS: bool = cfg!(target_os = "linux");

/// Sets the first filter that can be set; tells which.
fn set_filter(
    capture: &mut Capture<Active>,
    settings: &DeviceSettings,
) -> Result<String, LiveError> {
    if let Some(user) = &settings.filter.user
        && let Err(error) = capture.compile(user, true)
    {
        return Err(LiveError::Filter {
            expression: user.clone(),
            reason: reason(error),
        });
    }
    let mut last = None;
    for expression in settings.filter.candidates() {
        match capture.filter(&expression, true) {
            Ok(()) => return Ok(expression),
            Err(error) => last = Some(error),
        }
    }
    Err(LiveError::Open {
        name: settings.name.clone(),
        reason: last.map(reason).unwrap_or_default(),
    })
}

fn refused(name: &str, error: Error) -> LiveError {
    let reason = reason(error);
    let lower = reason.to_lowercase();
    if lower.contains("permi") || lower.contains("not permitted") {
        LiveError::NoPermission {
            name: name.to_owned(),
        }
    } else {
        LiveError::Open {
            name: name.to_owned(),
            reason,
        }
    }
}

/// libpcap's own words in one line.
fn reason(error: Error) -> String {
    let text = match error {
        Error::PcapError(text) => text,
        Error::InvalidInputString => "it has a NUL character in it".to_owned(),
        other => other.to_string(),
    };
    let text = text.trim_start_matches("libpcap error: ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The thread's work.
struct Reader<'c> {
    capture: Capture<Active>,
    filler: Filler,
    link_type: LinkType,
    frames: u64,
    handed_on: Instant,
    drops: Drops<'c>,
}

impl Reader<'_> {
    fn read_until(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let mut stopped: Option<Instant> = None;
        loop {
            let read = self.read()?;
            let now = Instant::now();
            if self.filler.is_pending() {
                if now.duration_since(self.handed_on) >= BATCHED {
                    self.filler.hand_on();
                    self.handed_on = now;
                }
            } else {
                self.handed_on = now;
            }
            if now.duration_since(self.drops.counted) >= COUNTED {
                self.drops.count(&mut self.capture, &mut self.filler);
            }
            if stopped.is_none() && stop.load(Ordering::Relaxed) {
                stopped = Some(now);
            }
            match stopped {
                Some(since) => {
                    // What was seen before is handed over soon; what keeps coming is not awaited.
                    if now.duration_since(since) >= AFTERGLOW {
                        return Ok(());
                    }
                    if read == 0 {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                None if read == 0 => self.wait()?,
                None => {}
            }
        }
    }

    /// Copies what the system has ready; tells how many frames that were.
    fn read(&mut self) -> Result<usize, String> {
        let Self {
            capture,
            filler,
            link_type,
            frames,
            ..
        } = self;
        let read = capture.dispatch(Some(AT_ONCE), |packet| {
            let frame = Frame {
                time: time_of(packet.header.ts.tv_sec, packet.header.ts.tv_usec),
                link_type: *link_type,
                wire_length: packet.header.len,
                bytes: packet.data,
                tap: 0,
                file: 0,
                number: frames.saturating_add(1),
            };
            if filler.push(&frame) {
                *frames = frames.saturating_add(1);
            }
        });
        read.map_err(reason)
    }

    /// Waits until there is something to read, or for a moment.
    fn wait(&self) -> Result<(), String> {
        let timeout = if self.filler.is_pending() {
            BATCHED.saturating_sub(self.handed_on.elapsed())
        } else {
            Duration::from_millis(u64::from(PATIENCE_MS))
        };
        let millis = u16::try_from(timeout.as_millis()).unwrap_or(PATIENCE_MS);
        let mut ends = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, PollTimeout::from(millis.saturating_add(1))) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What libpcap counts in 32 bits and from the beginning on, as differences.
struct Drops<'c> {
    counters: &'c Counters,
    counted: Instant,
    at: Timestamp,
    before: Stat,
}

impl<'c> Drops<'c> {
    fn new(counters: &'c Counters) -> Self {
        Self {
            counters,
            counted: Instant::now(),
            at: now(),
            before: Stat {
                received: 0,
                dropped: 0,
                if_dropped: 0,
            },
        }
    }

    fn count(&mut self, capture: &mut Capture<Active>, filler: &mut Filler) {
        let at = now();
        self.counted = Instant::now();
        let Ok(stat) = capture.stats() else { return };
        let since = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let by_system = since(stat.dropped, self.before.dropped);
        let by_interface = since(stat.if_dropped, self.before.if_dropped);
        let received = since(stat.received, self.before.received);
        self.counters.add_system(received, by_system, by_interface);
        let frames = by_system.saturating_add(by_interface);
        if frames > 0 {
            filler.note_lost(Lost {
                frames,
                from: self.at,
                until: at,
            });
        }
        self.before = stat;
        self.at = at;
    }
}

/// The time now, on the clock that stamps frames.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map(|since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    Timestamp::from_nanos(nanos.unwrap_or(0))
}

#[allow(
    clippy::useless_conversion,
    reason = "the types differ between systems"
)]
fn time_of(seconds: impl Into<i64>, fraction: impl Into<i64>) -> Timestamp {
    let unit = if NANOSECONDS { 1 } else { 1000 };
    let nanos = seconds
        .into()
        .saturating_mul(1_000_000_000)
        .saturating_add(fraction.into().saturating_mul(unit));
    Timestamp::from_nanos(nanos)
}
