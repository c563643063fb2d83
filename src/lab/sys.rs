//! The three things that no safe interface offers: attaching a file to a TUN device, switching off
//! an interface's offloads, and letting a child die with its parent. Nothing else is in this file.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::Signal;

mod calls {
    use nix::libc;

    nix::ioctl_write_ptr_bad!(
        /// `TUNSETIFF` (linux/if_tun.h).
        tun_set_iff,
        libc::TUNSETIFF,
        libc::ifreq
    );
    nix::ioctl_write_ptr_bad!(
        /// `SIOCETHTOOL` (linux/sockios.h).
        ethtool,
        0x8946,
        libc::ifreq
    );
}

/// The commands that switch off transmit checksums, scatter-gather, TCP segmentation, generic
/// segmentation and generic receive offload (`ETHTOOL_STXCSUM` and so on, linux/ethtool.h).
const OFFLOADS: [u32; 5] = [0x17, 0x19, 0x1f, 0x24, 0x2c];

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

/// An `ifreq` that holds nothing but an interface's name.
fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain old data (a character array, and a union of integers, addresses
    // and a pointer): all zeros is a value of it, with an empty name and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the terminating zero.
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// Makes `file`, an open `/dev/net/tun`, the other side of a new interface that carries IP
/// packets with nothing in front. The interface goes when the file is closed.
pub(super) fn attach_tun(file: &File, name: &str) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads one `ifreq` from the pointer and writes the name back into it during
    // the call only; the pointer comes from a live local, and the descriptor from a borrowed file.
    unsafe { calls::tun_set_iff(file.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Switches off what would let packets pass that no wire carries: without checksums, or longer
/// than the MTU. What an interface does not have stays as it is.
pub(super) fn switch_off_offloads(socket: &impl AsFd, name: &str) -> io::Result<()> {
    let mut request = request(name)?;
    for command in OFFLOADS {
        let mut value = EthtoolValue { command, value: 0 };
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: SIOCETHTOOL reads the `ifreq` and, behind its pointer, one `ethtool_value`, whose
        // layout `EthtoolValue` has; both are live locals, and the kernel keeps neither.
        let done = unsafe { calls::ethtool(socket.as_fd().as_raw_fd(), &raw const request) };
        match done {
            Ok(_) | Err(nix::Error::EOPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Lets what `command` starts be killed when the thread that started it ends, however it ends.
pub(super) fn die_with_parent(command: &mut Command) {
    // SAFETY: what runs between fork and exec has to be async-signal-safe: the closure makes one
    // system call (prctl), allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}
