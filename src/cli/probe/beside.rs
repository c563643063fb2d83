//! `$SYS` beside the cells, and the broker's counts against ours.

use std::time::{Duration, Instant};

use crate::probe::{CellResult, sys};
use crate::results::{CellSys, Manifest, PublishCount, SysRecord, grouped};

use super::settings::Settings;

/// As old a reading may be where the broker says nothing else: mosquitto's `sys_interval`.
const USUAL_AGE: Duration = Duration::from_secs(10);
/// So many more are no sign of others: checks, and what an earlier run wrote shortly before.
const OTHERS: u64 = 50;
/// Uptimes are whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// Reads what the broker says of itself before and after each cell; a broker that does not let it
/// is not asked again.
#[derive(Debug, Default)]
pub(super) struct Beside {
    failure: Option<String>,
    is_told: bool,
    /// The first reading, and when.
    first: Option<(Instant, SysRecord)>,
    /// When each cell was over, and what had passed in all by then.
    ours: Vec<(Instant, PublishCount)>,
    disagreed: bool,
    /// The uptime of the last reading, and the shortest step from one to the next: the broker's
    /// interval, or a multiple of it.
    uptime_s: Option<u64>,
    step_s: Option<u64>,
}

impl Beside {
    pub(super) fn read(&mut self, settings: &Settings) -> Option<SysRecord> {
        if self.failure.is_some() {
            return None;
        }
        match sys::read(&settings.site.control, &settings.dialect, rand::random()) {
            // A broker without $SYS says nothing at all.
            Ok(record) => {
                let record = Some(record).filter(|record| *record != SysRecord::default())?;
                self.first
                    .get_or_insert_with(|| (Instant::now(), record.clone()));
                let step = record.uptime_s.zip(self.uptime_s);
                let step = step.and_then(|(now, before)| now.checked_sub(before));
                if let Some(step) = step.filter(|step| *step > 0) {
                    self.step_s = Some(self.step_s.map_or(step, |known| known.min(step)));
                }
                self.uptime_s = record.uptime_s;
                Some(record)
            }
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        }
    }

    /// Reads again, and keeps both with what they say of the cell.
    pub(super) fn keep(
        &mut self,
        manifest: &mut Manifest,
        result: &CellResult,
        before: Option<SysRecord>,
        settings: &Settings,
    ) {
        let cell = result.plan.cell;
        let ours = count(result);
        let sum = self.ours.last().map_or(ours, |(_, sum)| sum.plus(ours));
        self.ours.push((Instant::now(), sum));
        let after = self.read(settings);
        let mut note = |text: String| manifest.notes.push(format!("cell {cell}: {text}"));
        if let Some(failure) = self.failure.as_ref().filter(|_| !self.is_told) {
            self.is_told = true;
            note(format!(
                "$SYS could not be read, and is left out: {failure}"
            ));
        }
        let dropped = |record: &Option<SysRecord>| record.as_ref()?.publish_dropped;
        if let (Some(first), Some(last)) = (dropped(&before), dropped(&after))
            && last > first
        {
            let count = last - first;
            note(format!(
                "the broker says that it dropped {count} messages ($SYS)"
            ));
        }
        if let Some(text) = after.as_ref().and_then(|after| self.disagreement(after)) {
            note(text);
        }
        let version = after.as_ref().and_then(|record| record.version.clone());
        if manifest.broker.version.is_none() {
            manifest.broker.version = version;
        }
        if before.is_some() || after.is_some() {
            manifest.sys.push(CellSys {
                cell,
                before,
                after,
                ours,
            });
        }
    }

    /// Where the broker's counts since the first reading contradict ours, once. A reading may be as
    /// old as the broker's interval, so what was written since then may be in it or not.
    fn disagreement(&mut self, after: &SysRecord) -> Option<String> {
        let (_, first) = self.first.as_ref()?;
        // Without a step nothing was counted anew.
        let step = self.step_s.filter(|_| !self.disagreed)?;
        let age = USUAL_AGE.max(Duration::from_secs(step)) + ROUNDING;
        let now = Instant::now();
        let old = |(ended, _): &&(Instant, PublishCount)| now.duration_since(*ended) > age;
        let least = self.ours.iter().rev().find(old).map(|(_, sum)| *sum);
        let text = contradiction(first, after, least.unwrap_or_default(), self.ours.last()?.1)?;
        self.disagreed = true;
        Some(text)
    }
}

/// What passed in a cell, as the clients saw it.
fn count(result: &CellResult) -> PublishCount {
    let sent = result.publishers.iter().map(|p| p.publishes);
    let received = result.subscribers.iter().map(|s| s.publishes);
    PublishCount {
        sent: sent.sum(),
        received: received.sum(),
    }
}

/// What the broker must have counted is `least`, and of ours it can have counted `most`.
fn contradiction(
    first: &SysRecord,
    after: &SysRecord,
    least: PublishCount,
    most: PublishCount,
) -> Option<String> {
    let grown = |of: fn(&SysRecord) -> Option<u64>| of(after)?.checked_sub(of(first)?);
    if let Some(received) = grown(|record| record.publish_received) {
        let count = grouped(received);
        if received < least.sent {
            return Some(format!(
                "the broker says that it received {count} PUBLISH packets since the run began \
                 ($SYS), and at least {} were written to it by then",
                grouped(least.sent)
            ));
        }
        if received > most.sent.saturating_add(OTHERS) {
            return Some(format!(
                "the broker says that it received {count} PUBLISH packets since the run began \
                 ($SYS), and only {} were written to it: others use it too",
                grouped(most.sent)
            ));
        }
    }
    let sent = grown(|record| record.publish_sent)?;
    // More may be for other subscribers, and is for us: these values themselves.
    (sent < least.received).then(|| {
        format!(
            "the broker says that it sent {} PUBLISH packets since the run began ($SYS), and at \
             least {} came",
            grouped(sent),
            grouped(least.received)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(received: u64, sent: u64) -> SysRecord {
        SysRecord {
            publish_received: Some(received),
            publish_sent: Some(sent),
            ..SysRecord::default()
        }
    }

    #[test]
    fn counts_may_lag_but_not_contradict() {
        let (least, most) = (
            PublishCount {
                sent: 100,
                received: 200,
            },
            PublishCount {
                sent: 150,
                received: 300,
            },
        );
        for (received, sent, said) in [
            (100, 200, None),
            (150, 999, None),
            (99, 200, Some("at least 100 were written")),
            (150 + OTHERS, 200, None),
            (151 + OTHERS, 200, Some("others use it too")),
            (120, 199, Some("at least 200 came")),
        ] {
            let text = contradiction(
                &reading(7, 9),
                &reading(7 + received, 9 + sent),
                least,
                most,
            );
            match said {
                None => assert_eq!(text, None),
                Some(said) => assert!(text.as_ref().unwrap().contains(said), "{text:?}"),
            }
        }
        let silent = SysRecord::default();
        assert_eq!(contradiction(&silent, &reading(1, 1), least, most), None);
    }
}
