//! Whose artifacts a job downloads.
//!
//! Source: `app/models/ci/build_dependencies.rb`.

use std::collections::HashSet;

use weir_compiler::plan::{self, Dependencies, Scheduling};

use crate::state::{JobIndex, JobState, PipelineState};

/// The jobs of this pipeline whose artifacts `job` downloads, in order of creation: of its needs those with
/// artifacts, or else all jobs of earlier stages, and of these the ones that `dependencies` names.
///
/// `definition` is what `job` was created from. Jobs without artifacts are among them.
pub fn of(state: &PipelineState, job: JobIndex, definition: &plan::Job) -> Vec<JobIndex> {
    let stage = state.job(job).stage;
    let named: Option<HashSet<&str>> = match &definition.dependencies {
        Dependencies::Default => None,
        Dependencies::Only(names) => Some(names.iter().map(String::as_str).collect()),
    };
    let needed: Option<HashSet<&str>> = match &definition.scheduling {
        Scheduling::Stage => None,
        Scheduling::Needs(needs) => {
            Some(needs.iter().filter(|need| need.artifacts).map(|need| need.job.as_str()).collect())
        }
    };
    state
        .latest()
        .filter(|(_, row)| !row.is_bridge())
        .filter(|(_, row)| match &needed {
            Some(needed) => needed.contains(row.name.as_str()),
            None => row.stage < stage,
        })
        .filter(|(_, row)| named.as_ref().is_none_or(|named| named.contains(row.name.as_str())))
        .map(|(index, _)| index)
        .collect()
}

/// Whether a job can go on with what is left of a dependency. `artifacts_expired` says that artifacts expired
/// that nothing locks; that there never were any is fine.
pub const fn is_valid(dependency: &JobState, artifacts_expired: bool) -> bool {
    dependency.erased_at.is_none() && !artifacts_expired
}
