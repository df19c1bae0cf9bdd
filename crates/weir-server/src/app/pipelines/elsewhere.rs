//! What a configuration asks of other places: of projects of the instance, whose code the pipeline's user must be able
//! to read, and of other servers.

use std::time::Duration;

use weir_compiler::Answer;
use weir_git::{ObjectId, Repository};
use weir_store::users::User;

use super::compile::read_file;
use crate::app::{access, commits};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::egress;
use crate::error::Result;

/// The time for a remote file.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);

/// What becomes of a name of a project and a ref.
enum Place {
    Found(Repository, ObjectId),
    NoProject,
    NoRef,
}

async fn find(ctx: &Ctx, user: &User, project: &str, git_ref: Option<&str>) -> Result<Place> {
    let (user, path, now) = (user.clone(), project.to_owned(), ctx.now());
    let found = ctx.db.read(move |tx| access::find_project(tx, Some(&user), &path, now)).await?;
    // A number is no path here.
    let found = found.filter(|found| found.project.full_path.eq_ignore_ascii_case(project));
    let Some(found) = found.filter(|found| found.standing.may(Action::ReadCode)) else {
        return Ok(Place::NoProject);
    };
    let Some(git_ref) = git_ref.or(found.project.default_branch.as_deref()) else { return Ok(Place::NoRef) };
    let repository = commits::repository(ctx, &found.project);
    match repository.resolve(git_ref).await {
        Ok(Some(resolved)) => Ok(Place::Found(repository, resolved.commit)),
        Ok(None) | Err(weir_git::Error::NoRepository) => Ok(Place::NoRef),
        Err(error) => Err(error.into()),
    }
}

/// `include:project`. Source: `lib/gitlab/ci/config/external/file/project.rb`.
pub(super) async fn file(
    ctx: &Ctx,
    user: &User,
    project: &str,
    git_ref: Option<&str>,
    path: &str,
) -> Result<Answer> {
    Ok(match find(ctx, user, project, git_ref).await? {
        Place::Found(repository, commit) => read_file(&repository, &commit, path).await?,
        Place::NoProject => Answer::FileError(format!(
            "Project `{project}` not found or access denied! Make sure any includes in the pipeline \
             configuration are correctly defined."
        )),
        Place::NoRef => {
            let git_ref = git_ref.unwrap_or("HEAD");
            Answer::FileError(format!("Project `{project}` reference `{git_ref}` does not exist!"))
        }
    })
}

/// `rules:exists:project`. Source: `lib/gitlab/ci/build/rules/rule/clause/exists.rb`.
pub(super) async fn paths(ctx: &Ctx, user: &User, project: &str, git_ref: Option<&str>) -> Result<Answer> {
    Ok(match find(ctx, user, project, git_ref).await? {
        Place::Found(repository, commit) => Answer::Paths(Some(repository.paths(&commit).await?)),
        Place::NoProject => {
            Answer::FileError(format!("rules:exists:project `{project}` not found or access denied"))
        }
        Place::NoRef => Answer::FileError(match git_ref {
            Some(git_ref) => {
                format!("rules:exists:ref `{git_ref}` is not a valid ref in project `{project}`")
            }
            None => format!("rules:exists:project `{project}` has no commits"),
        }),
    })
}

/// `include:remote`. Source: `lib/gitlab/ci/config/external/file/remote.rb`.
pub(super) async fn remote(ctx: &Ctx, url: &str, max: u64) -> Answer {
    let max_body = usize::try_from(max).unwrap_or(usize::MAX);
    let limits = egress::Limits { timeout: REMOTE_TIMEOUT, max_body };
    let because = |why: String| format!("Remote file `{url}` could not be fetched because of {why}!");
    Answer::FileError(match ctx.egress.get(url, limits).await {
        Ok(answer) if answer.status.as_u16() >= 400 => {
            because(format!("HTTP code `{}` error", answer.status.as_u16()))
        }
        Ok(answer) if answer.cut => "The provided YAML is too big".to_owned(),
        Ok(answer) => return Answer::File(Some(String::from_utf8_lossy(&answer.body).into_owned())),
        Err(egress::Error::Timeout) => because("a timeout error".to_owned()),
        Err(egress::Error::Broken(_)) => because("a socket error".to_owned()),
        Err(egress::Error::Redirects) => because("HTTP error".to_owned()),
        Err(error @ egress::Error::Blocked(_)) => {
            format!("Remote file could not be fetched because {error}!")
        }
    })
}
