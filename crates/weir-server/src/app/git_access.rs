//! What Git clients may do, and what happens when they push.

use weir_api::{AccessLevel, TokenScope};
use weir_git::{ByteStream, PushRequest, RefUpdate, Rejection, Service};

use super::access::Access;
use super::protection::{self, Protection};
use super::pushes;
use crate::auth::Caller;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A token must be for repositories, or for everything.
pub fn demand_scope(caller: &Caller, service: Service) -> Result<()> {
    let Caller::User { token, .. } = caller else { return Ok(()) };
    let wanted: &[TokenScope] = match service {
        Service::UploadPack => {
            &[TokenScope::Api, TokenScope::ReadApi, TokenScope::ReadRepository, TokenScope::WriteRepository]
        }
        Service::ReceivePack => &[TokenScope::Api, TokenScope::WriteRepository],
    };
    if wanted.iter().any(|scope| token.scopes.contains(scope)) {
        Ok(())
    } else {
        Err(Error::forbidden("You are not allowed to access this repository with this token."))
    }
}

/// A job reads its own project; others only once their allowlists exist. It pushes only if the project says so.
pub fn demand_own_project(caller: &Caller, access: &Access) -> Result<()> {
    match caller {
        Caller::Job { job, .. } if job.project_id != access.project.id => Err(Error::NotFound("Project")),
        _ => Ok(()),
    }
}

/// Decides over a push; if it may happen, records it, lets Git do it, and makes its pipelines before the client
/// hears of success.
pub async fn receive(ctx: &Ctx, access: &Access, caller: &Caller, push: PushRequest) -> Result<ByteStream> {
    let user = caller.signed_in()?.clone();
    if let Caller::Job { .. } = caller
        && !access.project.settings.ci_push_repository_for_job_token_allowed
    {
        return Ok(push.reject(&Rejection::new("You are not allowed to upload code with a job token.")));
    }
    if access.project.archived {
        return Ok(push.reject(&Rejection::new("You cannot push to an archived project.")));
    }
    let mut keep_history = false;
    for update in push.commands() {
        match decide(ctx, access, update).await? {
            Decision::Allowed { force } => keep_history |= !force,
            Decision::Refused(message) => return Ok(push.reject(&Rejection::new(message))),
        }
    }
    let recorded = pushes::record(ctx, access, user.id, push.commands(), push.options()).await?;
    let push = if keep_history { push.deny_non_fast_forwards() } else { push };
    let shared = ctx.clone();
    let applied = move |applied: Vec<RefUpdate>| async move {
        if let Err(error) = pushes::finish(&shared, &recorded, &applied).await {
            // The record stays, and the background makes up for it.
            tracing::error!(%error, "a push could not be finished");
        }
    };
    Ok(push.run(applied)?)
}

enum Decision {
    Allowed {
        /// Whether commits may be lost.
        force: bool,
    },
    Refused(&'static str),
}

/// Whether one ref may change. Source: `lib/gitlab/checks/branch_check.rb`, `tag_check.rb`.
async fn decide(ctx: &Ctx, access: &Access, update: &RefUpdate) -> Result<Decision> {
    let tag = update.name.tag().is_some();
    if !tag && update.name.branch().is_none() {
        return Ok(Decision::Refused("You are not allowed to change this reference."));
    }
    if !tag && update.new.is_zero() && is_default(access, update) {
        return Ok(Decision::Refused("The default branch of a project cannot be deleted."));
    }
    let (project, name) = (access.project.clone(), update.name.clone());
    let protection = ctx.db.read(move |tx| protection::of_ref(tx, &project, &name)).await?;
    let Some(Protection { push, force_push, .. }) = protection else {
        return Ok(Decision::Allowed { force: true });
    };
    let may = access.standing.level >= push && push < AccessLevel::Admin;
    Ok(match (may, tag, update.new.is_zero()) {
        (true, false, true) => {
            Decision::Refused("You can only delete protected branches using the web interface.")
        }
        (true, _, _) => Decision::Allowed { force: force_push },
        (false, true, _) => Decision::Refused("You are not allowed to create this tag as it is protected."),
        (false, false, _) => {
            Decision::Refused("You are not allowed to push code to protected branches on this project.")
        }
    })
}

fn is_default(access: &Access, update: &RefUpdate) -> bool {
    let branch = update.name.branch();
    branch.is_some_and(|branch| access.project.default_branch.as_deref() == Some(branch.as_ref()))
}
