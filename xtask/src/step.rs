//! One step of a task: a command whose name, time and failure are shown.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command about to run in the repository's root.
pub(crate) struct Step(Command);

/// A command by name.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Step {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    Step(command)
}

/// The cargo that runs this task.
pub(crate) fn cargo(arguments: &[&str]) -> Step {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

impl Step {
    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(key, value);
        self
    }

    /// Runs it and fails unless it exits with 0.
    pub(crate) fn run(mut self) -> Result<()> {
        let shown = self.shown();
        println!("\n==> {shown}");
        let start = Instant::now();
        let status = self.0.status().with_context(|| format!("`{shown}` could not be started"))?;
        println!("<== {:.1} s: {shown}", start.elapsed().as_secs_f64());
        if !status.success() {
            bail!("`{shown}` ended with {status}");
        }
        Ok(())
    }

    /// Whether it exits with 0; its output is not shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.output().is_ok_and(|output| output.status.success())
    }

    /// What it prints on standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let shown = self.shown();
        let output = self.0.output().with_context(|| format!("`{shown}` could not be started"))?;
        if !output.status.success() {
            bail!("`{shown}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }
}
