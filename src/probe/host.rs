//! The machine that measures.

use crate::processors::KeepAwake;
use crate::results::HostRecord;

/// What the system says of itself; what it does not say is empty. `keeps_awake` is whether the
/// experiment wants idle processors kept awake, which not every machine allows.
#[must_use]
pub fn host_record(keeps_awake: bool) -> HostRecord {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let model = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = |name| read(name).map(|text| text.trim().to_owned());
    let parts = [
        kernel("/proc/sys/kernel/osrelease"),
        kernel("/proc/sys/kernel/version"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    HostRecord {
        os: std::env::consts::OS.into(),
        kernel: parts.join(" "),
        architecture: std::env::consts::ARCH.into(),
        cpus: std::thread::available_parallelism().map_or(0, |count| count.get() as u64),
        cpu_model: model,
        kept_awake: Some(keeps_awake && KeepAwake::is_possible()),
    }
}
