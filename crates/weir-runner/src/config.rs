//! How a runner is set up.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use weir_api::Secret;
use weir_api::runner::VersionInfo;

use crate::executor::{ExecutorConfig, shell};
use crate::limits;

/// How a runner is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's address, without `/api/v4`.
    pub url: String,
    /// The runner's token.
    pub token: Secret,
    /// A name for people.
    pub name: String,
    /// Which process this is among those with the same token: `s_` or `r_` and hexadecimal digits.
    pub system_id: String,
    /// The version that servers and traces are told.
    pub version: String,
    /// The commit of that version.
    pub revision: String,
    /// What runs the scripts.
    pub executor: ExecutorConfig,
    /// Where projects are checked out. Absolute.
    pub builds_dir: PathBuf,
    /// Where jobs run instead, a work tree that is already there: nothing is fetched into it, nothing removed.
    pub project_dir: Option<PathBuf>,
    /// Where caches lie. Absolute.
    pub cache_dir: PathBuf,
    /// How many jobs run at a time.
    pub concurrent: usize,
    /// Variables for all jobs; those of the job win.
    pub environment: Vec<(String, String)>,
    /// The longest trace in bytes.
    pub output_limit: usize,
    /// How long new output waits at most before it is sent. `None` leaves it to the server, which saves it requests
    /// while nobody watches. The first output of a job goes sooner in any case.
    pub trace_interval: Option<Duration>,
    /// How long the server may hear nothing of a silent job. This is also how soon a cancellation is noticed then.
    pub keep_alive: Duration,
    /// The pause after a poll that the server answered at once with no job.
    pub check_interval: Duration,
    /// The rest after three refusals in a row.
    pub unhealthy_interval: Duration,
    /// How long running jobs may go on at a shutdown.
    pub shutdown_timeout: Duration,
}

impl Config {
    /// A runner with gitlab-runner's defaults, for one job at a time in a shell, working below the folder `home`.
    ///
    /// Its system identity is new each time; a runner that should be recognised after a restart keeps its own.
    pub fn new(url: impl Into<String>, token: impl Into<Secret>, home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self {
            url: url.into(),
            token: token.into(),
            name: "weir".to_owned(),
            system_id: random_system_id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: "HEAD".to_owned(),
            executor: ExecutorConfig::Shell(shell::Config::default()),
            builds_dir: home.join("builds"),
            project_dir: None,
            cache_dir: home.join("cache"),
            concurrent: 1,
            environment: Vec::new(),
            output_limit: limits::TRACE_BYTES,
            trace_interval: None,
            keep_alive: Duration::from_secs(30),
            check_interval: Duration::from_secs(3),
            unhealthy_interval: Duration::from_hours(1),
            shutdown_timeout: Duration::from_secs(30),
        }
    }

    /// The start of the token that may be shown. Source: `helpers/shorten_token.go` of gitlab-runner.
    pub fn short_token(&self) -> &str {
        let token = self.token.expose();
        let token = token.strip_prefix("glrt-").or_else(|| token.strip_prefix("glrtr-")).unwrap_or(token);
        let token =
            ["t1_", "t2_", "t3_"].iter().find_map(|prefix| token.strip_prefix(prefix)).unwrap_or(token);
        let end = token.char_indices().nth(9).map_or(token.len(), |(index, _)| index);
        &token[..end]
    }

    /// What the runner says about itself in every call.
    pub fn info(&self) -> VersionInfo {
        VersionInfo {
            name: Some("weir".to_owned()),
            version: Some(self.version.clone()),
            revision: Some(self.revision.clone()),
            platform: Some(std::env::consts::OS.to_owned()),
            architecture: Some(architecture().to_owned()),
            executor: Some(self.executor.name().to_owned()),
            shell: Some(self.executor.shell().to_owned()),
            features: self.executor.features(),
            config: None,
            labels: None,
        }
    }
}

/// An identity for this process, in the form that gitlab-runner takes where a machine has none.
fn random_system_id() -> String {
    // The standard library's only source of randomness; uniqueness is all that matters here.
    let number = RandomState::new().hash_one(std::process::id());
    format!("r_{:012x}", number >> 16)
}

/// This machine's processor as Go names it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_start_of_a_token_is_shown() {
        for (token, short) in [
            ("glrt-t1_abcdefghijkl", "abcdefghi"),
            ("glrt-abcdefghijkl", "abcdefghi"),
            ("abc", "abc"),
            ("glrtr-abcdefghijkl", "abcdefghi"),
        ] {
            assert_eq!(Config::new("http://localhost", token, "/srv").short_token(), short);
        }
    }
}
