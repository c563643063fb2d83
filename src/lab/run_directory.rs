//! A directory for the files of one run of the lab, and what killed runs left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use super::error::LabError;

/// What every such directory's name begins with.
const PREFIX: &str = "mqttscope-lab-";
/// Locked as long as the run lives.
const LOCK: &str = "lock";

/// The directory of a run; it goes when this is dropped. A run that was killed leaves it behind,
/// unlocked, and the next one removes it.
#[derive(Debug)]
pub(super) struct RunDirectory {
    directory: TempDir,
    _lock: Flock<File>,
}

impl RunDirectory {
    pub(super) fn new() -> Result<Self, LabError> {
        let base = std::env::temp_dir();
        remove_leftovers(&base);
        Self::new_in(&base).map_err(|source| LabError::File { path: base, source })
    }

    fn new_in(base: &Path) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(base)?;
        // Programs on the hosts may run as another user and read their configuration here.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), mode)?;
        // It gets its name when it is locked: others must never see it unlocked.
        let unnamed = directory.path().join("lock.new");
        let file = File::create(&unnamed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e)?;
        fs::rename(&unnamed, directory.path().join(LOCK))?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directories of runs that ended without doing so. One that cannot be removed (it is
/// another user's, say) is in nobody's way.
fn remove_leftovers(base: &Path) {
    for path in leftovers(base) {
        let _ = fs::remove_dir_all(path);
    }
}

/// Directories with our name whose lock nobody holds.
fn leftovers(base: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| is_unlocked(&path.join(LOCK)))
        .collect()
}

/// Without a lock to be found, the run may be just beginning.
fn is_unlocked(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else {
        return false;
    };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join("mqttscope-lab-1-dead");
        let foreign = base.path().join("somebody-else");
        let beginning = base.path().join("mqttscope-lab-2-beginning");
        for directory in [&dead, &foreign, &beginning] {
            fs::create_dir(directory).unwrap();
        }
        for directory in [&dead, &foreign] {
            fs::write(directory.join(LOCK), "").unwrap();
        }
        let living = RunDirectory::new_in(base.path()).unwrap();
        assert_eq!(leftovers(base.path()), std::slice::from_ref(&dead));
        remove_leftovers(base.path());
        assert!(!dead.exists() && foreign.exists() && beginning.exists());
        let path = living.path().to_owned();
        assert!(path.exists());
        drop(living);
        assert!(!path.exists());
    }
}
