//! The stage `get_sources`: brings the project folder to the job's commit with few runs of Git.
//!
//! Source: `writeGetSourcesScript` and what it calls in `shells/abstract.go` of gitlab-runner.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use weir_api::runner::{GitInfo, ObjectFormat};

use crate::error::JobError;
use crate::executor::Place;
use crate::executor::shell::{inherited, is_program, write_private};
use crate::limits;
use crate::process::{self, Ended};
use crate::trace::Trace;
use crate::variables::Variables;

/// How long Git may take to end when the job ends early.
const GIT_GRACE: Duration = Duration::from_secs(2);

/// Locks that a killed Git leaves behind, and the one hook that a checkout runs.
const LEFTOVERS: [&str; 5] =
    ["index.lock", "shallow.lock", "HEAD.lock", "config.lock", "hooks/post-checkout"];

/// `GIT_STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Clone,
    Fetch,
    None,
    Empty,
}

/// `GIT_SUBMODULE_STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Submodules {
    None,
    Normal,
    Recursive,
}

/// What the job's variables ask of Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) strategy: Strategy,
    checkout: bool,
    depth: u32,
    clean_flags: Vec<String>,
    fetch_flags: Vec<String>,
    submodules: Submodules,
    submodule_depth: u32,
    submodule_paths: Vec<String>,
    submodule_flags: Vec<String>,
    skip_lfs: bool,
    attempts: u64,
}

impl Settings {
    /// Reads the settings; what is not understood is warned about and ignored, as in `common/build_settings.go`.
    pub(crate) fn new(variables: &Variables, info: &GitInfo, allow_git_fetch: bool, trace: &Trace) -> Self {
        let default_strategy = if allow_git_fetch { Strategy::Fetch } else { Strategy::Clone };
        let strategy = match variables.value("GIT_STRATEGY") {
            "clone" => Strategy::Clone,
            "fetch" => Strategy::Fetch,
            "none" => Strategy::None,
            "empty" => Strategy::Empty,
            "" => default_strategy,
            other => {
                let default = if allow_git_fetch { "fetch" } else { "clone" };
                trace.warning(format_args!(
                    "GIT_STRATEGY: expected either 'clone', 'fetch', 'none' or 'empty' got {other:?}, using default value '{default}'"
                ));
                default_strategy
            }
        };
        let submodules = match variables.value("GIT_SUBMODULE_STRATEGY") {
            "" | "none" => Submodules::None,
            "normal" => Submodules::Normal,
            "recursive" => Submodules::Recursive,
            other => {
                trace.warning(format_args!(
                    "GIT_SUBMODULE_STRATEGY: expected either 'normal', 'recursive' or 'none' got {other:?}"
                ));
                Submodules::None
            }
        };
        let flags = |name: &str, default: &str| -> Vec<String> {
            let text = match variables.value(name) {
                "" => default,
                "none" => "",
                text => text,
            };
            text.split_whitespace().map(str::to_owned).collect()
        };
        let checkout =
            !matches!(variables.value("GIT_CHECKOUT"), "0" | "f" | "F" | "false" | "FALSE" | "False");
        Self {
            strategy,
            checkout: checkout && matches!(strategy, Strategy::Clone | Strategy::Fetch),
            depth: u32::try_from(info.depth).unwrap_or_default(),
            clean_flags: flags("GIT_CLEAN_FLAGS", "-ffdx"),
            fetch_flags: flags("GIT_FETCH_EXTRA_FLAGS", "--prune --quiet"),
            submodules: if matches!(strategy, Strategy::Clone | Strategy::Fetch) {
                submodules
            } else {
                Submodules::None
            },
            submodule_depth: variables
                .value("GIT_SUBMODULE_DEPTH")
                .parse()
                .unwrap_or_else(|_| u32::try_from(info.depth).unwrap_or_default()),
            submodule_paths: flags("GIT_SUBMODULE_PATHS", ""),
            submodule_flags: flags("GIT_SUBMODULE_UPDATE_FLAGS", ""),
            skip_lfs: variables.is_true("GIT_LFS_SKIP_SMUDGE"),
            attempts: variables
                .value("GET_SOURCES_ATTEMPTS")
                .parse()
                .unwrap_or(1)
                .clamp(1, limits::STAGE_TRIES),
        }
    }
}

impl Settings {
    /// Takes the project folder as it is.
    pub(crate) fn leave_alone(&mut self) {
        self.strategy = Strategy::None;
        self.checkout = false;
        self.submodules = Submodules::None;
    }
}

/// One run of the stage.
pub(crate) struct Sources<'a> {
    pub(crate) info: &'a GitInfo,
    pub(crate) settings: &'a Settings,
    pub(crate) variables: &'a Variables,
    pub(crate) place: Place<'a>,
    pub(crate) trace: &'a Trace,
    pub(crate) stop: &'a CancellationToken,
}

