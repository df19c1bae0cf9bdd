//! The facts for [`weir_engine::trust`], and what its refusals mean to callers.

use weir_api::id::{PipelineId, UserId};
use weir_api::{AccessLevel, Timestamp, UserState};
use weir_engine::trust::{Act, Approval, Code, Facts, Guard, Refusal, Rights, judge};
use weir_git::RefName;
use weir_store::merge_requests::{self, MergeRequest};
use weir_store::pipelines::{self, Pipeline};
use weir_store::projects::{self, Project};
use weir_store::{Tx, jobs, users};

use super::access::{self, Access};
use super::protection::{self, Protection};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Whether it may happen, and with which rights.
pub type Judgement = std::result::Result<Rights, Refusal>;

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

/// What a protection means for whoever wants to change the ref.
pub(super) fn guard(protection: Option<Protection>) -> Option<Guard> {
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

/// Asks on behalf of somebody with this access. In an archived project nobody may do anything.
pub fn ask(access: &Access, act: Act, known: &Known, has: Option<Rights>) -> Judgement {
    let level = if access.project.archived { AccessLevel::NoAccess } else { access.standing.level };
    judge(Facts { act, level, code: known.code(), has })
}

/// Asks for a branch or tag.
pub fn ask_ref(tx: &mut Tx<'_>, access: &Access, name: &RefName, act: Act) -> Result<Judgement> {
    Ok(ask(access, act, &of_ref(tx, &access.project, name)?, None))
}

/// Asks for an existing pipeline.
pub fn ask_pipeline(tx: &mut Tx<'_>, access: &Access, pipeline: &Pipeline, act: Act) -> Result<Judgement> {
    Ok(ask(access, act, &of_pipeline(tx, &access.project, pipeline)?, Some(rights(pipeline.protected))))
}

/// Demands that the caller may do this to an existing pipeline; 403 if not.
pub async fn demand(ctx: &Ctx, access: &Access, pipeline: &Pipeline, act: Act) -> Result<()> {
    let (access, pipeline) = (access.clone(), pipeline.clone());
    let judged = ctx.db.read(move |tx| ask_pipeline(tx, &access, &pipeline, act)).await?;
    judged.map(drop).map_err(|refusal| match refusal {
        Refusal::Approval => {
            Error::forbidden("Nobody with the right to do so has let this commit of another project run")
        }
        Refusal::Forks => Error::forbidden("The project runs no commits of other projects"),
        _ => Error::Forbidden(None),
    })
}

/// Whether a user may do this to a pipeline now: what happens later happens on somebody's behalf, who may have lost
/// the right since. Source: `app/services/ci/run_scheduled_build_service.rb`.
pub fn lets_user(
    tx: &mut Tx<'_>,
    user: Option<UserId>,
    pipeline: PipelineId,
    act: Act,
    now: Timestamp,
) -> Result<bool> {
    let user = user.map(|id| users::find(tx, id)).transpose()?.flatten();
    let Some(user) = user.filter(|user| user.state == UserState::Active) else { return Ok(false) };
    let Some(pipeline) = pipelines::find(tx, pipeline)? else { return Ok(false) };
    let access = access::find_project(tx, Some(&user), &pipeline.project_id.to_string(), now)?;
    let Some(access) = access else { return Ok(false) };
    Ok(ask_pipeline(tx, &access, &pipeline, act)?.is_ok())
}

/// Whether a runner may take a job, or a bridge have its turn: what let its pipeline be made must still hold.
pub fn lets_claim(tx: &mut Tx<'_>, job: &jobs::Job) -> Result<bool> {
    let Some(pipeline) = pipelines::find(tx, job.pipeline_id)? else { return Ok(false) };
    // A branch or tag of the project itself: nothing can have changed.
    if pipeline.merge_request_id.is_none() && !pipeline.ref_name.starts_with("refs/") {
        return Ok(true);
    }
    let Some(project) = projects::find(tx, job.project_id)? else { return Ok(false) };
    let known = of_pipeline(tx, &project, &pipeline)?;
    let has = Some(rights(pipeline.protected || job.protected));
    let level = AccessLevel::NoAccess;
    Ok(judge(Facts { act: Act::Claim, level, code: known.code(), has }).is_ok())
}
