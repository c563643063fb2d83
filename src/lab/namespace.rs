//! Network namespaces without a name: they exist as long as somebody holds them, so that a killed
//! run leaves none behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns, unshare};

use super::sys;

/// A network namespace, held by a descriptor.
#[derive(Debug)]
pub(super) struct Namespace(OwnedFd);

impl Namespace {
    /// A new one; its loopback interface is down.
    pub(super) fn new() -> io::Result<Self> {
        // The calling thread stays where it is.
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(Self(File::open("/proc/thread-self/ns/net")?.into()))
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Runs `work` on a thread inside the namespace. Sockets that it makes stay there.
    pub(super) fn enter<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        on_own_thread(|| {
            setns(self.descriptor(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Starts a program inside the namespace.
    pub(super) fn spawn(&self, mut command: Command) -> io::Result<Program> {
        let namespace = self.try_clone()?;
        let (give, take) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        // A child goes with the thread that started it; so this thread stays as long as it.
        let keeper = std::thread::Builder::new()
            .name("lab program".to_owned())
            .spawn(move || {
                let child = setns(namespace.descriptor(), CloneFlags::CLONE_NEWNET)
                    .map_err(io::Error::from)
                    .and_then(|()| {
                        sys::die_with_parent(&mut command);
                        command.spawn()
                    });
                if give.send(child).is_ok() {
                    let _ = released.recv();
                }
            })?;
        let child = take.recv().map_err(io::Error::other)??;
        Ok(Program {
            child,
            release: Some(release),
            keeper: Some(keeper),
        })
    }
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A program that runs on a host. It is killed when this is dropped, and when this process ends,
/// however it ends.
#[derive(Debug)]
pub struct Program {
    child: Child,
    release: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Program {
    /// The process, to wait for it or to talk to it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.release.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
