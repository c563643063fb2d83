//! The `mqttscope` binary: parse the arguments, run, exit with the code.

/// What takes most of the time of an analysis is waiting for memory all over the place, and huge
/// pages make that a third faster: this allocator asks for them, where others have to be told by
/// the environment.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// Sound: jemalloc reads a pointer to a string that ends with NUL from a symbol of this name, and
// nothing else has that name.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[allow(unsafe_code, reason = "the allocator takes its settings from a symbol")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 11] = b"thp:always\0";

fn main() -> std::process::ExitCode {
    mqttscope::cli::run()
}
