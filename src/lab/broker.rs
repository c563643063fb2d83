//! A broker on the broker's host: mosquitto with a configuration of the run's own, or any other
//! program.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::host::Host;
use super::namespace::Program;
use super::testbed::Testbed;

/// Where the lab's broker listens: the host is its own, so MQTT's usual port is free.
pub const BROKER_PORT: u16 = 1883;

/// How long a broker may take to open its port.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of a log that an error shows.
const LINES_SHOWN: usize = 15;
/// Where daemons are that a user's PATH may not have.
const MORE_PLACES: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// What a study sets of mosquitto.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MosquittoSettings {
    /// `set_tcp_nodelay`. Off, as mosquitto has it by default, Nagle's algorithm holds small
    /// packets back while others are unacknowledged, which looks like an effect of QoS.
    pub nodelay: bool,
    /// `max_inflight_messages`; 0 is no limit. With a limit, mosquitto drops what does not fit
    /// its queue.
    pub max_inflight_messages: u16,
    /// `max_queued_messages`; 0 is no limit.
    pub max_queued_messages: u32,
    /// Further lines of the configuration.
    pub extra: Vec<String>,
}

impl Default for MosquittoSettings {
    /// NODELAY, no limits.
    fn default() -> Self {
        Self {
            nodelay: true,
            max_inflight_messages: 0,
            max_queued_messages: 0,
            extra: Vec::new(),
        }
    }
}

impl MosquittoSettings {
    /// The configuration file for a listener at `address`.
    #[must_use]
    pub fn configuration(&self, address: SocketAddr) -> String {
        let mut text = format!(
            "listener {} {}\nallow_anonymous true\npersistence false\nset_tcp_nodelay {}\n\
             max_inflight_messages {}\nmax_queued_messages {}\nsys_interval 0\n\
             log_dest stderr\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\n",
            address.port(),
            address.ip(),
            self.nodelay,
            self.max_inflight_messages,
            self.max_queued_messages,
        );
        if nix::unistd::geteuid().is_root() {
            // Mosquitto would change to a user of its own; the kernel then forgets that it is to
            // die with this process (prctl(2), PR_SET_PDEATHSIG). Only the lab's hosts reach it.
            text.push_str("user root\n");
        }
        for line in &self.extra {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// A broker that runs on the broker's host and has opened its port. Dropping it kills it.
#[derive(Debug)]
pub struct RunningBroker {
    program: Program,
    name: String,
    address: SocketAddr,
    log: PathBuf,
}

impl RunningBroker {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with what it writes to its standard output and error, in the testbed's directory.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// [`LabError::Program`] with the end of its log where it has ended.
    pub fn check(&mut self) -> Result<(), LabError> {
        match self.program.child().try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(self.trouble(format!("cannot be asked for its state: {error}"))),
        }
    }

    fn ended(&self, status: ExitStatus) -> LabError {
        self.trouble(format!("ended ({status})"))
    }

    fn trouble(&self, trouble: String) -> LabError {
        LabError::Program {
            program: self.name.clone(),
            trouble,
            log: last_lines(&self.log),
        }
    }

    /// Waits until the port is open.
    fn wait_for_port(&mut self, testbed: &Testbed) -> Result<(), LabError> {
        let mut left = PATIENCE;
        loop {
            self.check()?;
            let opened = testbed.inside(Host::Broker, || TcpStream::connect(self.address));
            if opened.is_ok() {
                return Ok(());
            }
            let Some(rest) = left.checked_sub(LOOK_EVERY) else {
                let waited = format!(
                    "did not open {} within {} s",
                    self.address,
                    PATIENCE.as_secs()
                );
                return Err(self.trouble(waited));
            };
            left = rest;
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Testbed {
    /// The address at which a broker of the lab is expected.
    #[must_use]
    pub fn broker_address(&self) -> SocketAddr {
        SocketAddr::from((Host::Broker.address(), BROKER_PORT))
    }

    /// Starts mosquitto on the broker's host, with a configuration written for it, and waits until
    /// it listens.
    ///
    /// # Errors
    ///
    /// Where it is not installed or does not start; then with the end of its log.
    pub fn start_mosquitto(&self, settings: &MosquittoSettings) -> Result<RunningBroker, LabError> {
        let program = find("mosquitto").ok_or_else(|| LabError::NoProgram {
            program: "mosquitto".to_owned(),
        })?;
        let address = self.broker_address();
        let path = self.directory().join("mosquitto.conf");
        fs::write(&path, settings.configuration(address)).map_err(|source| LabError::File {
            path: path.clone(),
            source,
        })?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&path);
        self.start_broker(command, address)
    }

    /// Starts a program as the broker, on the broker's host, and waits until `address` is open.
    /// What it writes goes to a file in the testbed's directory.
    ///
    /// # Errors
    ///
    /// Where it cannot be started, ends, or does not open the address within 10 s; with the end of
    /// what it wrote.
    pub fn start_broker(
        &self,
        mut command: Command,
        address: SocketAddr,
    ) -> Result<RunningBroker, LabError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = self.directory().join("broker.log");
        let file = |source| LabError::File {
            path: log.clone(),
            source,
        };
        let output = File::create(&log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(errors));
        let program = match self.spawn(Host::Broker, command) {
            Ok(program) => program,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LabError::NoProgram { program: name });
            }
            Err(error) => {
                return Err(LabError::Program {
                    program: name,
                    trouble: format!("cannot be started: {error}"),
                    log: String::new(),
                });
            }
        };
        let mut broker = RunningBroker {
            program,
            name,
            address,
            log,
        };
        broker.wait_for_port(self)?;
        Ok(broker)
    }
}

/// The version of the installed mosquitto, as it says it (`mosquitto version 2.0.11`); `None`
/// where there is none.
#[must_use]
pub fn mosquitto_version() -> Option<String> {
    let output = Command::new(find("mosquitto")?).arg("-h").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

/// Where a program is: in PATH, or where Debian keeps daemons.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(std::env::split_paths(MORE_PLACES))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The last lines of a log, for a terminal: control characters are shown, not sent.
fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    let escape = |line: &&str| -> String {
        line.chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    };
    shown.iter().map(escape).collect::<Vec<_>>().join("\n")
}
