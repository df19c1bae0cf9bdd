//! Resource groups: jobs of one group, over all pipelines of a project, run one at a time.
//!
//! A pipeline's state does not know who holds the resource: a job of a group asks for it
//! ([`Effect::RequestResource`]), and goes on when it is given ([`crate::Event::ResourceGranted`]). Whoever gives it
//! asks [`next`] for whom it is.
//!
//! Source: `app/models/ci/resource_group.rb`.

use weir_api::JobStatus::{Created, Pending, Scheduled, WaitingForResource};
use weir_api::id::{JobId, PipelineId};
use weir_api::{JobStatus, ProcessMode};

use crate::effect::Effect;
use crate::event::Refused;
use crate::state::JobIndex;
use crate::step::Step;

/// A job of a group, as far as its turn depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The job.
    pub job: JobId,
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Its status.
    pub status: JobStatus,
}

/// The statuses of the jobs that a free resource may be for. Where the order is strict, it is kept for jobs whose
/// time has not come.
pub const fn candidates(mode: ProcessMode) -> &'static [JobStatus] {
    match mode {
        ProcessMode::Unordered | ProcessMode::NewestReadyFirst => &[WaitingForResource],
        ProcessMode::OldestFirst | ProcessMode::NewestFirst => &[WaitingForResource, Created, Scheduled],
    }
}

/// Whether newer pipelines come first.
pub const fn is_newest_first(mode: ProcessMode) -> bool {
    matches!(mode, ProcessMode::NewestFirst | ProcessMode::NewestReadyFirst)
}

/// The jobs of a group in the order in which they are to run, without those that have run. In one pipeline, those that
/// are ready come first.
pub fn upcoming(mode: ProcessMode, mut jobs: Vec<Candidate>) -> Vec<Candidate> {
    jobs.retain(|it| candidates(mode).contains(&it.status));
    jobs.sort_unstable_by_key(|it| {
        let pipeline = match mode {
            ProcessMode::Unordered => 0,
            _ if is_newest_first(mode) => -it.pipeline.0,
            _ => it.pipeline.0,
        };
        (pipeline, it.status != WaitingForResource, it.job)
    });
    jobs
}

/// For whom a free resource is. None if nobody waits, or if the job whose turn it is cannot run yet: the resource stays
/// free for it.
pub fn next(mode: ProcessMode, jobs: Vec<Candidate>) -> Option<Candidate> {
    upcoming(mode, jobs).into_iter().next().filter(|it| it.status == WaitingForResource)
}

/// Lets a job wait for its runner; one of a group waits for the resource first.
pub(crate) fn enqueue(step: &mut Step<'_>, job: JobIndex) {
    if step.state().job(job).resource_group.is_some() {
        step.transition(job, WaitingForResource);
        step.effect(Effect::RequestResource(job));
    } else {
        step.transition(job, Pending);
    }
}

/// The job has the resource.
pub(crate) fn granted(step: &mut Step<'_>, job: JobIndex) -> Result<(), Refused> {
    let row = step.find(job)?;
    if row.status != WaitingForResource {
        return Err(Refused::Status(row.status));
    }
    step.transition(job, Pending);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProcessMode::{NewestFirst, NewestReadyFirst, OldestFirst, Unordered};

    /// `1c 2w` is job 1 of pipeline 1, created, and job 2 of pipeline 2, waiting.
    fn jobs(text: &str) -> Vec<Candidate> {
        (1..)
            .zip(text.split_whitespace())
            .map(|(job, text)| {
                let (pipeline, status) = text.split_at(text.len() - 1);
                let status = match status {
                    "w" => WaitingForResource,
                    "c" => Created,
                    "s" => Scheduled,
                    "m" => JobStatus::Manual,
                    "r" => JobStatus::Running,
                    other => panic!("no status {other}"),
                };
                Candidate { job: JobId(job), pipeline: PipelineId(pipeline.parse().unwrap()), status }
            })
            .collect()
    }

    #[test]
    fn the_mode_says_whose_turn_it_is() {
        for (mode, group, turn) in [
            (Unordered, "", None),
            (Unordered, "1c 2w 3w", Some(2)),
            (Unordered, "3w 1w", Some(1)),
            (Unordered, "1c 2s 3m", None),
            (OldestFirst, "3w 1w 2w", Some(2)),
            (OldestFirst, "1c 2w", None),
            (OldestFirst, "2w 1s", None),
            (OldestFirst, "1m 2w", Some(2)),
            (OldestFirst, "1r 2w", Some(2)),
            (OldestFirst, "1c 1w 2w", Some(2)),
            (NewestFirst, "1w 3w 2w", Some(2)),
            (NewestFirst, "1w 2c", None),
            (NewestFirst, "1w 2s", None),
            (NewestFirst, "1w 2c 2w", Some(3)),
            (NewestReadyFirst, "1w 2c", Some(1)),
            (NewestReadyFirst, "1w 2w 3c", Some(2)),
            (NewestReadyFirst, "1c 2s", None),
        ] {
            let turn = turn.map(JobId);
            assert_eq!(next(mode, jobs(group)).map(|it| it.job), turn, "{mode} among {group}");
        }
    }

    #[test]
    fn upcoming_jobs_are_in_the_order_of_the_mode() {
        for (mode, expected) in [
            (Unordered, vec![2, 5]),
            (OldestFirst, vec![2, 1, 3, 5, 4]),
            (NewestFirst, vec![5, 4, 2, 1, 3]),
            (NewestReadyFirst, vec![5, 2]),
        ] {
            let order = upcoming(mode, jobs("1c 1w 1s 2c 2w 2m 2r"));
            assert_eq!(order.iter().map(|it| it.job.0).collect::<Vec<_>>(), expected, "{mode}");
        }
    }
}
