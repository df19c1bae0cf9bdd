//! One job from its payload to its result.
//!
//! The stages, their order, their texts and what follows from their failure are those of `common/build.go` of
//! gitlab-runner.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_api::runner::{Dependency, JobPayload, Step};

use crate::artifacts::{self, Transfer};
use crate::cache::{self, Caches};
use crate::config::Config;
use crate::error::JobError;
use crate::executor::shell::write_private;
use crate::executor::{Executor, Place, Script};
use crate::limits;
use crate::mask::Masker;
use crate::send::Sender;
use crate::server::{Credentials, Server};
use crate::sources::{self, Settings, Sources, Strategy};
use crate::trace::Trace;
use crate::variables::{self, ENV_FILE, Variables};

/// How others end a job early.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The user canceled it: the script stops, `after_script` still runs.
    pub cancel: CancellationToken,
    /// The server no longer wants it: all stops, nothing is reported.
    pub abort: CancellationToken,
    /// The runner shuts down: all stops, and is reported.
    pub interrupt: CancellationToken,
}

/// Which of several jobs at a time this one is; decides on its folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slot {
    /// Among all jobs of the runner (`CI_CONCURRENT_ID`).
    pub id: usize,
    /// Among the runner's jobs of the same project (`CI_CONCURRENT_PROJECT_ID`).
    pub project_id: usize,
}

/// Runs a job and reports it to `server`. `Ok` is success.
pub async fn run(
    config: &Config,
    server: &Server,
    payload: &JobPayload,
    slot: Slot,
    signals: &Signals,
) -> Result<(), JobError> {
    let secrets = std::iter::once(payload.token.expose());
    let masker = Masker::new(secrets, &payload.features.token_mask_prefixes);
    let trace = Arc::new(Trace::new(masker, config.output_limit, payload.features.trace_sections));
    let credentials = Credentials { id: payload.id, token: payload.token.clone() };
    let (told, outcome) = oneshot::channel();
    let sender = Sender {
        server,
        credentials: &credentials,
        trace: &trace,
        signals,
        config,
        known_reasons: &payload.features.failure_reasons,
        debug_trace: last_value(payload, "CI_DEBUG_TRACE") == Some("true"),
    };
    let job = async {
        let result = Job::new(config, server, payload, slot, signals, &credentials, &trace).run().await;
        match &result {
            Ok(()) => trace.notice("Job succeeded"),
            Err(error @ JobError::System(_)) => {
                trace.error(format_args!("Job failed (system failure): {error}"));
            }
            Err(error) => trace.error(format_args!("Job failed: {error}")),
        }
        // The sender ends only after it was told, so there is somebody to tell.
        let _ = told.send(result.clone());
        trace.finish();
        result
    };
    let (result, ()) = tokio::join!(job, sender.run(outcome));
    result
}

struct Job<'a> {
    config: &'a Config,
    server: &'a Server,
    payload: &'a JobPayload,
    signals: &'a Signals,
    credentials: &'a Credentials,
    trace: &'a Arc<Trace>,
    project_dir: PathBuf,
    temp_dir: PathBuf,
    cache_dir: PathBuf,
    variables: Variables,
    timeout: Duration,
    /// Ends everything.
    stop: CancellationToken,
    /// Ends the script, a part of everything.
    stop_script: CancellationToken,
    /// Whether a cancellation ends only the script.
    is_in_script: AtomicBool,
}

