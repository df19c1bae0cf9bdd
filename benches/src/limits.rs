//! What the machine can do without Weir: durable appends and processes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::ROUNDS;
use crate::figures::Table;
use crate::jobs::JOBS;

/// Durable appends of one round.
const APPENDS: u32 = 500;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let (mut appends, mut sequential, mut paired) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        appends.push(append_durably()? / APPENDS);
        sequential.push(processes()?);
        paired.push(processes_at_a_time(2).await?);
    }
    table.duration("one append of 4 KB with fdatasync", &appends, None);
    table.duration(format!("{JOBS} times `sh -c true`, one after the other"), &sequential, None);
    table.duration(format!("{JOBS} times `sh -c true`, two at a time"), &paired, None);
    Ok(())
}

fn append_durably() -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let mut file = OpenOptions::new().create_new(true).append(true).open(folder.path().join("log"))?;
    let begin = Instant::now();
    for _ in 0..APPENDS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(begin.elapsed())
}

fn processes() -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..JOBS {
        Command::new("sh").args(["-c", "true"]).stdin(Stdio::null()).status()?;
    }
    Ok(begin.elapsed())
}

/// The bare limit of a runner: as many processes as jobs, `at_a_time`.
pub(crate) async fn processes_at_a_time(at_a_time: usize) -> Result<Duration> {
    let begin = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..JOBS {
        if number >= at_a_time
            && let Some(ended) = running.join_next().await
        {
            ended??;
        }
        running.spawn(tokio::process::Command::new("sh").args(["-c", "true"]).stdin(Stdio::null()).status());
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(begin.elapsed())
}