impl Sources<'_> {
    /// Makes the project folder what the job wants it to be.
    pub(crate) async fn get(&self) -> Result<(), JobError> {
        let folder = self.place.project_dir;
        match self.settings.strategy {
            Strategy::None => {
                self.trace.notice("Skipping Git repository setup");
                make_folder(folder).await?;
                self.trace.notice("Skipping Git checkout");
            }
            Strategy::Empty => {
                self.trace.notice("Skipping Git repository setup and creating an empty build directory");
                remove_folder(folder).await?;
                make_folder(folder).await?;
                self.trace.notice("Skipping Git checkout");
            }
            Strategy::Clone => self.attempts(true).await?,
            Strategy::Fetch => self.attempts(false).await?,
        }
        if self.settings.submodules == Submodules::None {
            self.trace.notice("Skipping Git submodules setup");
        } else {
            self.submodules().await?;
        }
        Ok(())
    }

    /// Fetches and checks out; from the second try on into a fresh folder.
    async fn attempts(&self, fresh: bool) -> Result<(), JobError> {
        let mut attempt = 1;
        loop {
            if fresh || attempt > 1 {
                remove_folder(self.place.project_dir).await?;
            }
            match self.fetch_and_check_out().await {
                Err(JobError::Script(_)) if attempt < self.settings.attempts => attempt += 1,
                result => return result,
            }
        }
    }

    async fn fetch_and_check_out(&self) -> Result<(), JobError> {
        let folder = self.place.project_dir;
        match self.settings.depth {
            0 => self.trace.notice("Fetching changes..."),
            depth => self.trace.notice(format_args!("Fetching changes with git depth set to {depth}...")),
        }
        let is_new = !folder.join(".git/HEAD").is_file();
        let config = self.write_config().await?;
        if is_new {
            let mut init = vec![OsString::from("init"), "--template=".into()];
            if self.info.repo_object_format == ObjectFormat::Sha256 {
                init.push("--object-format=sha256".into());
            }
            init.extend(["--initial-branch=none".into(), "--".into(), folder.into()]);
            make_folder(folder).await?;
            self.git(init).await?;
            let added =
                format!("{}[include]\n\tpath = {}\n", self.remote(), quoted(&config.to_string_lossy()));
            append(&folder.join(".git/config"), &added).await?;
            self.trace.notice("Created fresh repository.");
        } else {
            for name in LEFTOVERS {
                let _ = tokio::fs::remove_file(folder.join(".git").join(name)).await;
            }
            let config = tokio::fs::read_to_string(folder.join(".git/config")).await.unwrap_or_default();
            if !config.contains(&self.remote()) {
                let url = without_credentials(self.info.repo_url.expose());
                self.git(["remote", "set-url", "origin", &url].map(OsString::from)).await?;
            }
        }

        let mut fetch: Vec<OsString> =
            vec!["fetch".into(), "origin".into(), "--no-recurse-submodules".into()];
        fetch.extend(self.info.refspecs.iter().map(OsString::from));
        if self.settings.depth > 0 {
            fetch.extend(["--depth".into(), self.settings.depth.to_string().into()]);
        } else if folder.join(".git/shallow").exists() {
            fetch.push("--unshallow".into());
        }
        fetch.extend(self.settings.fetch_flags.iter().map(OsString::from));
        self.git(fetch).await?;

        if !self.settings.checkout {
            self.trace.notice("Skipping Git checkout");
            return Ok(());
        }
        let (sha, name) = (&self.info.sha, &self.info.ref_name);
        let short = sha.get(..8).unwrap_or(sha);
        self.trace.notice(format_args!("Checking out {short} as detached HEAD (ref is {name})..."));
        self.git(["-c", "submodule.recurse=false", "checkout", "-f", "-q", sha, "--"].map(OsString::from))
            .await?;
        if !is_new && !self.settings.clean_flags.is_empty() {
            let flags = self.settings.clean_flags.iter().map(OsString::from);
            self.git(std::iter::once(OsString::from("clean")).chain(flags)).await?;
        }
        if !self.settings.skip_lfs && is_program("git-lfs") {
            self.git(["lfs", "pull"].map(OsString::from)).await?;
        }
        Ok(())
    }

    async fn submodules(&self) -> Result<(), JobError> {
        let settings = self.settings;
        let is_recursive = settings.submodules == Submodules::Recursive;
        let how = if is_recursive { " recursively" } else { "" };
        match settings.submodule_depth {
            0 => self.trace.notice(format_args!("Updating/initializing submodules{how}...")),
            depth => self.trace.notice(format_args!(
                "Updating/initializing submodules{how} with git depth set to {depth}..."
            )),
        }
        let with = |words: &[&str]| -> Vec<OsString> {
            let recursive = is_recursive.then_some("--recursive");
            words.iter().copied().chain(recursive).map(OsString::from).collect()
        };
        let mut paths: Vec<OsString> = Vec::new();
        if !settings.submodule_paths.is_empty() {
            paths.push("--".into());
            paths.extend(settings.submodule_paths.iter().map(OsString::from));
        }
        self.git(["submodule", "init"].map(OsString::from)).await?;
        let mut sync = with(&["submodule", "sync"]);
        sync.extend(paths.clone());
        self.git(sync).await?;
        // Submodules do not read the configuration of the project, which holds the credentials.
        let include = format!("include.path={}", self.config_path().display());
        let mut update: Vec<OsString> = vec!["-c".into(), include.into()];
        update.extend(with(&["submodule", "update", "--init"]));
        if settings.submodule_depth > 0 {
            update.extend(["--depth".into(), settings.submodule_depth.to_string().into()]);
        }
        update.extend(settings.submodule_flags.iter().map(OsString::from));
        update.extend(paths);
        self.git(update).await?;
        self.trace.notice("Updated submodules");
        let mut clean = with(&["submodule", "foreach"]);
        clean.extend(["git", "clean"].map(OsString::from));
        let flags = if settings.clean_flags.is_empty() {
            vec!["-ffdx".to_owned()]
        } else {
            settings.clean_flags.clone()
        };
        clean.extend(flags.into_iter().map(OsString::from));
        self.git(clean).await?;
        // For Git commands of the script within submodules.
        let mut configure: Vec<OsString> =
            ["submodule", "foreach", "--quiet", "--recursive"].map(Into::into).into();
        configure.extend(["git", "config", "--replace-all", "include.path"].map(OsString::from));
        configure.push(self.config_path().into());
        self.git(configure).await
    }

    /// The remote in Git's configuration, without credentials.
    fn remote(&self) -> String {
        let url = quoted(&without_credentials(self.info.repo_url.expose()));
        format!("[remote \"origin\"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n")
    }

    fn config_path(&self) -> PathBuf {
        self.place.temp_dir.join(".git-config")
    }

    /// Writes the part of Git's configuration that holds credentials: outside of the work tree, readable for its owner
    /// only, and gone when the job ends.
    async fn write_config(&self) -> Result<PathBuf, JobError> {
        let url = self.info.repo_url.expose();
        let clean = without_credentials(url);
        let mut config = String::from(
            "[fetch]\n\trecurseSubmodules = false\n[credential]\n\tinteractive = never\n[gc]\n\tautoDetach = false\n",
        );
        if clean != url {
            let _ = write!(config, "[url {}]\n\tinsteadOf = {}\n", quoted(url), quoted(&clean));
        }
        let path = self.config_path();
        write_private(&path, config.as_bytes())
            .await
            .map_err(|error| JobError::system("writing Git's configuration", &error))?;
        Ok(path)
    }

    async fn git(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<(), JobError> {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.place.project_dir)
            .env_clear()
            .envs(inherited(&[]))
            .envs(self.variables.environment())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "Never")
            .env("GIT_LFS_SKIP_SMUDGE", "1");
        let (ended, rest) = process::run(command, self.trace, self.stop, GIT_GRACE)
            .await
            .map_err(|error| JobError::system("starting git", &error))?;
        drop(rest);
        match ended {
            Ended::Exited(0) => Ok(()),
            Ended::Exited(code) => Err(JobError::Script(code)),
            Ended::Signaled(signal) => Err(JobError::Signal(signal)),
            Ended::Stopped => Err(JobError::Stopped),
        }
    }
}

