//! The machine that is measured on, as Linux describes it.

use std::fs::read_to_string;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Measurements begin once others take less of the processors than this.
const BUSY: f64 = 0.10;
/// How long to wait for that.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until the machine has nothing else to do; says so and goes on if it does not happen.
pub(crate) fn wait_until_quiet() -> Result<()> {
    let begin = Instant::now();
    let mut last = times()?;
    while begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_secs(2));
        let now = times()?;
        if now.busy_since(&last) < BUSY {
            return Ok(());
        }
        last = now;
    }
    println!("The machine is busy with other work: figures are too high.");
    Ok(())
}

/// The processors, their number, the system and the disk of temporary files.
pub(crate) fn describe() -> Result<String> {
    let processors = std::thread::available_parallelism()?;
    let cpuinfo = read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let system = read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{processors} x {}, Linux {}, data on {}",
        model.map_or("unknown", |(_, model)| model),
        system.trim(),
        disk(&std::env::temp_dir())?
    ))
}

/// The load average at the end.
pub(crate) fn load() -> Result<String> {
    let load = read_to_string("/proc/loadavg")?;
    let minute = load.split(' ').next().unwrap_or_default();
    Ok(format!("Load average of the last minute: {minute}."))
}

/// The file system that holds a folder.
fn disk(folder: &Path) -> Result<String> {
    let mounts = read_to_string("/proc/mounts")?;
    let of_folder = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
            folder.starts_with(point).then_some((point.len(), format!("{device} ({kind})")))
        })
        .max();
    of_folder.map(|(_, name)| name).context("no file system holds the temporary files")
}

/// Processor time since the start of the system, in ticks.
struct Times {
    all: u64,
    idle: u64,
}

impl Times {
    fn busy_since(&self, earlier: &Self) -> f64 {
        let all = (self.all - earlier.all).max(1);
        let idle = self.idle - earlier.idle;
        // Ticks of some seconds are far from where doubles become inexact.
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        {
            1.0 - idle as f64 / all as f64
        }
    }
}

fn times() -> Result<Times> {
    let stat = read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // The columns 3 and 4 are idle time and waiting for disks.
    Ok(Times { all: ticks.iter().take(8).sum(), idle: ticks.iter().skip(3).take(2).sum() })
}
