//! What the predefined variables tell of merge requests.

use weir_compiler::limits::OPEN_MERGE_REQUESTS;
use weir_compiler::vars::predefined::MergeRequestFacts;
use weir_git::RefName;
use weir_store::merge_requests::{self, MergeRequest};
use weir_store::pipelines::Merged;
use weir_store::projects::{self, Project};
use weir_store::{Tx, users};

use super::is_draft;
use crate::app::protection;
use crate::ctx::Ctx;
use crate::error::Result;

/// The merge request of a pipeline.
#[derive(Debug, Clone)]
pub struct RequestOf {
    /// The merge request.
    pub request: MergeRequest,
    /// What a merged result was made of.
    pub merged: Option<Merged>,
}

/// What a pipeline's variables tell of merge requests.
#[derive(Debug, Clone, Default)]
pub struct RequestFacts {
    /// Its own.
    pub merge_request: Option<MergeRequestFacts>,
    /// The open ones of its branch.
    pub open: Vec<String>,
}

/// What the variables of a pipeline of this project tell of merge requests. The branch is none for a tag.
pub fn of(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    project: &Project,
    branch: Option<&str>,
    request: Option<&RequestOf>,
) -> Result<RequestFacts> {
    let merge_request = request.map(|of| merge_request(tx, ctx, of)).transpose()?.flatten();
    let (owner, branch) = match request {
        Some(of) => (of.request.source_project_id, Some(of.request.source_branch.as_str())),
        None => (Some(project.id), branch),
    };
    let (Some(owner), Some(branch)) = (owner, branch) else {
        return Ok(RequestFacts { merge_request, open: Vec::new() });
    };
    let limit = i64::try_from(OPEN_MERGE_REQUESTS).unwrap_or(i64::MAX);
    let mut open = Vec::new();
    for it in merge_requests::open_of_source(tx, owner, branch, limit)? {
        if let Some(target) = projects::find(tx, it.target_project_id)? {
            open.push(format!("{}!{}", target.full_path, it.iid));
        }
    }
    Ok(RequestFacts { merge_request, open })
}

fn merge_request(tx: &mut Tx<'_>, ctx: &Ctx, of: &RequestOf) -> Result<Option<MergeRequestFacts>> {
    let RequestOf { request, merged } = of;
    let Some(target) = projects::find(tx, request.target_project_id)? else { return Ok(None) };
    let source = match request.source_project_id {
        Some(id) => projects::find(tx, id)?.unwrap_or_else(|| target.clone()),
        None => target.clone(),
    };
    let mut protected = |project: &Project, branch: &str| -> Result<bool> {
        let Ok(name) = RefName::new(format!("refs/heads/{branch}")) else { return Ok(false) };
        Ok(protection::of_ref(tx, project, &name)?.is_some())
    };
    let target_branch_protected = protected(&target, &request.target_branch)?;
    let source_branch_protected = protected(&source, &request.source_branch)?;
    let assignee = request.assignee_id.map(|id| users::find(tx, id)).transpose()?.flatten();
    let mut labels = request.labels.clone();
    labels.sort();
    let sha = |pick: fn(&Merged) -> &String| merged.as_ref().map(|it| pick(it).clone()).unwrap_or_default();
    Ok(Some(MergeRequestFacts {
        event_type: if merged.is_some() { "merged_result" } else { "detached" }.to_owned(),
        source_branch_sha: sha(|merged| &merged.source_sha),
        target_branch_sha: sha(|merged| &merged.target_sha),
        diff: request.base_sha.clone().map(|base| (request.diff_id, base)),
        id: request.id.0,
        iid: request.iid,
        ref_path: RefName::merge_request_head(request.iid).to_string(),
        project_id: target.id,
        project_url: ctx.url(&format!("/{}", target.full_path)),
        project_path: target.full_path,
        target_branch: request.target_branch.clone(),
        target_branch_protected,
        title: request.title.clone(),
        draft: is_draft(&request.title),
        description: request.description.clone().unwrap_or_default(),
        assignees: assignee.into_iter().map(|user| user.username).collect(),
        milestone: None,
        labels,
        squash_on_merge: false,
        approved: false,
        source_project_id: source.id,
        source_project_url: ctx.url(&format!("/{}", source.full_path)),
        source_project_path: source.full_path,
        source_branch: request.source_branch.clone(),
        source_branch_protected,
    }))
}
