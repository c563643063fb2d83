//! `$SYS` beside the cells.

use crate::probe::sys;
use crate::results::{CellSys, Manifest, SysRecord};

use super::settings::Settings;

/// Reads what the broker says of itself before and after each cell; a broker that does not let it
/// is not asked again.
#[derive(Debug, Default)]
pub(super) struct Beside {
    failure: Option<String>,
    is_told: bool,
}

impl Beside {
    pub(super) fn read(&mut self, settings: &Settings) -> Option<SysRecord> {
        if self.failure.is_some() {
            return None;
        }
        match sys::read(&settings.site.control, &settings.dialect, rand::random()) {
            // A broker without $SYS says nothing at all.
            Ok(record) => Some(record).filter(|record| *record != SysRecord::default()),
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
        cell: u32,
        before: Option<SysRecord>,
        settings: &Settings,
    ) {
        let after = self.read(settings);
        if let Some(failure) = self.failure.as_ref().filter(|_| !self.is_told) {
            self.is_told = true;
            let note = format!("cell {cell}: $SYS could not be read, and is left out: {failure}");
            manifest.notes.push(note);
        }
        let version = after.as_ref().and_then(|record| record.version.clone());
        if manifest.broker.version.is_none() {
            manifest.broker.version = version;
        }
        let dropped = |record: &Option<SysRecord>| record.as_ref()?.publish_dropped;
        if let (Some(first), Some(last)) = (dropped(&before), dropped(&after))
            && last > first
        {
            manifest.notes.push(format!(
                "cell {cell}: the broker says that it dropped {} messages ($SYS)",
                last - first
            ));
        }
        if before.is_some() || after.is_some() {
            manifest.sys.push(CellSys {
                cell,
                before,
                after,
            });
        }
    }
}
