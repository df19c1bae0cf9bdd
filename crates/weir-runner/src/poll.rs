//! Asks for jobs and runs them, until told to stop.
//!
//! Source: `commands/multi.go` and `commands/health.go` of gitlab-runner.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_api::id::ProjectId;
use weir_api::runner::JobPayload;

use crate::config::Config;
use crate::job::{self, Signals, Slot};
use crate::limits;
use crate::server::{Asked, Remote, Server};

/// A runner: polls its server for jobs and runs up to [`Config::concurrent`] of them at a time.
#[derive(Debug)]
pub struct Runner {
    config: Arc<Config>,
    remote: Remote,
    server: Arc<Server>,
}

/// What makes a runner impossible.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The configuration of the connection is of no use.
    #[error("the runner cannot reach its server: {0}")]
    Client(#[from] weir_client::Error),
    /// A folder is not absolute, so that jobs would not find it.
    #[error("the folder `{0}` must be an absolute path")]
    RelativeFolder(std::path::PathBuf),
}

impl Runner {
    /// A runner for the server that `config` names.
    pub fn new(config: Config) -> Result<Self, RunnerError> {
        for folder in [&config.builds_dir, &config.cache_dir].into_iter().chain(&config.project_dir) {
            if !folder.is_absolute() {
                return Err(RunnerError::RelativeFolder(folder.clone()));
            }
        }
        let remote = Remote::new(&config)?;
        let server = Arc::new(Server::Remote(remote.clone()));
        Ok(Self { config: Arc::new(config), remote, server })
    }

    /// Runs jobs until `shutdown`. Then no new ones start; running ones may end by themselves within
    /// [`Config::shutdown_timeout`], then they are interrupted and reported as such.
    pub async fn run(&self, shutdown: CancellationToken) {
        let interrupt = CancellationToken::new();
        let mut jobs = JoinSet::new();
        self.poll(&shutdown, &interrupt, &mut jobs).await;
        if timeout(self.config.shutdown_timeout, all_ended(&mut jobs)).await.is_err() {
            interrupt.cancel();
            // A server that is gone as well must not hold the runner.
            if timeout(limits::LAST_REPORT, all_ended(&mut jobs)).await.is_err() {
                jobs.shutdown().await;
            }
        }
    }

    async fn poll(
        &self,
        shutdown: &CancellationToken,
        interrupt: &CancellationToken,
        jobs: &mut JoinSet<()>,
    ) {
        let capacity = Arc::new(Semaphore::new(self.config.concurrent));
        let slots = Arc::new(Slots::default());
        let mut health = Health::default();
        let mut last_update = None;
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&capacity).acquire_owned() => permit,
                () = shutdown.cancelled() => return,
            };
            let Ok(permit) = permit else { return };
            while jobs.try_join_next().is_some() {}
            let asked_at = Instant::now();
            let asked = tokio::select! {
                asked = self.remote.request_job(&self.config, &mut last_update) => asked,
                () = shutdown.cancelled() => return,
            };
            let pause = match asked {
                Asked::Job(payload) => {
                    health = Health::default();
                    let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
                    let signals = Signals { interrupt: interrupt.clone(), ..Signals::default() };
                    let slot = slots.take(payload.job_info.project_id);
                    jobs.spawn(async move {
                        run_job(&config, &server, &payload, slot.slot, &signals).await;
                        drop(slot);
                        drop(permit);
                    });
                    continue;
                }
                Asked::Nothing => {
                    health = Health::default();
                    // A server that holds requests back is asked again at once.
                    self.config.check_interval.saturating_sub(asked_at.elapsed())
                }
                Asked::Refused(problem) => {
                    tracing::warn!(%problem, "the server refuses to give jobs");
                    health.refused(&self.config)
                }
                Asked::Failed(problem) => {
                    tracing::warn!(%problem, "asking for a job failed");
                    health.failed()
                }
            };
            drop(permit);
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn all_ended(jobs: &mut JoinSet<()>) {
    while jobs.join_next().await.is_some() {}
}

