//! On what it was measured.

use std::fs;

/// One line: processor, cores, memory, kernel.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |text: &str, key: &str| {
        text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|kb| kb.split(' ').next().and_then(|n| n.parse::<u64>().ok()))
        .map_or(0, |kb| kb / 1_048_576);
    format!(
        "Machine: {}, {cores} cores, {memory} GiB, Linux {}",
        field(&cpuinfo, "model name").unwrap_or_else(|| "unknown processor".to_owned()),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
