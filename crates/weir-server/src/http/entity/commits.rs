//! Commits.

use weir_api::Word;
use weir_api::commits::{CommitDetail, CommitRef, CommitStats};
use weir_git::RefName;
use weir_store::projects::Project;

use super::pipelines;
use crate::app::commits::{self, CommitDetails};
use crate::ctx::Ctx;

/// A commit with what happened to it.
pub fn detail(ctx: &Ctx, project: &Project, found: &CommitDetails) -> CommitDetail {
    let last = found.last_pipeline.as_ref();
    CommitDetail {
        commit: commits::entity(ctx, project, &found.commit),
        stats: found.stats.map(stats),
        status: last.map(|pipeline| Word::Known(pipeline.status)),
        project_id: project.id,
        last_pipeline: last.map(|pipeline| pipelines::basic(ctx, project, pipeline)),
    }
}

/// How many lines a commit changed.
pub fn stats(stats: weir_git::CommitStats) -> CommitStats {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    CommitStats {
        additions: number(stats.additions),
        deletions: number(stats.deletions),
        total: number(stats.total()),
    }
}

/// A branch or tag that holds a commit.
pub fn reference(name: &RefName) -> Option<CommitRef> {
    let (kind, name) = match (name.branch(), name.tag()) {
        (Some(branch), _) => ("branch", branch.to_string()),
        (None, Some(tag)) => ("tag", tag.to_string()),
        (None, None) => return None,
    };
    Some(CommitRef { kind: kind.to_owned(), name })
}
