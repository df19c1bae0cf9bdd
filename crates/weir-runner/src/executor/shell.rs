//! Scripts in a shell on this machine, as the user that the runner runs as.
//!
//! Unlike gitlab-runner's, the shell is no login shell: profiles are not read, since they can be slow and make jobs
//! depend on the user's settings. A background process may outlive its script until the job ends; to outlive the job,
//! too, it must leave its process group (`setsid`).

use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{Executor, Place, Script};
use crate::error::JobError;
use crate::process::{self, Ended, Group};
use crate::script;
use crate::trace::Trace;

/// What jobs inherit of the runner's environment, beside all that begins with `LC_`. The rest stays with the runner,
/// since it may hold secrets.
const INHERITED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// How the shell executor runs scripts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The shell.
    pub shell: script::Shell,
    /// How long a script may take to end after `SIGTERM`, before `SIGKILL`.
    pub kill_grace: Duration,
    /// Names of further variables of the runner's environment that jobs inherit.
    pub inherit: Vec<String>,
}

impl Default for Config {
    /// Bash, or `sh` on a machine without; ten seconds of grace.
    fn default() -> Self {
        let shell = if is_program("bash") { script::Shell::Bash } else { script::Shell::Sh };
        Self { shell, kill_grace: Duration::from_secs(10), inherit: Vec::new() }
    }
}

/// Whether the search path holds a file `name`.
pub(crate) fn is_program(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The part of the runner's environment that jobs may see.
pub(crate) fn inherited(more: &[String]) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(move |(name, _)| {
        name.to_str().is_some_and(|name| {
            INHERITED.contains(&name) || name.starts_with("LC_") || more.iter().any(|more| more == name)
        })
    })
}

/// The shell executor of one job.
#[derive(Debug)]
pub struct Shell {
    config: Config,
    /// Process groups of scripts that ended while others of the group still run.
    left: Vec<Group>,
}

impl Shell {
    pub(super) const fn new(config: Config) -> Self {
        Self { config, left: Vec::new() }
    }

    async fn run_script(
        &mut self,
        script: Script<'_>,
        trace: &Trace,
        stop: &CancellationToken,
    ) -> Result<(), JobError> {
        let shell = self.config.shell;
        let text = script::write(shell, script.commands, script.variables.is_true("CI_DEBUG_TRACE"));
        // The dot keeps it apart from the values of file variables.
        let path = script.place.temp_dir.join(format!(".{}", script.stage));
        write_private(&path, text.as_bytes()).await.map_err(|error| {
            JobError::system(format_args!("writing the script {}", path.display()), &error)
        })?;
        let mut command = Command::new(shell.program());
        command
            .arg(&path)
            .current_dir(script.place.project_dir)
            .env_clear()
            .envs(inherited(&self.config.inherit))
            .envs(script.variables.environment());
        let (ended, rest) = process::run(command, trace, stop, self.config.kill_grace)
            .await
            .map_err(|error| JobError::system(format_args!("starting {shell}"), &error))?;
        self.left.extend(rest);
        match ended {
            Ended::Exited(0) => Ok(()),
            Ended::Exited(code) => Err(JobError::Script(code)),
            Ended::Signaled(signal) => Err(JobError::Signal(signal)),
            Ended::Stopped => Err(JobError::Stopped),
        }
    }
}

/// Writes a file that only its owner can read.
pub(crate) async fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = tokio::fs::OpenOptions::from(options).open(path).await?;
    file.write_all(content).await?;
    file.flush().await
}

impl Executor for Shell {
    fn prepare<'a>(&'a mut self, _: Place<'a>, trace: &'a Trace) -> BoxFuture<'a, Result<(), JobError>> {
        trace.line(format_args!("Using Shell ({}) executor...", self.config.shell));
        async { Ok(()) }.boxed()
    }

    fn run<'a>(
        &'a mut self,
        script: Script<'a>,
        trace: &'a Trace,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<(), JobError>> {
        self.run_script(script, trace, stop).boxed()
    }

    fn cleanup(&mut self) -> BoxFuture<'_, ()> {
        async {
            for group in self.left.drain(..) {
                group.stop(self.config.kill_grace).await;
            }
        }
        .boxed()
    }
}
