//! A mosquitto of a test's own, on a free port.
#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running broker; it ends with this value.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) port: u16,
    directory: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts one with NODELAY; `None` where there is no mosquitto. `options` go into its
    /// configuration; files of the broker go into the directory that they are told.
    pub(crate) fn start(options: impl FnOnce(&Path) -> String) -> Option<Self> {
        Self::launch(|path| format!("set_tcp_nodelay true\n{}", options(path)))
    }

    /// As mosquitto is without any setting, for anyone.
    pub(crate) fn by_default() -> Option<Self> {
        Self::launch(|_| "allow_anonymous true".to_owned())
    }

    fn launch(options: impl FnOnce(&Path) -> String) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        // An ordinary user has to read what is in it.
        open_to_all(directory.path(), 0o755);
        let extra = options(directory.path());
        for entry in fs::read_dir(directory.path()).unwrap() {
            open_to_all(&entry.unwrap().path(), 0o644);
        }
        let port = free_port();
        let path = directory.path().join("mosquitto.conf");
        let configuration = format!("listener {port} 127.0.0.1\n{extra}\n");
        fs::write(&path, configuration).unwrap();
        open_to_all(&path, 0o644);
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let broker = Self {
            child,
            port,
            directory,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "mosquitto does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(broker)
    }

    pub(crate) fn anonymous() -> Option<Self> {
        Self::start(|_| "allow_anonymous true".to_owned())
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A port that nothing listened on just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
