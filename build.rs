//! Says at once, and in a sentence, that libpcap is missing. Without this a build with the
//! feature `live` fails at its very end with the linker's words.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const MISSING: &str = "libpcap is not installed, or without what is needed to build with it. \
    Install the package libpcap-dev (Debian, Ubuntu: `apt install libpcap-dev`) or libpcap-devel \
    (Fedora: `dnf install libpcap-devel`); macOS has it (`xcode-select --install`). \
    Where it lies elsewhere, set LIBPCAP_LIBDIR to its directory. \
    Or do without live capture and capture filters: `cargo build --no-default-features`";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let wanted = env::var_os("CARGO_FEATURE_LIVE").is_some();
    let crossing = env::var_os("HOST") != env::var_os("TARGET");
    let windows = env::var_os("CARGO_CFG_WINDOWS").is_some();
    // Where it cannot be tried, the linker has the last word.
    if !wanted || crossing || windows || env::var_os("DOCS_RS").is_some() {
        return;
    }
    if !known_to_pkg_config() && !links("pcap") && links("c") {
        println!("cargo::error={MISSING}");
    }
}

/// What the `pcap` crate asks first.
fn known_to_pkg_config() -> bool {
    env::var_os("LIBPCAP_LIBDIR").is_none()
        && Command::new("pkg-config")
            .args(["--exists", "libpcap"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// Whether a program can be linked with the library, by the compiler and the flags of this build.
/// Asked of the C library too, which must work: if it does not, the trial itself is at fault.
fn links(library: &str) -> bool {
    let Some(directory) = env::var_os("OUT_DIR") else {
        return false;
    };
    let source = Path::new(&directory).join("links.rs");
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut compile = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        compile.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = OsString::from("-Clinker=");
        flag.push(linker);
        compile.arg(flag);
    }
    if let Some(place) = env::var_os("LIBPCAP_LIBDIR") {
        let mut flag = OsString::from("native=");
        flag.push(place);
        compile.arg("-L").arg(flag);
    }
    compile
        .args(["--edition", "2021", "--crate-name", "links"])
        .args(["--crate-type", "bin", "-l", library, "-o"])
        .arg(Path::new(&directory).join(format!("links-{library}")))
        .arg(&source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
