//! Which older pipelines a new one makes redundant, and what is canceled of them.
//!
//! Sources: `app/services/ci/pipeline_creation/cancel_redundant_pipelines_service.rb`,
//! `app/models/ci/pipeline.rb`.

use weir_api::JobStatus::{Failed, Running, Success};
use weir_api::{PipelineSource, Timestamp};
use weir_compiler::plan::OnNewCommit;

use crate::event::Event;
use crate::state::PipelineState;

/// Older pipelines than this are left alone.
const REACH_SECS: i64 = 7 * 24 * 3600;

/// An older pipeline of the same ref and project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older<'a> {
    /// Where it came from.
    pub source: PipelineSource,
    /// When it was created; for a child pipeline, when its outermost ancestor was.
    pub created_at: Timestamp,
    /// Its commit.
    pub sha: &'a str,
}

/// Whether a pipeline of `sha`, created at `created_at`, makes an older one redundant. `head` is the commit that
/// the ref points to now.
pub fn is_redundant(older: Older<'_>, created_at: Timestamp, sha: &str, head: Option<&str>) -> bool {
    !is_dangling(older.source)
        && older.created_at < created_at
        && older.created_at.plus_secs(REACH_SECS) >= created_at
        && older.sha != sha
        && head != Some(older.sha)
}

/// Whether pipelines of this source stand apart from the commits of their ref.
///
/// Source: `dangling_sources` in `app/models/concerns/enums/ci/pipeline.rb`.
const fn is_dangling(source: PipelineSource) -> bool {
    matches!(
        source,
        PipelineSource::Webide
            | PipelineSource::OndemandDastScan
            | PipelineSource::OndemandDastValidation
            | PipelineSource::SecurityOrchestrationPolicy
            | PipelineSource::ContainerRegistryPush
            | PipelineSource::DuoWorkflow
            | PipelineSource::PipelineExecutionPolicySchedule
    )
}

/// What to apply to a redundant pipeline by its own `workflow:auto_cancel:on_new_commit`.
///
/// Conservative, the default, cancels all or nothing: nothing once a job has started that must not be
/// interrupted. Bridges never protect a pipeline.
pub fn on_new_commit(state: &PipelineState, rule: Option<OnNewCommit>) -> Option<Event> {
    match rule.unwrap_or(OnNewCommit::Conservative) {
        OnNewCommit::None => None,
        OnNewCommit::Interruptible => Some(Event::CancelInterruptible),
        OnNewCommit::Conservative => {
            let is_protected = state.jobs.iter().any(|job| {
                job.is_build() && !job.interruptible && matches!(job.status, Running | Success | Failed)
            });
            (!is_protected).then_some(Event::CancelPipeline { cascade: false })
        }
    }
}
