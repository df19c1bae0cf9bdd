//! What Git clients may do, and what happens when they push.

use std::borrow::Cow;

use weir_api::{AccessLevel, TokenScope};
use weir_git::{BranchName, ByteStream, ObjectId, PushRequest, RefUpdate, Rejection, Repository, Service};
use weir_store::projects::Project;

use super::access::Access;
use super::protection::{self, Protection};
use super::{commits, pushes};
use crate::auth::{Action, Caller};
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
        match decide(ctx, access, update, Via::Git).await? {
            Decision::Allowed { force } => keep_history |= !force,
            Decision::Refused(message) => return Ok(push.reject(&Rejection::new(&message))),
        }
    }
    let recorded = pushes::record(ctx, access, user.id, push.commands(), push.options()).await?;
    let push = if keep_history { push.deny_non_fast_forwards() } else { push };
    let (shared, project, user) = (ctx.clone(), access.project.id, user.id);
    let applied = move |applied: Vec<RefUpdate>| async move {
        if let Err(error) = pushes::finish(&shared, project, user, &recorded, &applied).await {
            // The record stays, and the background makes up for it.
            tracing::error!(%error, "a push could not be finished");
        }
    };
    Ok(push.run(applied)?)
}

/// By which way a change comes; some may come by one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A Git client.
    Git,
    /// The API, which counts as the web interface.
    Api,
}

