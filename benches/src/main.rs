//! Measures the release binary of Weir against its goals and prints the tables of `docs/performance.md`.
//!
//! Everything is measured from outside, as users see it: a process, HTTP, Git. What the machine itself can do is
//! measured in the same run, since it differs from day to day more than Weir does from version to version.

mod figures;
mod instance;
mod jobs;
mod limits;
mod machine;
mod memory;
mod project;
mod push;
mod start;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::figures::Table;

/// How often each figure is measured; the table shows the median.
const ROUNDS: usize = 3;

const HELP: &str = "\
Usage: weir-bench [--binary FILE] [MEASUREMENT]...

Measurements: limits, start, memory, push, jobs; all of them unless some are named.
The binary is the `weir` beside this program unless one is given: build it with `cargo build --release --package weir`.
With WEIR_TEST_POSTGRES=postgres://... the jobs are measured on PostgreSQL, too.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut wanted = Vec::new();
    let mut binary = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--binary" => binary = Some(PathBuf::from(arguments.next().context("--binary needs a file")?)),
            "limits" | "start" | "memory" | "push" | "jobs" => wanted.push(argument),
            _ => {
                print!("{HELP}");
                bail!("`{argument}` is no measurement");
            }
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => std::env::current_exe()?.with_file_name("weir"),
    };
    let binary = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|other| other == name);

    machine::wait_until_quiet()?;
    println!("{}\n", machine::describe()?);
    let mut table = Table::default();
    if is_wanted("limits") {
        limits::measure(&mut table).await?;
    }
    if is_wanted("start") {
        start::measure(&mut table, &binary)?;
    }
    if is_wanted("memory") {
        memory::measure(&mut table, &binary)?;
    }
    if is_wanted("push") {
        push::measure(&mut table, &binary).await?;
    }
    if is_wanted("jobs") {
        jobs::measure(&mut table, &binary).await?;
    }
    println!("{table}\n{}", machine::load()?);
    Ok(())
}
