//! What a process has used so far, as the kernel counts it.

use std::fs;

/// Clock ticks per second in `/proc`, which Linux fixes at 100 for user space.
const TICKS: f64 = 100.0;

pub struct Usage {
    pub cpu_seconds: f64,
    /// The most memory that it ever held.
    pub peak_mib: u64,
}

impl Usage {
    /// From now on the most memory is counted anew.
    pub fn forget_peak(process: u32) {
        fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the process is ours");
    }

    pub fn of(process: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).expect("the process runs");
        let stat = read("stat");
        // The name, in parentheses, may hold spaces; utime and stime are the 14th and 15th field.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11..=12].iter().map(|field| field.parse::<f64>().expect("a number of ticks")).sum();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts memory");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        Self { cpu_seconds: ticks / TICKS, peak_mib: kib / 1024 }
    }
}