/// `text` as a value in a Git configuration file.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// `url` without the user and password before its host.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

pub(crate) async fn make_folder(folder: &Path) -> Result<(), JobError> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| JobError::system(format_args!("making the folder {}", folder.display()), &error))
}

pub(crate) async fn remove_folder(folder: &Path) -> Result<(), JobError> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(JobError::system(format_args!("removing the folder {}", folder.display()), &error))
        }
        _ => Ok(()),
    }
}

async fn append(path: &Path, text: &str) -> Result<(), JobError> {
    let append = async {
        let mut content = tokio::fs::read(path).await?;
        content.extend_from_slice(text.as_bytes());
        tokio::fs::write(path, content).await
    };
    append.await.map_err(|error| JobError::system(format_args!("writing {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_an_address() {
        for (url, clean) in [
            ("http://gitlab-ci-token:t@host:80/g/p.git", "http://host:80/g/p.git"),
            ("https://host/g/p@1.git", "https://host/g/p@1.git"),
            ("file:///srv/p.git", "file:///srv/p.git"),
            ("/srv/p.git", "/srv/p.git"),
            ("ssh://git@host/p.git", "ssh://host/p.git"),
        ] {
            assert_eq!(without_credentials(url), clean);
        }
    }

    #[test]
    fn a_configuration_value_cannot_break_out() {
        assert_eq!(quoted("a\"]\n[core]\\"), r#""a\"]\n[core]\\""#);
    }
}