impl<'a> Job<'a> {
    fn new(
        config: &'a Config,
        server: &'a Server,
        payload: &'a JobPayload,
        slot: Slot,
        signals: &'a Signals,
        credentials: &'a Credentials,
        trace: &'a Arc<Trace>,
    ) -> Self {
        let project = project_path(payload);
        let mut folder =
            config.builds_dir.join(config.short_token()).join(slot.project_id.to_string()).join(&project);
        if last_value(payload, "GIT_STRATEGY") == Some("empty") {
            folder.as_mut_os_string().push("-empty");
        }
        let mut temp_dir = folder.clone();
        temp_dir.as_mut_os_string().push(".tmp");
        let seconds = u64::try_from(payload.runner_info.timeout).unwrap_or_default();
        let timeout = if seconds == 0 { limits::JOB_TIMEOUT } else { Duration::from_secs(seconds) };
        let project_dir = config.project_dir.clone().unwrap_or(folder);
        let variables = Variables::new(
            variables::of_job(config, payload, slot, &project_dir, &temp_dir, timeout),
            &temp_dir,
        );
        let stop = CancellationToken::new();
        Self {
            config,
            server,
            payload,
            signals,
            credentials,
            trace,
            cache_dir: config.cache_dir.join(&project),
            project_dir,
            temp_dir,
            variables,
            timeout,
            stop_script: stop.child_token(),
            stop,
            is_in_script: AtomicBool::new(false),
        }
    }

    /// Runs the stages until they end, or until something outside of them ends them.
    async fn run(&self) -> Result<(), JobError> {
        let secrets = self.variables.masked().chain(std::iter::once(self.payload.token.expose()));
        self.trace.set_masker(Masker::new(secrets, &self.payload.features.token_mask_prefixes));
        let config = self.config;
        self.trace.line(format_args!("Running with weir {} ({})", config.version, config.revision));
        let (name, token, system_id) = (&config.name, config.short_token(), &config.system_id);
        self.trace.line(format_args!("  on {name} {token}, system ID: {system_id}"));

        let deadline = Instant::now() + self.timeout;
        let mut executor = config.executor.create();
        let result = {
            let stages = self.stages(&mut *executor);
            tokio::pin!(stages);
            let cause = tokio::select! {
                result = &mut stages => Ok(result),
                cause = self.ended_from_outside(deadline) => Err(cause),
            };
            match cause {
                Ok(result) => result,
                Err(cause) => {
                    self.stop.cancel();
                    // The stages end soon, since all that they wait for has been told to stop.
                    let _ = stages.await;
                    if matches!(cause, JobError::Timeout(_)) {
                        self.warn_of_timeout("Job");
                    }
                    Err(cause)
                }
            }
        };
        executor.cleanup().await;
        // Again, for a job that ended early.
        let _ = sources::remove_folder(&self.temp_dir).await;
        result
    }

    fn warn_of_timeout(&self, what: &str) {
        self.trace.warning(format_args!(
            "{what} could not run to completion because the timeout was exceeded. For more control over job and script \
             timeouts see: \
             https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts"
        ));
    }

    async fn ended_from_outside(&self, deadline: Instant) -> JobError {
        let canceled = async {
            self.signals.cancel.cancelled().await;
            if self.is_in_script.load(Ordering::SeqCst) {
                self.stop_script.cancel();
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = canceled => JobError::Canceled,
            () = self.signals.abort.cancelled() => JobError::Aborted,
            () = self.signals.interrupt.cancelled() => JobError::Interrupted,
            () = tokio::time::sleep_until(deadline) => JobError::Timeout(self.timeout),
        }
    }

    fn place(&self) -> Place<'_> {
        Place { project_dir: &self.project_dir, temp_dir: &self.temp_dir }
    }

