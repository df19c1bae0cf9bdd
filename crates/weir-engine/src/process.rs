//! Decides every created job whose predecessors have come to an end, then the stages and the pipeline.
//!
//! Sources: `app/services/ci/pipeline_processing/atomic_processing_service.rb`,
//! `app/services/ci/process_build_service.rb`.
//!
//! One pass reaches the fixed point: stages are visited in order and the jobs of a stage after those that they
//! need, and what a job waits for lies before it in this order. The pass is linear in jobs and needs.

use std::collections::HashMap;
use std::ops::Range;

use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Created, Failed, Pending, Skipped, Success};
use weir_compiler::plan::When;

use crate::state::{JobIndex, JobState, PipelineState};
use crate::status::StatusSet;
use crate::step::Step;
use crate::{delayed, resource_group};

/// What becomes of a created job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Enqueue,
    Schedule(u64),
    Actionize,
    Skip,
}

impl Verdict {
    const fn status(self) -> JobStatus {
        match self {
            Self::Enqueue => Pending,
            Self::Schedule(_) => JobStatus::Scheduled,
            Self::Actionize => JobStatus::Manual,
            Self::Skip => Skipped,
        }
    }
}

/// Decides and writes.
pub(crate) fn run(step: &mut Step<'_>) {
    let Pass { verdicts, stages, all } = Pass::over(step.state());
    for (job, verdict) in verdicts {
        match verdict {
            Verdict::Enqueue => resource_group::enqueue(step, job),
            Verdict::Schedule(start_in) => delayed::schedule(step, job, start_in),
            Verdict::Actionize | Verdict::Skip => step.transition(job, verdict.status()),
        }
    }
    for (stage, computed) in (0..).zip(stages) {
        step.write_stage(stage, computed);
    }
    step.write_pipeline(all.composite());
}

/// The outcome of one pass.
struct Pass {
    verdicts: Vec<(JobIndex, Verdict)>,
    /// The composite status of each stage.
    stages: Vec<JobStatus>,
    /// The statuses of all jobs.
    all: StatusSet,
}

impl Pass {
    fn over(state: &PipelineState) -> Self {
        // The statuses as they will be: a verdict counts at once for the jobs after it.
        let mut statuses: Vec<JobStatus> = state.jobs.iter().map(|job| job.status).collect();
        let needs = Needs::of(state);
        let mut by_stage: Vec<Vec<JobIndex>> = vec![Vec::new(); state.stages.len()];
        for (index, job) in state.latest() {
            by_stage[job.stage as usize].push(index);
        }

        let mut verdicts = Vec::new();
        let mut stages = Vec::with_capacity(by_stage.len());
        let mut earlier = StatusSet::default();
        for jobs in &by_stage {
            let set = |jobs: &[JobIndex], statuses: &[JobStatus]| -> StatusSet {
                jobs.iter().map(|&job| (statuses[job.0 as usize], state.job(job).allow_failure)).collect()
            };
            for index in in_order_of_needs(state, jobs, &needs) {
                let job = state.job(index);
                let by_needs = job.needs.is_some();
                let previous = if by_needs {
                    set(needs.job(index), &statuses).composite_of_needs()
                } else {
                    earlier.composite()
                };
                if let Some(verdict) = decide(job, previous, by_needs) {
                    statuses[index.0 as usize] = verdict.status();
                    verdicts.push((index, verdict));
                }
            }
            let stage = set(jobs, &statuses);
            stages.push(stage.composite());
            earlier = earlier.union(stage);
        }
        Self { verdicts, stages, all: earlier }
    }
}

/// The rows that each created job needs: the newest ones of the names, as far as there are any.
struct Needs {
    rows: Vec<JobIndex>,
    /// For each job, where its part of `rows` lies.
    places: Vec<Range<usize>>,
}

impl Needs {
    fn of(state: &PipelineState) -> Self {
        let mut rows = Vec::new();
        let mut places = vec![0..0; state.jobs.len()];
        let waits = |job: &JobState| job.status == Created && job.needs.is_some();
        if state.latest().any(|(_, job)| waits(job)) {
            let newest: HashMap<&str, JobIndex> =
                state.latest().map(|(index, job)| (job.name.as_str(), index)).collect();
            for (index, job) in state.latest().filter(|(_, job)| waits(job)) {
                let from = rows.len();
                let names = job.needs.as_deref().unwrap_or_default();
                rows.extend(names.iter().filter_map(|name| newest.get(name.as_str())));
                places[index.0 as usize] = from..rows.len();
            }
        }
        Self { rows, places }
    }

    fn job(&self, index: JobIndex) -> &[JobIndex] {
        &self.rows[self.places[index.0 as usize].clone()]
    }
}

/// The created jobs of one stage, each after those of them that it needs. Jobs of a cycle, which no pipeline
/// file can contain, are left out and stay created.
fn in_order_of_needs(state: &PipelineState, jobs: &[JobIndex], needs: &Needs) -> Vec<JobIndex> {
    let mut order: Vec<JobIndex> =
        jobs.iter().copied().filter(|&job| state.job(job).status == Created).collect();
    let mut missing: HashMap<JobIndex, usize> = HashMap::new();
    let mut dependents: HashMap<JobIndex, Vec<JobIndex>> = HashMap::new();
    for &job in &order {
        let stage = state.job(job).stage;
        for &needed in needs.job(job) {
            let row = state.job(needed);
            if row.stage == stage && row.status == Created {
                *missing.entry(job).or_default() += 1;
                dependents.entry(needed).or_default().push(job);
            }
        }
    }
    order.retain(|job| !missing.contains_key(job));
    let mut next = 0;
    while let Some(&job) = order.get(next) {
        next += 1;
        for dependent in dependents.remove(&job).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&dependent) {
                *count -= 1;
                if *count == 0 {
                    order.push(dependent);
                }
            }
        }
    }
    order
}

/// What becomes of a created job when what it waits for has come to `previous`; none: it goes on waiting.
fn decide(job: &JobState, previous: JobStatus, by_needs: bool) -> Option<Verdict> {
    let proceeds = match (job.when, previous) {
        (When::OnFailure, Success | Skipped) | (_, Canceled) => false,
        (When::OnFailure | When::Always, Failed) | (When::Always, Skipped) | (_, Success) => true,
        (_, Failed | Skipped) => previous == Skipped && !by_needs,
        _ => return None,
    };
    Some(match (proceeds, job.when, job.start_in) {
        (false, ..) => Verdict::Skip,
        _ if job.enqueue_immediately => Verdict::Enqueue,
        (_, When::Delayed, Some(start_in)) if !job.is_bridge() => Verdict::Schedule(start_in),
        (_, When::Delayed, None) if !job.is_bridge() => Verdict::Actionize,
        (_, When::Manual, _) => Verdict::Actionize,
        _ => Verdict::Enqueue,
    })
}
