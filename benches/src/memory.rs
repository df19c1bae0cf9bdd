//! The memory of a server that has nothing to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ROUNDS;
use crate::figures::Table;
use crate::instance::Instance;

/// Megabytes.
const GOAL: f64 = 30.0;
/// How long the server has been idle then.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn measure(table: &mut Table, binary: &Path) -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let instance = Instance::start(binary, &data, None)?;
        std::thread::sleep(IDLE);
        rounds.push(resident(instance.pid())?);
    }
    table.figure("memory (RSS) of an idle server with its runner", &rounds, "MB", Some(GOAL));
    Ok(())
}

/// The resident memory of a process, in megabytes.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes: Option<f64> = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kibibytes.context("the system does not tell the size of the process")? * 1024.0 / 1e6)
}
