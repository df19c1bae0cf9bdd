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
    let mut found: Vec<JobIndex> = match &definition.scheduling {
        Scheduling::Stage => {
            let stage = state.job(job).stage;
            state.latest().filter(|(_, row)| row.stage < stage).map(|(index, _)| index).collect()
        }
        Scheduling::Needs(needs) => {
            let with_artifacts: HashSet<&str> =
                needs.iter().filter(|need| need.artifacts).map(|need| need.job.as_str()).collect();
            let needed = state.jobs.needed_by(job);
            needed.filter(|index| with_artifacts.contains(state.job(*index).name.as_str())).collect()
        }
    };
    found.retain(|index| state.job(*index).is_build());
    if let Dependencies::Only(names) = &definition.dependencies {
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        found.retain(|index| names.contains(state.job(*index).name.as_str()));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a job can go on with what is left of a dependency. `artifacts_expired` says that artifacts expired
/// that nothing locks; that there never were any is fine.
pub const fn is_valid(dependency: &JobState, artifacts_expired: bool) -> bool {
    dependency.erased_at.is_none() && !artifacts_expired
}
