//! tcpdump on the loopback.
#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running capture; it ends with this value.
pub(crate) struct Tcpdump(Child);

impl Tcpdump {
    /// Captures a port into a file, and listens already; `None` where it may not, or is missing.
    pub(crate) fn start(port: u16, path: &Path) -> Option<Self> {
        let mut child = Command::new("tcpdump")
            .args([
                "-i",
                "lo",
                "-U",
                "--immediate-mode",
                "-B",
                "16384",
                "-s",
                "0",
                "-w",
            ])
            .arg(path)
            .arg(format!("tcp port {port}"))
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut errors = BufReader::new(child.stderr.take()?);
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            if errors.read_line(&mut line).unwrap_or(0) == 0 {
                // It may not capture here.
                child.wait().unwrap();
                return None;
            }
        }
        // It goes on saying things, which nobody reads.
        child.stderr = Some(errors.into_inner());
        Some(Self(child))
    }

    /// Ends it, with all that it has seen in the file.
    pub(crate) fn stop(mut self) {
        self.interrupt();
        self.0.wait().unwrap();
    }

    fn interrupt(&self) {
        let id = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT);
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
