//! The facts for [`weir_engine::trust`], and what its refusals mean to callers.

use weir_engine::trust::{Act, Approval, Code, Facts, Guard, Refusal, Rights, judge};
use weir_git::RefName;
use weir_store::merge_requests::{self, MergeRequest};
use weir_store::pipelines::{self, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::{Tx, jobs};

use super::access::Access;
use super::protection::{self, Protection};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Whose code a pipeline runs, with all that is known of it.
#[derive(Debug, Clone)]
pub enum Known {
    /// A branch or tag.
    Ref(Option<Guard>),
    /// A merge request within the project.
    Request {
        /// What guards the source branch.
        source: Option<Guard>,
        /// What guards the target branch.
        target: Option<Guard>,
        /// Whether such pipelines may be protected at all.
        may_be_protected: bool,
    },
    /// A merge request from another project.
    Foreign {
        /// The commit that comes from there.
        sha: String,
        /// Who let it run.
        approvals: Vec<Approval>,
        /// Whether the project runs such commits at all.
        allowed: bool,
    },
    /// Nobody knows any more.
    Unknown,
}

impl Known {
    /// The same for the decision.
    pub fn code(&self) -> Code<'_> {
        match self {
            Self::Ref(guard) => Code::Ref(*guard),
            Self::Request { source, target, may_be_protected } => {
                Code::Request { source: *source, target: *target, may_be_protected: *may_be_protected }
            }
            Self::Foreign { sha, approvals, allowed } => Code::Foreign { sha, approvals, allowed: *allowed },
            Self::Unknown => Code::Unknown,
        }
    }
}

fn guard(protection: Option<Protection>) -> Option<Guard> {
    protection.map(|it| Guard { push: it.push, merge: it.merge })
}

/// The code of a branch or tag. Other refs, and branches that are called like them, are unknown.
pub fn of_ref(tx: &mut Tx<'_>, project: &Project, name: &RefName) -> Result<Known> {
    let branch = name.branch().map(String::from);
    let short = branch.or_else(|| name.tag().map(String::from));
    if short.is_none_or(|short| short.starts_with("refs/")) {
        return Ok(Known::Unknown);
    }
    Ok(Known::Ref(guard(protection::of_ref(tx, project, name)?)))
}

/// The code of a commit that a merge request brings, if it runs in `project`.
pub fn of_request(tx: &mut Tx<'_>, project: &Project, request: &MergeRequest, sha: &str) -> Result<Known> {
    let branch = |name: &str| RefName::new(format!("refs/heads/{name}"));
    let Ok(source) = branch(&request.source_branch) else { return Ok(Known::Unknown) };
    if project.id != request.target_project_id {
        // In the project that it comes from it is a branch as any other.
        let own = request.source_project_id == Some(project.id);
        return if own { of_ref(tx, project, &source) } else { Ok(Known::Unknown) };
    }
    if request.is_for_fork() {
        let approvals = merge_requests::approvals(tx, request.id, sha)?;
        let approval = |it: merge_requests::Approval| Approval { sha: it.sha, level: it.access_level };
        return Ok(Known::Foreign {
            sha: sha.to_owned(),
            approvals: approvals.into_iter().map(approval).collect(),
            allowed: project.settings.ci_allow_fork_pipelines_to_run_in_parent_project,
        });
    }
    let Ok(target) = branch(&request.target_branch) else { return Ok(Known::Unknown) };
    Ok(Known::Request {
        source: guard(protection::of_ref(tx, project, &source)?),
        target: guard(protection::of_ref(tx, project, &target)?),
        may_be_protected: project.settings.protect_merge_request_pipelines,
    })
}

/// The code of a pipeline of the project.
pub fn of_pipeline(tx: &mut Tx<'_>, project: &Project, pipeline: &Pipeline) -> Result<Known> {
    if let Some(id) = pipeline.merge_request_id
        && let Some(request) = merge_requests::find(tx, id)?
    {
        let sha = pipeline.merged.as_ref().map_or(&pipeline.sha, |merged| &merged.source_sha);
        return of_request(tx, project, &request, sha);
    }
    match protection::full_name(pipeline) {
        Some(name) => of_ref(tx, project, &name),
        None => Ok(Known::Unknown),
    }
}

const fn rights(protected: bool) -> Rights {
    if protected { Rights::Protected } else { Rights::Plain }
}

/// Demands that the caller may start jobs of an existing pipeline; 403 if not.
pub async fn demand(ctx: &Ctx, access: &Access, pipeline: &Pipeline, act: Act) -> Result<()> {
    let (project, row, level) = (access.project.clone(), pipeline.clone(), access.standing.level);
    let judged = ctx
        .db
        .read(move |tx| {
            let known = of_pipeline(tx, &project, &row)?;
            Ok::<_, Error>(judge(Facts { act, level, code: known.code(), has: Some(rights(row.protected)) }))
        })
        .await?;
    judged.map(drop).map_err(|refusal| match refusal {
        Refusal::Approval => {
            Error::forbidden("Nobody with the right to do so has let this commit of another project run")
        }
        Refusal::Forks => Error::forbidden("The project runs no commits of other projects"),
        _ => Error::Forbidden(None),
    })
}

/// Whether a runner may take a job: what let its pipeline be made must still hold.
pub fn lets_claim(tx: &mut Tx<'_>, job: &jobs::Job) -> Result<bool> {
    let Some(pipeline) = pipelines::find(tx, job.pipeline_id)? else { return Ok(false) };
    // A branch or tag of the project itself: nothing can have changed.
    if pipeline.merge_request_id.is_none() && !pipeline.ref_name.starts_with("refs/") {
        return Ok(true);
    }
    let Some(project) = projects::find(tx, job.project_id)? else { return Ok(false) };
    let known = of_pipeline(tx, &project, &pipeline)?;
    let has = Some(rights(pipeline.protected || job.protected));
    let level = weir_api::AccessLevel::NoAccess;
    Ok(judge(Facts { act: Act::Claim, level, code: known.code(), has }).is_ok())
}
