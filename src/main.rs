//! The `mqttscope` binary: parse the arguments, run, exit with the code.

/// What takes most of the time of an analysis is waiting for memory all over the place, and huge
/// pages make that a third faster: this allocator asks for them, where others have to be told by
/// the environment. Small pieces of memory that are free are kept at hand, more of them and longer
/// than usual: connections come and go by the hundred thousand.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// Sound: jemalloc reads a pointer to a string that ends with NUL from a symbol of this name, and
// nothing else has that name.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[allow(unsafe_code, reason = "the allocator takes its settings from a symbol")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 92] = b"thp:always,tcache_gc_incr_bytes:4194304,\
    lg_tcache_nslots_mul:3,tcache_nslots_small_max:1000\0";

fn main() -> std::process::ExitCode {
    mqttscope::cli::run()
}