async fn run_job(config: &Config, server: &Server, payload: &JobPayload, slot: Slot, signals: &Signals) {
    tracing::info!(job = %payload.id, project = %payload.job_info.project_id, "job starts");
    match job::run(config, server, payload, slot, signals).await {
        Ok(()) => tracing::info!(job = %payload.id, "job succeeded"),
        Err(error) => tracing::info!(job = %payload.id, reason = %error, "job failed"),
    }
}

/// What went wrong lately.
#[derive(Debug, Default)]
struct Health {
    refusals: u32,
    failures: u32,
}

impl Health {
    /// Three refusals in a row make the runner rest, so that a removed runner does not burden the server.
    fn refused(&mut self, config: &Config) -> Duration {
        self.refusals += 1;
        if self.refusals < limits::UNHEALTHY_REQUESTS {
            return config.check_interval;
        }
        self.refusals = 0;
        config.unhealthy_interval
    }

    fn failed(&mut self) -> Duration {
        self.failures += 1;
        let half_seconds = 1_u64 << self.failures.saturating_sub(1).min(10);
        Duration::from_millis(500 * half_seconds).min(limits::BACKOFF)
    }
}

/// The numbers of running jobs, each the lowest that is free.
#[derive(Debug, Default)]
struct Slots(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: BTreeSet<usize>,
    by_project: HashMap<ProjectId, BTreeSet<usize>>,
}

/// A number that is free again when this is dropped.
struct TakenSlot {
    slots: Arc<Slots>,
    project: ProjectId,
    slot: Slot,
}

impl Slots {
    fn take(self: &Arc<Self>, project: ProjectId) -> TakenSlot {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = take_lowest(&mut taken.all);
        let project_id = take_lowest(taken.by_project.entry(project).or_default());
        TakenSlot { slots: Arc::clone(self), project, slot: Slot { id, project_id } }
    }
}

fn take_lowest(taken: &mut BTreeSet<usize>) -> usize {
    let free = taken
        .iter()
        .enumerate()
        .find(|(index, number)| index != *number)
        .map_or(taken.len(), |(index, _)| index);
    taken.insert(free);
    free
}

impl Drop for TakenSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all.remove(&self.slot.id);
        if let Some(numbers) = taken.by_project.get_mut(&self.project) {
            numbers.remove(&self.slot.project_id);
            if numbers.is_empty() {
                taken.by_project.remove(&self.project);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_the_lowest_free_numbers() {
        let slots = Arc::new(Slots::default());
        let numbers = |slot: &TakenSlot| (slot.slot.id, slot.slot.project_id);
        let a = slots.take(ProjectId(1));
        let b = slots.take(ProjectId(1));
        let c = slots.take(ProjectId(2));
        assert_eq!([numbers(&a), numbers(&b), numbers(&c)], [(0, 0), (1, 1), (2, 0)]);
        drop(a);
        let d = slots.take(ProjectId(2));
        assert_eq!(numbers(&d), (0, 1));
        assert_eq!(numbers(&slots.take(ProjectId(1))), (3, 0));
    }

    #[test]
    fn three_refusals_in_a_row_make_the_runner_rest() {
        let config = Config::new("http://localhost", "t", "/srv");
        let mut health = Health::default();
        let pauses: Vec<_> = (0..4).map(|_| health.refused(&config)).collect();
        let (short, long) = (config.check_interval, config.unhealthy_interval);
        assert_eq!(pauses, [short, short, long, short]);
    }

    #[test]
    fn pauses_after_failures_grow_to_a_limit() {
        let mut health = Health::default();
        let pauses: Vec<_> = (0..9).map(|_| health.failed()).collect();
        assert_eq!(pauses[..3], [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!(pauses[8], limits::BACKOFF);
    }
}
