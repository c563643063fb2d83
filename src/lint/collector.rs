//! Findings, counted, and the first of each code told in detail.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use crate::tcp::Endpoint;
use crate::time::Timestamp;

use super::catalogue::{COUNT, Code};
use super::wireshark;

/// Rows of one code that are told, and bytes of text in them. The rest is counted.
const MOST_ROWS: u32 = 1000;
const MOST_BYTES: usize = 4 << 20;

/// Where something was seen, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the connection.
    pub connection: Option<u64>,
    /// File of the frame that showed it.
    pub file: Option<u32>,
    /// Number of that frame within its file.
    pub frame: Option<u64>,
    /// When it was seen.
    pub time: Option<Timestamp>,
    /// The tap.
    pub tap: Option<u16>,
}

/// Something that deserves attention.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// What it is.
    pub code: Code,
    /// Where it was seen.
    pub place: Place,
    /// The topic or topic filter concerned.
    pub topic: Option<&'a [u8]>,
    /// What exactly: text with parts from the network, which may hold anything.
    pub detail: &'a [u8],
    /// A display filter of Wireshark that shows the frames; empty where there is none.
    pub filter: &'a str,
}

/// Takes findings.
pub trait Sink {
    /// Something was found.
    fn finding(&mut self, finding: &Finding<'_>);
}

/// For who wants the counts alone.
impl Sink for () {
    fn finding(&mut self, _: &Finding<'_>) {}
}

/// The text of a finding in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    detail: Vec<u8>,
    filter: String,
}

impl Draft {
    /// Appends words.
    pub(super) fn say(&mut self, words: fmt::Arguments<'_>) -> &mut Self {
        // Writing to memory does not fail.
        _ = self.detail.write_fmt(words);
        self
    }

    /// Appends text from the network, as it is.
    pub(super) fn quote(&mut self, text: &[u8]) -> &mut Self {
        const LONGEST: usize = 256;
        self.detail
            .extend_from_slice(text.get(..LONGEST).unwrap_or(text));
        if text.len() > LONGEST {
            self.detail.extend_from_slice("…".as_bytes());
        }
        self
    }

    /// Appends a name from the network: `""` where it is empty, so that nothing seems to lack.
    pub(super) fn name(&mut self, text: &[u8]) -> &mut Self {
        self.quote(if text.is_empty() { b"\"\"" } else { text })
    }

    /// Shows one frame.
    pub(super) fn frame(&mut self, number: Option<u64>) -> &mut Self {
        if let Some(number) = number {
            wireshark::number(&mut self.filter, "frame.number", number);
        }
        self
    }

    /// Shows frames with this text; `frame` where the text cannot be looked for.
    pub(super) fn text(&mut self, field: &str, text: &[u8], frame: Option<u64>) -> &mut Self {
        if wireshark::text(&mut self.filter, field, text) {
            self
        } else {
            self.frame(frame)
        }
    }

    /// Shows a connection.
    pub(super) fn connection(&mut self, ends: [Endpoint; 2]) -> &mut Self {
        wireshark::connection(&mut self.filter, ends);
        self
    }

    /// Shows frames from this time on.
    pub(super) fn since(&mut self, time: Option<Timestamp>) -> &mut Self {
        wireshark::since(&mut self.filter, time.map(Timestamp::as_nanos));
        self
    }

    /// Shows an exchange.
    pub(super) fn exchange(&mut self, packet_id: u16, from: Option<Timestamp>) -> &mut Self {
        wireshark::number(&mut self.filter, "mqtt.msgid", u64::from(packet_id));
        self.since(from)
    }
}

/// Counts findings and tells the first of each code.
#[derive(Debug)]
pub(super) struct Collector {
    counts: [Count; COUNT],
    draft: Draft,
    untold: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u64,
    rows: u32,
    bytes: usize,
    ignored: bool,
}

impl Collector {
    pub(super) fn new(ignored: &[Code]) -> Self {
        let mut this = Self {
            counts: [Count::default(); COUNT],
            draft: Draft::default(),
            untold: 0,
        };
        for code in ignored {
            if let Some(count) = this.counts.get_mut(code.index()) {
                count.ignored = true;
            }
        }
        this
    }

    pub(super) fn ignores(&self, code: Code) -> bool {
        self.counts
            .get(code.index())
            .is_none_or(|count| count.ignored)
    }

    /// Counts one; `write` is asked for its text unless enough of this code were told.
    #[cold]
    pub(super) fn report<S: Sink>(
        &mut self,
        code: impl Into<Code>,
        place: Place,
        topic: Option<&[u8]>,
        sink: &mut S,
        write: impl FnOnce(&mut Draft),
    ) {
        let code = code.into();
        let Some(count) = self.counts.get_mut(code.index()) else {
            return;
        };
        if count.ignored {
            return;
        }
        count.all = count.all.saturating_add(1);
        if count.rows >= MOST_ROWS || count.bytes >= MOST_BYTES {
            self.untold = self.untold.saturating_add(1);
            return;
        }
        let Draft { detail, filter } = &mut self.draft;
        detail.clear();
        filter.clear();
        write(&mut self.draft);
        let Draft { detail, filter } = &self.draft;
        let bytes = detail.len().saturating_add(filter.len());
        count.rows = count.rows.saturating_add(1);
        count.bytes = count
            .bytes
            .saturating_add(bytes)
            .saturating_add(topic.map_or(0, <[u8]>::len));
        sink.finding(&Finding {
            code,
            place,
            topic,
            detail,
            filter,
        });
    }

    /// How often each code was found.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        Code::all()
            .zip(&self.counts)
            .filter(|(_, count)| count.all > 0)
            .map(|(code, count)| (code.doc().code, count.all))
            .collect()
    }

    /// Findings that were counted and not told.
    pub(super) const fn untold(&self) -> u64 {
        self.untold
    }
}
