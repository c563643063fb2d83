//! Rights that are needed to open an interface, and not after that.

use std::fs::File;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, chown, fchown, geteuid, initgroups, setgid, setuid};

use crate::cli::error::Failure;

/// Who the process goes on as.
#[derive(Clone, Debug)]
pub(super) struct Target {
    uid: Uid,
    gid: Gid,
    name: String,
}

impl Target {
    /// Whom to become: the one that is named, or who called sudo. `None`: stay who it is.
    pub(super) fn find(named: Option<&str>) -> Result<Option<Self>, Failure> {
        let fail = |reason: String| Failure::User {
            name: named.unwrap_or_default().to_owned(),
            reason,
        };
        let Some(name) = named else {
            return Ok(if geteuid().is_root() { by_sudo() } else { None });
        };
        let by_name = User::from_name(name);
        let user = match name.parse() {
            Ok(number) => by_name.and_then(|user| match user {
                None => User::from_uid(Uid::from_raw(number)),
                user => Ok(user),
            }),
            Err(_) => by_name,
        };
        let user = user
            .map_err(|error| fail(error.desc().to_owned()))?
            .ok_or_else(|| fail("there is no such user".to_owned()))?;
        if user.uid == geteuid() {
            return Ok(None);
        }
        if !geteuid().is_root() {
            return Err(fail("only root can become another user".to_owned()));
        }
        Ok(Some(Self {
            uid: user.uid,
            gid: user.gid,
            name: user.name,
        }))
    }

    /// Gives a file that root just made to the user.
    pub(super) fn give(&self, file: &File) -> nix::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }

    /// Gives a directory that root just made to the user.
    pub(super) fn give_directory(&self, path: &Path) -> nix::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Becomes the user, in all threads and for good.
    pub(super) fn become_it(&self) -> Result<(), Failure> {
        let name = std::ffi::CString::new(self.name.as_str()).unwrap_or_default();
        initgroups(&name, self.gid)
            .and_then(|()| setgid(self.gid))
            .and_then(|()| setuid(self.uid))
            .map_err(|error| Failure::User {
                name: self.name.clone(),
                reason: error.desc().to_owned(),
            })?;
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(Failure::User {
                name: self.name.clone(),
                reason: "the rights of root could not be given up".to_owned(),
            });
        }
        Ok(())
    }
}

/// The user who called sudo, as it says in the environment; root's own shell has none.
fn by_sudo() -> Option<Target> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let uid = Uid::from_raw(number("SUDO_UID")?);
    if uid.is_root() {
        return None;
    }
    let user = User::from_uid(uid).ok()??;
    let gid = number("SUDO_GID").map_or(user.gid, Gid::from_raw);
    Some(Target {
        uid,
        gid,
        name: user.name,
    })
}

/// What to do on this system to be allowed to capture.
pub(super) fn advice(interface: &str) -> String {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.canonicalize().ok())
        .map_or_else(|| "mqttscope".to_owned(), |path| quoted(&path));
    if cfg!(target_os = "linux") {
        let group = Group::from_name("wireshark").ok().flatten();
        let group = group.map_or("GROUP", |_| "wireshark");
        format!(
            "no right to capture on {interface}: run it with sudo, or give the program the right \
             once: sudo setcap cap_net_raw,cap_net_admin=ep {program} (to keep that to the members \
             of a group, before it: sudo chgrp {group} {program} && sudo chmod 750 {program})"
        )
    } else if cfg!(target_os = "macos") {
        format!(
            "no right to capture on {interface}: run it with sudo, or become a member of the group \
             that may read /dev/bpf* (Wireshark's ChmodBPF makes access_bpf for that)"
        )
    } else {
        format!(
            "no right to capture on {interface}: run it with sudo, or give your group the right to \
             read /dev/bpf (devfs.conf: own bpf root:GROUP, perm bpf 0640)"
        )
    }
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