    /// Runs `work` as a section of the trace.
    async fn section<T>(
        &self,
        name: &str,
        title: &str,
        work: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, JobError> {
        if self.stop.is_cancelled() {
            return Err(JobError::Stopped);
        }
        self.trace.section_start(name, title);
        let result = work.await;
        self.trace.section_end(name);
        result
    }

    /// As [`Job::section`], for work that waits for others and not for processes: it ends at once when the job does.
    async fn stoppable_section(
        &self,
        name: &str,
        title: &str,
        work: impl Future<Output = Result<(), JobError>>,
    ) -> Result<(), JobError> {
        self.section(name, title, async {
            tokio::select! {
                result = work => result,
                () = self.stop.cancelled() => Err(JobError::Stopped),
            }
        })
        .await
    }

    /// Refuses what the job asks for and this runner does not have.
    fn check(&self) -> Result<(), JobError> {
        let unsupported = |what: &str| Err(JobError::Configuration(what.to_owned()));
        if self.payload.run.as_ref().is_some_and(|run| !matches!(run.trim(), "" | "null" | "[]")) {
            return unsupported("the job has `run` steps, which this runner does not support; use `script`");
        }
        if !self.variables.value("GIT_CLONE_PATH").is_empty() {
            return unsupported("setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature");
        }
        Ok(())
    }

    async fn stages(&self, executor: &mut dyn Executor) -> Result<(), JobError> {
        self.check()?;
        let name = self.config.executor.name();
        let title = format!("Preparing the \"{name}\" executor");
        self.section("prepare_executor", &title, async { executor.prepare(self.place(), self.trace).await })
            .await?;
        self.section("prepare_script", "Preparing environment", self.prepare_environment()).await?;

        let mut result = self.get_sources(executor).await;
        let transfer = Transfer {
            server: self.server,
            credentials: self.credentials,
            variables: &self.variables,
            place: self.place(),
            trace: self.trace,
        };
        let info = &self.payload.job_info;
        let default_key = format!("{}/{}", info.name, self.payload.git_info.ref_name);
        let caches = Caches { transfer: &transfer, folder: &self.cache_dir, default_key };
        if result.is_ok() && self.payload.cache.iter().any(cache::names_files) {
            let work = caches.restore(&self.payload.cache);
            result = self.stoppable_section("restore_cache", "Restoring cache", work).await;
        }
        let dependencies: Vec<&Dependency> =
            self.payload.dependencies.iter().filter(|job| job.artifacts_file.is_some()).collect();
        if result.is_ok() && !dependencies.is_empty() {
            let work = transfer.download(&dependencies);
            result = self.stoppable_section("download_artifacts", "Downloading artifacts", work).await;
        }
        if result.is_ok() {
            result = self.user_scripts(executor).await;
        }

        let is_success = result.is_ok();
        let after = if is_success { ("", "successful") } else { ("_on_failure", "failed") };
        let mut saved = Ok(());
        if self
            .payload
            .cache
            .iter()
            .any(|c| artifacts::is_due(c.when.known(), is_success) && cache::names_files(c))
        {
            let (name, title) =
                (format!("archive_cache{}", after.0), format!("Saving cache for {} job", after.1));
            let work = caches.save(&self.payload.cache, is_success);
            saved = self.stoppable_section(&name, &title, work).await;
        }
        let uploaded = self.upload(&transfer, is_success).await;
        let title = "Cleaning up project directory and file based variables";
        let cleaned =
            self.section("cleanup_file_variables", title, sources::remove_folder(&self.temp_dir)).await;
        if let Err(error) = cleaned {
            tracing::warn!(job = %self.payload.id, %error, "cleaning up failed");
        }
        result.and(saved).and(uploaded)
    }

    async fn prepare_environment(&self) -> Result<(), JobError> {
        sources::remove_folder(&self.temp_dir).await?;
        sources::make_folder(&self.temp_dir).await?;
        for (path, content) in self.variables.files() {
            write_private(&path, content.as_bytes())
                .await
                .map_err(|error| JobError::system(format_args!("writing {}", path.display()), &error))?;
        }
        let system = rustix::system::uname();
        self.trace.write(format!("Running on {}...\n", system.nodename().to_string_lossy()).as_bytes());
        Ok(())
    }

    async fn get_sources(&self, executor: &mut dyn Executor) -> Result<(), JobError> {
        let info = &self.payload.git_info;
        let mut settings = Settings::new(&self.variables, info, self.payload.allow_git_fetch, self.trace);
        if self.config.project_dir.is_some() {
            settings.leave_alone();
        }
        let sources = Sources {
            info,
            settings: &settings,
            variables: &self.variables,
            place: self.place(),
            trace: self.trace,
            stop: &self.stop,
        };
        self.section("get_sources", "Getting source from Git repository", async {
            let has_hooks = matches!(settings.strategy, Strategy::Clone | Strategy::Fetch);
            if has_hooks {
                sources::make_folder(&self.project_dir).await?;
                self.hook(executor, "pre_get_sources_script").await?;
            }
            sources.get().await?;
            if has_hooks {
                self.hook(executor, "post_get_sources_script").await?;
            }
            Ok(())
        })
        .await
    }

    async fn hook(&self, executor: &mut dyn Executor, name: &str) -> Result<(), JobError> {
        let Some(hook) = self.payload.hooks.iter().find(|hook| hook.name == name && !hook.script.is_empty())
        else {
            return Ok(());
        };
        self.script(executor, name, &hook.script, &self.variables, &self.stop).await
    }

    /// Runs one script with what earlier scripts wrote to `GITLAB_ENV`.
    async fn script(
        &self,
        executor: &mut dyn Executor,
        stage: &str,
        commands: &[String],
        variables: &Variables,
        stop: &CancellationToken,
    ) -> Result<(), JobError> {
        let mut variables = variables.clone();
        let written = tokio::fs::read_to_string(self.temp_dir.join(ENV_FILE)).await.unwrap_or_default();
        for (key, value) in written.lines().filter_map(|line| line.split_once('=')) {
            variables.set(key, value);
        }
        let script = Script { stage, commands, variables: &variables, place: self.place() };
        executor.run(script, self.trace, stop).await
    }

    async fn user_scripts(&self, executor: &mut dyn Executor) -> Result<(), JobError> {
        self.is_in_script.store(true, Ordering::SeqCst);
        let script_timeout = self.stage_timeout("RUNNER_SCRIPT_TIMEOUT", None);
        let after_timeout =
            self.stage_timeout("RUNNER_AFTER_SCRIPT_TIMEOUT", Some(limits::AFTER_SCRIPT_TIMEOUT));

        let is_after = |step: &&Step| step.name == "after_script";
        let steps = self.payload.steps.iter().filter(|step| !is_after(step));
        let script = async {
            for step in steps {
                let stage = format!("step_{}", step.name.to_lowercase());
                let title = format!("Executing \"{stage}\" stage of the job script");
                let mut commands = step.script.clone();
                if step.name == "release" {
                    for command in &mut commands {
                        *command = self.variables.expand(command);
                    }
                }
                let run = self.script(executor, &stage, &commands, &self.variables, &self.stop_script);
                self.section(&stage, &title, run).await?;
            }
            Ok(())
        };
        let (mut result, is_late) = with_timeout(script, script_timeout, &self.stop_script).await;
        if self.stop.is_cancelled() {
            return Err(JobError::Stopped);
        }
        if is_late {
            self.warn_of_timeout("step_script");
            result = Err(JobError::ScriptTimeout);
        } else if self.signals.cancel.is_cancelled() {
            self.trace.warning("script canceled externally (UI, API)");
            result = Err(JobError::Canceled);
        }

        let Some(step) = self.payload.steps.iter().find(is_after).filter(|step| !step.script.is_empty())
        else {
            return result;
        };
        let mut variables = self.variables.clone();
        variables.set(
            "CI_JOB_STATUS",
            match &result {
                Ok(()) => "success",
                Err(JobError::Canceled) => "canceled",
                Err(JobError::ScriptTimeout) => "timedout",
                Err(_) => "failed",
            },
        );
        let stop = self.stop.child_token();
        let after = self.section("after_script", "Running after_script", async {
            self.trace.notice("Running after script...");
            self.script(executor, "after_script", &step.script, &variables, &stop).await
        });
        let (after, is_late) = with_timeout(after, after_timeout, &stop).await;
        if is_late {
            self.warn_of_timeout("after_script");
        }
        let ignores =
            !matches!(self.variables.value("AFTER_SCRIPT_IGNORE_ERRORS"), "false" | "FALSE" | "False" | "0");
        match after {
            Err(error) if !self.stop.is_cancelled() && ignores => {
                self.trace
                    .warning(format_args!("after_script failed, but job will continue unaffected: {error}"));
                result
            }
            Err(error) => result.and(Err(error)),
            Ok(()) => result,
        }
    }

    /// The time that a variable allows a script, in Go's notation.
    fn stage_timeout(&self, name: &str, default: Option<Duration>) -> Option<Duration> {
        let text = self.variables.value(name);
        if text.trim().is_empty() {
            return default;
        }
        match go_duration(text) {
            None => self.trace.warning(format_args!("Ignoring malformed {name} timeout: {text}")),
            Some(duration) if duration > self.timeout => self.trace.warning(format_args!(
                "{name} timeout: {text} is longer than job timeout. Setting to job timeout"
            )),
            Some(duration) if !duration.is_zero() => return Some(duration),
            Some(_) => {}
        }
        default
    }

    async fn upload(&self, transfer: &Transfer<'_>, is_success: bool) -> Result<(), JobError> {
        let due: Vec<_> = self
            .payload
            .artifacts
            .iter()
            .filter(|artifact| {
                artifacts::is_due(artifact.when.known(), is_success) && artifacts::names_files(artifact)
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let (name, title) = if is_success {
            ("upload_artifacts_on_success", "Uploading artifacts for successful job")
        } else {
            ("upload_artifacts_on_failure", "Uploading artifacts for failed job")
        };
        self.stoppable_section(name, title, async {
            for artifact in due {
                transfer.upload(artifact).await?;
            }
            Ok(())
        })
        .await
    }
}

/// Runs `work`, which ends soon after `stop`; the second value says whether `timeout` ended it.
async fn with_timeout<T>(
    work: impl Future<Output = T>,
    timeout: Option<Duration>,
    stop: &CancellationToken,
) -> (T, bool) {
    tokio::pin!(work);
    let Some(timeout) = timeout else { return (work.await, false) };
    if let Ok(result) = tokio::time::timeout(timeout, &mut work).await {
        return (result, false);
    }
    stop.cancel();
    (work.await, true)
}

/// A duration as Go reads it: `1h30m`, `90s`, `1.5h`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The value of a variable as the server gave it.
fn last_value<'a>(payload: &'a JobPayload, key: &str) -> Option<&'a str> {
    payload
        .variables
        .iter()
        .rev()
        .find(|variable| variable.key == key)
        .map(|variable| variable.value.as_str())
}

/// The project's path below the builds folder. Source: `ProjectSlug` of gitlab-runner.
fn project_path(payload: &JobPayload) -> String {
    let is_safe = |path: &str| {
        !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    };
    let url = sources::without_credentials(payload.git_info.repo_url.expose());
    let from_url = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .filter(|_| !url.starts_with("file:"))
        .map(|(_, path)| path.trim_end_matches('/').trim_end_matches(".git").to_owned());
    from_url
        .filter(|path| is_safe(path))
        .or_else(|| Some(payload.job_info.project_full_path.clone()).filter(|path| is_safe(path)))
        .unwrap_or_else(|| format!("project-{}", payload.job_info.project_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, duration) in [
            ("1h", Some(3600.0)),
            ("1h30m", Some(5400.0)),
            ("1.5m", Some(90.0)),
            ("250ms", Some(0.25)),
            ("0", Some(0.0)),
            ("10", None),
            ("1 day", None),
            ("-1h", None),
        ] {
            assert_eq!(go_duration(text), duration.map(Duration::from_secs_f64), "{text}");
        }
    }
}
