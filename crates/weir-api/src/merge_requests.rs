//! Merge requests. Source: `lib/api/entities/merge_request{_basic,}.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{MergeRequestId, ProjectId};
use crate::pipelines::{Pipeline, PipelineBasic};
use crate::status::vocabulary;
use crate::users::UserBasic;
use crate::{Extra, Timestamp, Word};

vocabulary! {
    /// Where a merge request stands. Source: `app/models/concerns/issuable.rb`.
    MergeRequestState, "merge request state" {
        /// Open.
        Opened = "opened",
        /// Closed without a merge.
        Closed = "closed",
        /// Being merged.
        Locked = "locked",
        /// Merged.
        Merged = "merged",
    }
}

vocabulary! {
    /// Whether source and target fit. Source: `app/models/merge_request.rb`.
    MergeStatus, "merge status" {
        /// Nobody has looked since they changed.
        Unchecked = "unchecked",
        /// Somebody looks.
        Checking = "checking",
        /// They do.
        CanBeMerged = "can_be_merged",
        /// They do not.
        CannotBeMerged = "cannot_be_merged",
    }
}

vocabulary! {
    /// How a project merges. Source: `app/models/project.rb`.
    MergeMethod, "merge method" {
        /// By a merge commit.
        Merge = "merge",
        /// By a merge commit, from a source branch that holds the target branch.
        RebaseMerge = "rebase_merge",
        /// By moving the target branch on.
        FastForward = "ff",
    }
}

/// A merge request in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct MergeRequestBasic {
    /// The merge request.
    pub id: MergeRequestId,
    /// Its number within the target project.
    pub iid: i64,
    /// The target project.
    pub project_id: ProjectId,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where it stands.
    pub state: Word<MergeRequestState>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// Deprecated name of `merge_user`.
    pub merged_by: Option<UserBasic>,
    /// Who merged it.
    pub merge_user: Option<UserBasic>,
    /// When it was merged.
    pub merged_at: Option<Timestamp>,
    /// Who closed it.
    pub closed_by: Option<UserBasic>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// The branch that it changes.
    pub target_branch: String,
    /// The branch that it brings.
    pub source_branch: String,
    /// Who made it.
    pub author: Option<UserBasic>,
    /// Who looks after it.
    #[serde(default)]
    pub assignees: Vec<UserBasic>,
    /// The first of them.
    pub assignee: Option<UserBasic>,
    /// Who reviews it.
    #[serde(default)]
    pub reviewers: Vec<UserBasic>,
    /// The project that it comes from; null once that is gone.
    pub source_project_id: Option<ProjectId>,
    /// The project that it changes.
    pub target_project_id: ProjectId,
    /// Labels, sorted.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether its title says that it is a draft.
    #[serde(default)]
    pub draft: bool,
    /// Deprecated name of `draft`.
    #[serde(default)]
    pub work_in_progress: bool,
    /// Whether it merges itself after its pipeline.
    #[serde(default)]
    pub merge_when_pipeline_succeeds: bool,
    /// Whether source and target fit.
    pub merge_status: Word<MergeStatus>,
    /// Why it cannot be merged now, or `mergeable`.
    #[serde(default)]
    pub detailed_merge_status: String,
    /// The newest commit of the source branch.
    pub sha: Option<String>,
    /// The merge commit.
    pub merge_commit_sha: Option<String>,
    /// Whether the merge is asked to delete the source branch.
    pub should_remove_source_branch: Option<bool>,
    /// Whether its author wants the source branch deleted by the merge.
    pub force_remove_source_branch: Option<bool>,
    /// Its short name, `!1`.
    #[serde(default)]
    pub reference: String,
    /// Its names.
    #[serde(default)]
    pub references: References,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
    /// Whether its commits become one.
    #[serde(default)]
    pub squash: bool,
    /// Whether source and target conflict.
    #[serde(default)]
    pub has_conflicts: bool,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The names of something that has a number within its project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct References {
    /// Within the project, `!1`.
    pub short: String,
    /// As seen from where it is asked for.
    pub relative: String,
    /// From everywhere, `group/project!1`.
    pub full: String,
}

/// A merge request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// What lists tell too.
    #[serde(flatten)]
    pub basic: MergeRequestBasic,
    /// How many files it changes, as a text; null if unknown.
    pub changes_count: Option<String>,
    /// When its newest pipeline began.
    pub latest_build_started_at: Option<Timestamp>,
    /// When its newest pipeline ended.
    pub latest_build_finished_at: Option<Timestamp>,
    /// Deprecated form of `head_pipeline`.
    pub pipeline: Option<PipelineBasic>,
    /// The newest pipeline of its newest commit.
    pub head_pipeline: Option<Pipeline>,
    /// What is compared.
    pub diff_refs: Option<DiffRefs>,
    /// Why the last merge failed.
    pub merge_error: Option<String>,
    /// What the caller may do.
    pub user: MergeRequestUser,
}

/// What a merge request compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRefs {
    /// The newest commit that both branches have.
    pub base_sha: Option<String>,
    /// The newest commit of the source branch.
    pub head_sha: Option<String>,
    /// The commit of the target branch with which the comparison began.
    pub start_sha: Option<String>,
}

/// What the caller may do with a merge request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRequestUser {
    /// Merge it.
    pub can_merge: bool,
}

crate::inherits!(MergeRequest => basic: MergeRequestBasic);
