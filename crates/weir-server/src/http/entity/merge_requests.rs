//! Merge requests.

use serde_json::{Value, json};
use weir_api::merge_requests::{DiffRefs, MergeRequest, MergeRequestBasic, MergeRequestUser, References};
use weir_api::{Extra, JobStatus, MergeRequestState, MergeStatus, Word};

use super::{pipelines, users};
use crate::app::merge_requests::{Obstacle, View, is_draft};
use crate::app::pipelines::PipelineDetails;
use crate::ctx::Ctx;

/// The form in lists.
pub fn basic(ctx: &Ctx, view: &View) -> MergeRequestBasic {
    let request = &view.request;
    let person = |id| view.person(id).map(|user| users::basic(ctx, user));
    let draft = is_draft(&request.title);
    let short = format!("!{}", request.iid);
    let merged_by = person(request.merged_by);
    let assignee = person(request.assignee_id);
    let mut labels = request.labels.clone();
    labels.sort();
    MergeRequestBasic {
        id: request.id,
        iid: request.iid,
        project_id: request.target_project_id,
        title: request.title.clone(),
        description: request.description.clone(),
        state: Word::Known(request.state),
        created_at: Some(request.created_at),
        updated_at: Some(request.updated_at),
        merged_by: merged_by.clone(),
        merge_user: merged_by,
        merged_at: request.merged_at,
        closed_by: person(request.closed_by),
        closed_at: request.closed_at,
        target_branch: request.target_branch.clone(),
        source_branch: request.source_branch.clone(),
        author: person(request.author_id),
        assignees: assignee.iter().cloned().collect(),
        assignee,
        reviewers: Vec::new(),
        source_project_id: request.source_project_id,
        target_project_id: request.target_project_id,
        labels,
        draft,
        work_in_progress: draft,
        merge_when_pipeline_succeeds: false,
        merge_status: Word::Known(request.merge_status),
        detailed_merge_status: detailed_merge_status(view).to_owned(),
        sha: Some(request.sha.clone()),
        merge_commit_sha: request.merge_commit_sha.clone(),
        should_remove_source_branch: None,
        force_remove_source_branch: Some(request.remove_source_branch),
        reference: short.clone(),
        references: References {
            relative: short.clone(),
            full: format!("{}{short}", view.target.full_path),
            short,
        },
        web_url: ctx.url(&format!("/{}/-/merge_requests/{}", view.target.full_path, request.iid)),
        squash: false,
        has_conflicts: request.merge_status == MergeStatus::CannotBeMerged,
        extra: extra(),
    }
}

/// Whether and why not it can be merged. Source: `app/services/merge_requests/mergeability/detailed_merge_status_service.rb`.
pub fn detailed_merge_status(view: &View) -> &'static str {
    match view.obstacle() {
        Some(Obstacle::NotOpen) => "not_open",
        Some(Obstacle::Draft) => "draft_status",
        Some(Obstacle::Pipeline) => "ci_must_pass",
        Some(Obstacle::PipelineRuns) => "ci_still_running",
        Some(Obstacle::Conflict) => "conflict",
        _ if view.request.merge_status == MergeStatus::Unchecked => "unchecked",
        Some(Obstacle::NeedsRebase) => "need_rebase",
        None => "mergeable",
    }
}

/// The whole.
pub fn full(ctx: &Ctx, view: &View) -> MergeRequest {
    let request = &view.request;
    let head = view.head_pipeline.as_ref();
    MergeRequest {
        basic: basic(ctx, view),
        changes_count: None,
        latest_build_started_at: head.and_then(|(_, pipeline)| pipeline.started_at),
        latest_build_finished_at: head.and_then(|(_, pipeline)| pipeline.finished_at),
        pipeline: head.map(|(project, pipeline)| pipelines::basic(ctx, project, pipeline)),
        head_pipeline: head.map(|(project, pipeline)| {
            let details = PipelineDetails {
                warnings: pipeline.status == JobStatus::Success && view.warnings,
                user: view.person(pipeline.user_id).cloned(),
                pipeline: pipeline.clone(),
                coverage: None,
            };
            pipelines::full(ctx, project, &details)
        }),
        diff_refs: Some(DiffRefs {
            base_sha: request.base_sha.clone(),
            head_sha: Some(request.sha.clone()),
            start_sha: request.base_sha.clone(),
        }),
        merge_error: None,
        user: MergeRequestUser { can_merge: view.can_merge && request.state == MergeRequestState::Opened },
    }
}

/// What is the same for every merge request here.
fn extra() -> Extra {
    let constants = json!({
        "user_notes_count": 0,
        "upvotes": 0,
        "downvotes": 0,
        "imported": false,
        "imported_from": "none",
        "milestone": null,
        "merge_after": null,
        "squash_commit_sha": null,
        "discussion_locked": null,
        "prepared_at": null,
        "time_stats": {
            "time_estimate": 0, "total_time_spent": 0, "human_time_estimate": null,
            "human_total_time_spent": null,
        },
        "squash_on_merge": false,
        "task_completion_status": { "count": 0, "completed_count": 0 },
        "blocking_discussions_resolved": true,
        "approvals_before_merge": null,
    });
    match constants {
        Value::Object(map) => map,
        _ => Extra::default(),
    }
}
