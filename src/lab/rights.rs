//! The right to make network namespaces: root's, or a user's own through a user namespace.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::namespace::Namespace;

/// By which right the lab works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// The process may make network namespaces as it is.
    Root,
    /// The process went into a user namespace of its own, as the same user.
    UserNamespace,
}

impl Rights {
    /// Gets the right to make network namespaces. Where the process does not have it, it goes into
    /// a new user namespace and stays there; the system allows that only while it has one thread,
    /// so this is called before any other is started.
    ///
    /// # Errors
    ///
    /// [`LabError::NoRights`] where the system refuses.
    pub fn acquire() -> Result<Self, LabError> {
        match Namespace::new() {
            Ok(_) => return Ok(Self::Root),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(LabError::NoRights(error.to_string())),
        }
        let (uid, gid) = (getuid(), getgid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| {
            LabError::NoRights(format!("this user is not root, {}", refusal(error)))
        })?;
        // The same identifiers inside as outside: a program that is started there is no root and
        // has no reason to drop its rights.
        let maps = [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{uid} {uid} 1")),
            ("/proc/self/gid_map", format!("{gid} {gid} 1")),
        ];
        for (path, text) in maps {
            fs::write(path, text)
                .map_err(|error| LabError::NoRights(format!("writing {path}: {error}")))?;
        }
        Namespace::new().map_err(|error| {
            LabError::NoRights(format!(
                "a user namespace could be made, but no network in it ({error}); on Ubuntu, \
                 sysctl kernel.apparmor_restrict_unprivileged_userns=0 allows it"
            ))
        })?;
        Ok(Self::UserNamespace)
    }
}

/// Why there is no user namespace.
fn refusal(error: nix::Error) -> String {
    match error {
        nix::Error::EPERM | nix::Error::EACCES => {
            "and user namespaces are forbidden (sysctl kernel.unprivileged_userns_clone or \
             kernel.apparmor_restrict_unprivileged_userns, or a container)"
                .to_owned()
        }
        nix::Error::ENOSPC => "and user.max_user_namespaces is used up".to_owned(),
        nix::Error::EINVAL => {
            "and the process has more than one thread, with which it cannot go into a user \
             namespace"
                .to_owned()
        }
        other => format!("and a user namespace fails: {other}"),
    }
}