/// Whether one ref may change.
#[derive(Debug)]
pub enum Decision {
    /// It may.
    Allowed {
        /// Whether commits may be lost.
        force: bool,
    },
    /// It may not, in GitLab's words.
    Refused(Cow<'static, str>),
}

const fn refused(message: &'static str) -> Decision {
    Decision::Refused(Cow::Borrowed(message))
}

/// Whether one ref may change. Whether the caller may write at all is decided before.
pub async fn decide(ctx: &Ctx, access: &Access, update: &RefUpdate, via: Via) -> Result<Decision> {
    let (project, name) = (access.project.clone(), update.name.clone());
    let protection = ctx.db.read(move |tx| protection::of_ref(tx, &project, &name)).await?;
    if let Some(tag) = update.name.tag() {
        return Ok(decide_tag(access, update, tag.as_ref(), protection, via));
    }
    match update.name.branch() {
        Some(branch) => decide_branch(ctx, access, update, &branch, protection, via).await,
        None => Ok(refused("You are not allowed to change this reference.")),
    }
}

/// Source: `lib/gitlab/checks/branch_check.rb`.
async fn decide_branch(
    ctx: &Ctx,
    access: &Access,
    update: &RefUpdate,
    branch: &BranchName,
    protection: Option<Protection>,
    via: Via,
) -> Result<Decision> {
    let (project, level) = (&access.project, access.standing.level);
    let deletion = update.new.is_zero();
    if deletion && project.default_branch.as_deref() == Some(branch.as_ref()) {
        return Ok(refused("The default branch of a project cannot be deleted."));
    }
    if !deletion && is_like_a_commit(branch.as_ref()) {
        return Ok(refused("You cannot create a branch with a 40-character hexadecimal branch name."));
    }
    let repository = commits::repository(ctx, project);
    if is_empty(&repository).await? {
        return Ok(if lets_begin(level, protection) {
            Decision::Allowed { force: true }
        } else {
            Decision::Refused(no_default_branch(ctx, project).into())
        });
    }
    let Some(protection) = protection else { return Ok(Decision::Allowed { force: true }) };
    if deletion {
        return Ok(match via {
            _ if level < AccessLevel::Maintainer => refused(
                "You are not allowed to delete protected branches from this project. Only a project maintainer \
                 or owner can delete a protected branch.",
            ),
            Via::Git => refused("You can only delete protected branches using the web interface."),
            Via::Api => Decision::Allowed { force: true },
        });
    }
    if protection.lets_push(level) {
        return Ok(Decision::Allowed { force: protection.force_push });
    }
    if !update.old.is_zero() {
        return Ok(refused("You are not allowed to push code to protected branches on this project."));
    }
    if !protection.lets_merge(level) {
        return Ok(refused("You are not allowed to create protected branches on this project."));
    }
    if !is_in_protected_branch(ctx, project, &repository, &update.new).await? {
        return Ok(refused(
            "You can only use an existing protected branch ref as the basis of a new protected branch.",
        ));
    }
    Ok(match via {
        Via::Git => refused("You can only create protected branches using the web interface and API."),
        Via::Api => Decision::Allowed { force: protection.force_push },
    })
}

/// Source: `lib/gitlab/checks/tag_check.rb`.
fn decide_tag(
    access: &Access,
    update: &RefUpdate,
    tag: &str,
    protection: Option<Protection>,
    via: Via,
) -> Decision {
    let level = access.standing.level;
    let (creation, deletion) = (update.old.is_zero(), update.new.is_zero());
    if creation && access.project.default_branch.as_deref() == Some(tag) {
        return refused("You cannot use default branch name to create a tag");
    }
    if !deletion && tag.starts_with("refs/tags/") {
        return refused("You cannot create a tag with a prohibited pattern.");
    }
    if !deletion && begins_with_a_commit(tag) {
        return refused("You cannot create a tag with a SHA-1 or SHA-256 tag name.");
    }
    let Some(protection) = protection else { return Decision::Allowed { force: true } };
    if deletion {
        return match via {
            _ if level < AccessLevel::Maintainer => refused(
                "You are not allowed to delete protected tags from this project. Only a project maintainer or \
                 owner can delete a protected tag.",
            ),
            Via::Git => refused("You can only delete protected tags using the web interface."),
            Via::Api => Decision::Allowed { force: true },
        };
    }
    if !creation {
        return refused("Protected tags cannot be updated.");
    }
    if protection.lets_push(level) {
        Decision::Allowed { force: true }
    } else {
        refused("You are not allowed to create this tag as it is protected.")
    }
}

/// Whether the caller may push to a branch. Source: `lib/gitlab/user_access.rb`.
pub async fn may_push(ctx: &Ctx, access: &Access, branch: &BranchName) -> Result<bool> {
    if access.project.archived || !access.standing.may(Action::WriteCode) {
        return Ok(false);
    }
    let (project, name) = (access.project.clone(), branch.to_ref());
    let protection = ctx.db.read(move |tx| protection::of_ref(tx, &project, &name)).await?;
    let level = access.standing.level;
    if is_empty(&commits::repository(ctx, &access.project)).await? {
        return Ok(lets_begin(level, protection));
    }
    Ok(protection.is_none_or(|it| it.lets_push(level)))
}

/// Whether somebody with this level makes the first branch of a project.
/// Source: `app/models/protected_branch.rb`, with full protection of default branches.
fn lets_begin(level: AccessLevel, protection: Option<Protection>) -> bool {
    level >= AccessLevel::Maintainer || protection.is_some_and(|it| it.lets_push(level))
}

async fn is_empty(repository: &Repository) -> Result<bool> {
    match repository.is_empty().await {
        Err(weir_git::Error::NoRepository) => Ok(true),
        other => Ok(other?),
    }
}

fn no_default_branch(ctx: &Ctx, project: &Project) -> String {
    let path = &project.full_path;
    let members = ctx.url(&format!("/{path}/-/project_members"));
    format!(
        "\nA default branch (e.g. main) does not yet exist for {path}\n\
         Ask a project Owner or Maintainer to create a default branch:\n\n  {members}\n\n"
    )
}

fn begins_with_a_commit(name: &str) -> bool {
    name.bytes().take_while(u8::is_ascii_hexdigit).count() >= 40
}

/// Whether a branch's name could be taken for a commit's.
fn is_like_a_commit(name: &str) -> bool {
    let digits = name.bytes().take_while(u8::is_ascii_hexdigit).count();
    digits == 40 && matches!(name.as_bytes().get(40..), Some(b"" | [b'/', ..] | [b'-', b'/', ..]))
}

/// Whether a protected branch holds a commit.
async fn is_in_protected_branch(
    ctx: &Ctx,
    project: &Project,
    repository: &Repository,
    commit: &ObjectId,
) -> Result<bool> {
    // A commit that comes with the push is in no branch yet.
    let Ok(names) = repository.refs_containing(commit).await else { return Ok(false) };
    let branches: Vec<_> = names.into_iter().filter(|name| name.branch().is_some()).collect();
    let project = project.clone();
    let protections = ctx.db.read(move |tx| protection::of_refs(tx, &project, &branches)).await?;
    Ok(protections.iter().any(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_like_a_commits_is_told() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        for (name, branch, tag) in [
            (digits.to_owned(), true, true),
            (format!("{digits}/x"), true, true),
            (format!("{digits}-/x"), true, true),
            (format!("{digits}-x"), false, true),
            (format!("{digits}0"), false, true),
            ("main".to_owned(), false, false),
            (String::new(), false, false),
        ] {
            assert_eq!((is_like_a_commit(&name), begins_with_a_commit(&name)), (branch, tag), "{name}");
        }
    }
}
