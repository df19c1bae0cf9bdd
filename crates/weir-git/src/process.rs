//! The `git` program: a clean environment, its own process group, bounded output, a certain end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

use crate::error::Error;
use crate::limits::{MAX_OUTPUT_BYTES, MAX_STDERR_BYTES, PROCESS_TIMEOUT};

/// Settings of every process, given by environment so that repositories of any age obey them.
const CONFIG: [(&str, &str); 34] = [
    ("safe.directory", "*"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsync", "committed,pack-metadata,reference"),
    ("core.fsyncMethod", "fsync"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.logAllRefUpdates", "false"),
    ("core.quotePath", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("diff.external", ""),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.hideRefs", "refs/keep-around"),
    ("receive.hideRefs", "refs/keep-around"),
    ("receive.hideRefs", "refs/pipelines"),
    ("receive.hideRefs", "refs/environments"),
    ("receive.hideRefs", "refs/merge-requests"),
    ("receive.advertisePushOptions", "true"),
    ("receive.advertiseAtomic", "true"),
    ("receive.autogc", "false"),
    ("receive.updateServerInfo", "false"),
    ("receive.denyDeletes", "false"),
    ("receive.denyDeleteCurrent", "ignore"),
    // A push is checked in quarantine, whose alternate is the repository itself: its references are known already.
    ("core.alternateRefsCommand", "exit 0 #"),
    ("receive.fsckObjects", "true"),
    // Old histories have these flaws; GitLab lets them in.
    ("receive.fsck.badTimezone", "ignore"),
    ("receive.fsck.missingSpaceBeforeDate", "ignore"),
    ("receive.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("pack.threads", "1"),
    ("pack.writeReverseIndex", "true"),
    ("repack.writeBitmaps", "true"),
];

/// One `git` process in the making.
pub(crate) struct Git {
    command: Command,
    name: &'static str,
    timeout: Duration,
    extra: usize,
}

impl Git {
    /// `git SUBCOMMAND` in a repository.
    pub(crate) fn new(directory: &Path, subcommand: &'static str) -> Self {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_DIR", directory)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .current_dir(directory)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .arg(subcommand);
        for (index, (key, value)) in CONFIG.iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command.env("GIT_CONFIG_COUNT", CONFIG.len().to_string());
        Self { command, name: subcommand, timeout: PROCESS_TIMEOUT, extra: 0 }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// One more setting for this process alone.
    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        let index = CONFIG.len() + self.extra;
        self.extra += 1;
        self.env(&format!("GIT_CONFIG_KEY_{index}"), key)
            .env(&format!("GIT_CONFIG_VALUE_{index}"), value)
            .env("GIT_CONFIG_COUNT", (index + 1).to_string())
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts it with standard input and output piped; the caller talks to it.
    pub(crate) fn start(mut self) -> Result<Process, Error> {
        self.command.stdin(Stdio::piped());
        Process::start(self)
    }

    /// Runs it to the end and returns what it printed.
    pub(crate) async fn output(self) -> Result<Vec<u8>, Error> {
        self.output_with_input(&[]).await
    }

    /// Runs it to the end with this input and returns what it printed.
    pub(crate) async fn output_with_input(self, input: &[u8]) -> Result<Vec<u8>, Error> {
        let (output, ended) = self.finish_with_input(input).await?;
        ended.success()?;
        Ok(output)
    }

    /// Runs it to the end and returns what it printed and how it ended.
    pub(crate) async fn finish_with_input(mut self, input: &[u8]) -> Result<(Vec<u8>, Ended), Error> {
        if !input.is_empty() {
            self.command.stdin(Stdio::piped());
        }
        let (timeout, name) = (self.timeout, self.name);
        let mut process = Process::start(self)?;
        let work = async {
            let (stdin, stdout) = (process.child.stdin.take(), process.child.stdout.take());
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A process that ends early says why by its status, not by the broken pipe.
                    let _ = stdin.write_all(input).await;
                    let _ = stdin.shutdown().await;
                }
            };
            let mut output = Vec::new();
            let read = async {
                match stdout {
                    Some(stdout) => read_bounded(stdout, &mut output).await,
                    None => Ok(()),
                }
            };
            let ((), read) = tokio::join!(feed, read);
            read?;
            Ok((output, process.wait().await?))
        };
        tokio::time::timeout(timeout, work).await.map_err(|_| Error::Timeout(name.to_owned()))?
    }
}

async fn read_bounded(reader: impl AsyncRead + Unpin, output: &mut Vec<u8>) -> Result<(), Error> {
    let limit = MAX_OUTPUT_BYTES as u64;
    let read = reader.take(limit + 1).read_to_end(output).await?;
    if read as u64 > limit { Err(Error::TooLarge { what: "output of git", limit }) } else { Ok(()) }
}

/// How a process ended.
pub(crate) struct Ended {
    command: &'static str,
    status: std::process::ExitStatus,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn success(self) -> Result<(), Error> {
        if self.status.success() { Ok(()) } else { Err(self.into_error()) }
    }

    pub(crate) fn into_error(self) -> Error {
        Error::Git {
            command: self.command.to_owned(),
            status: self.status.to_string(),
            stderr: self.stderr.trim().to_owned(),
        }
    }
}

/// A running `git`. Dropped before its end, it is killed together with its children.
pub(crate) struct Process {
    pub(crate) child: Child,
    name: &'static str,
    group: Option<rustix::process::Pid>,
    stderr: tokio::task::JoinHandle<String>,
}

impl Process {
    fn start(mut git: Git) -> Result<Self, Error> {
        let mut child = git.command.spawn()?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        let stderr = child.stderr.take();
        let stderr = tokio::spawn(async move {
            match stderr {
                Some(stderr) => first_words(stderr).await,
                None => String::new(),
            }
        });
        Ok(Self { child, name: git.name, group, stderr })
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Result<Ended, Error> {
        let status = self.child.wait().await?;
        // From here on the number may belong to another process.
        self.group = None;
        let stderr = (&mut self.stderr).await.unwrap_or_default();
        Ok(Ended { command: self.name, status, stderr })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            // It may have ended on its own.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        self.stderr.abort();
    }
}

/// Keeps the beginning of standard error and reads the rest away, so that the process never blocks on it.
async fn first_words(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let room = MAX_STDERR_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..read.min(room)).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).into_owned()
}
