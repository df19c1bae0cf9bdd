//! Decides every created job whose predecessors have come to an end, then the stages and the pipeline.
//!
//! Sources: `app/services/ci/pipeline_processing/atomic_processing_service.rb`,
//! `app/services/ci/process_build_service.rb`.
//!
//! One pass reaches the fixed point: stages are visited in order and the jobs of a stage after those that they
//! need, and what a job waits for lies before it in this order. The pass looks only at jobs that can be decided,
//! and at one number for each stage.

use weir_api::JobStatus;
use weir_api::JobStatus::{Canceled, Failed, Manual, Skipped, Success};
use weir_compiler::plan::When;

use crate::state::JobIndex;
use crate::status::{self, StatusSet};
use crate::step::Step;
use crate::{delayed, resource_group};

/// Decides and writes.
pub(crate) fn run(step: &mut Step<'_>) {
    let stages = 0..u32::try_from(step.state().stages.len()).unwrap_or(u32::MAX);
    let mut earlier = StatusSet::default();
    for stage in stages.clone() {
        let previous = earlier.composite();
        if status::is_completed(previous) {
            let waiting: Vec<JobIndex> = step.state().jobs.waiting_in_stage(stage).collect();
            for job in waiting {
                decide(step, job, previous);
            }
        }
        while let Some(job) = step.state().jobs.next_decidable(stage) {
            decide(step, job, step.state().jobs.status_of_needs(job));
        }
        earlier = earlier.union(step.state().jobs.statuses_of_stage(stage));
    }
    for stage in stages {
        let computed = step.state().jobs.statuses_of_stage(stage).composite();
        step.write_stage(stage, computed);
    }
    step.write_pipeline(earlier.composite());
}

/// A created job goes on or is skipped, now that what it waits for has come to `previous`: to an end.
fn decide(step: &mut Step<'_>, job: JobIndex, previous: JobStatus) {
    let row = step.state().job(job);
    let proceeds = match row.when {
        When::OnFailure => previous == Failed,
        When::Always => previous != Canceled,
        _ => previous == Success || previous == Skipped && row.needs.is_none(),
    };
    match (row.when, row.start_in) {
        _ if !proceeds => step.transition(job, Skipped),
        _ if row.enqueue_immediately => resource_group::enqueue(step, job),
        (When::Delayed, Some(start_in)) if !row.is_bridge() => delayed::schedule(step, job, start_in),
        (When::Delayed, None) if !row.is_bridge() => step.transition(job, Manual),
        (When::Manual, _) => step.transition(job, Manual),
        _ => resource_group::enqueue(step, job),
    }
}
