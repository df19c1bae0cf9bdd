//! Webhooks: what happens in a project is told to URLs that its maintainers name.
//! Source: `lib/api/project_hooks.rb`, `app/models/concerns/web_hooks/auto_disabling.rb`.

mod deliver;
mod deployments;
mod merge_requests;
mod payload;
mod record;

pub use deliver::{Sent, drain, forget_old};
pub use deployments::deployment;
pub use merge_requests::{RequestAction, request};
pub use record::{created, push, transition};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use weir_api::hooks::{AlertStatus, HookEvent};
use weir_api::id::{HookId, ProjectId};
use weir_api::{Secret, Timestamp};
use weir_compiler::fnmatch::Glob;
use weir_compiler::regexp::Regexp;
use weir_store::secrets::uuid;
use weir_store::users::User;
use weir_store::webhooks::{self, Attempt, Hook};

use super::commits;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Failures after which nothing is sent for a while; the next one disables. Source: `AutoDisabling`.
const GRACE: u32 = 3;
/// Failures after which nothing is sent any more.
const MAX_FAILURES: u32 = 39;
/// Seconds that the first disabling lasts, and the longest one.
const BACKOFF: (i64, i64) = (60, 24 * 3600);
/// Characters of a URL, a name, a description or a token.
const MAX_TEXT: usize = 2048;
/// Hooks of a project. Source: plan limit `project_hooks`.
const MAX_HOOKS: usize = 100;

/// What is secret of a hook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Where it is told; may hold a password.
    pub url: String,
    /// Sent with each request, so that the receiver knows who speaks.
    pub token: Option<String>,
}

/// A hook that can be read.
#[derive(Debug, Clone)]
pub struct HookDetails {
    /// The hook.
    pub hook: Hook,
    /// Where it is told.
    pub url: String,
    /// The token that is sent along.
    pub token: Option<Secret>,
}

/// What a new or changed hook is to be; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Where it is told.
    pub url: Option<String>,
    /// The token that is sent along.
    pub token: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it is told, and what not.
    pub events: Vec<(HookEvent, bool)>,
    /// The branches whose pushes it is told.
    pub branch_filter: Option<String>,
    /// How the filter is read.
    pub branch_filter_strategy: Option<&'static str>,
    /// Whether the receiver's certificate is verified.
    pub ssl_verification: Option<bool>,
}

/// GitLab's name of what an event is told as.
pub const fn kind(event: HookEvent) -> &'static str {
    match event {
        HookEvent::TagPush => "tag_push_hooks",
        HookEvent::Job => "job_hooks",
        HookEvent::Pipeline => "pipeline_hooks",
        HookEvent::Deployment => "deployment_hooks",
        HookEvent::MergeRequests => "merge_request_hooks",
        _ => "push_hooks",
    }
}

/// Whether a hook is told anything at present.
pub fn alert_status(hook: &Hook, now: Timestamp) -> AlertStatus {
    if hook.failures > MAX_FAILURES {
        AlertStatus::Disabled
    } else if hook.failures > GRACE && hook.disabled_until.is_some_and(|until| until >= now) {
        AlertStatus::TemporarilyDisabled
    } else {
        AlertStatus::Executable
    }
}

/// Failures and their consequence after one more of them.
fn after_failure(failures: u32, now: Timestamp) -> (u32, Option<Timestamp>) {
    let failures = (failures + 1).min(MAX_FAILURES + 1);
    let disabled = (failures > GRACE).then(|| {
        let doublings = failures - 1 - GRACE;
        let secs = BACKOFF.0.saturating_mul(1 << doublings.min(20));
        now.plus_secs(secs.min(BACKOFF.1))
    });
    (failures, disabled)
}

/// Whether the hook is told of pushes to a branch.
fn wants_branch(hook: &Hook, branch: &str) -> bool {
    let Some(filter) = hook.branch_filter.as_deref().filter(|filter| !filter.is_empty()) else { return true };
    match hook.branch_filter_strategy.as_str() {
        "all_branches" => true,
        "regex" => Regexp::new(filter).is_ok_and(|it| it.is_match(branch)),
        // Slashes mean nothing in the names of branches.
        _ => Glob::new(&filter.replace('/', "\u{1}")).matches(&branch.replace('/', "\u{1}")),
    }
}

fn sealed_for(project: ProjectId) -> String {
    format!("webhooks/{project}")
}

fn open(ctx: &Ctx, hook: Hook) -> Result<HookDetails> {
    let text = ctx.keys.open_sealed(&sealed_for(hook.project_id), &hook.secrets)?;
    let secrets: Secrets = serde_json::from_slice(text.expose())
        .map_err(|_| Error::internal(format!("the secrets of hook {} cannot be read", hook.id)))?;
    Ok(HookDetails { hook, url: secrets.url, token: secrets.token.map(Secret::from) })
}

fn seal(ctx: &Ctx, project: ProjectId, secrets: &Secrets) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(secrets).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(ctx.keys.seal(&sealed_for(project), &text)?)
}

/// The hooks of a project.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Vec<HookDetails>> {
    let hooks = ctx.db.read(move |tx| webhooks::of_project(tx, project)).await?;
    hooks.into_iter().map(|hook| open(ctx, hook)).collect()
}

/// One hook.
pub async fn find(ctx: &Ctx, project: ProjectId, id: HookId) -> Result<HookDetails> {
    let hook = ctx.db.read(move |tx| webhooks::find(tx, id)).await?;
    let hook = hook.filter(|hook| hook.project_id == project).ok_or(Error::RecordNotFound)?;
    open(ctx, hook)
}

/// Adds a hook.
///
/// # Errors
/// 422 for a URL that may not be called or a filter that is none.
pub async fn create(ctx: &Ctx, project: ProjectId, wanted: Wanted) -> Result<HookDetails> {
    let new = Hook {
        id: HookId(0),
        project_id: project,
        secrets: Vec::new(),
        name: None,
        description: None,
        events: vec![HookEvent::Push],
        branch_filter: None,
        branch_filter_strategy: "wildcard".to_owned(),
        ssl_verification: true,
        failures: 0,
        disabled_until: None,
        created_at: ctx.now(),
    };
    let secrets = Secrets { url: String::new(), token: None };
    let hook = changed(ctx, new, secrets, wanted)?;
    let id = ctx
        .db
        .write(move |tx| {
            if webhooks::of_project(tx, project)?.len() >= MAX_HOOKS {
                let text = format!("Maximum number of project hooks ({MAX_HOOKS}) exceeded");
                return Err(Error::Unacceptable(serde_json::json!({ "base": [text] })));
            }
            Ok(webhooks::insert(tx, &hook)?)
        })
        .await?;
    find(ctx, project, id).await
}

/// Changes a hook. A new URL does not get the token of the old one.
pub async fn update(ctx: &Ctx, project: ProjectId, id: HookId, wanted: Wanted) -> Result<HookDetails> {
    let known = find(ctx, project, id).await?;
    let moved = wanted.url.as_ref().is_some_and(|url| *url != known.url);
    let token = known.token.filter(|_| !moved).map(|token| token.expose().to_owned());
    let hook = changed(ctx, known.hook, Secrets { url: known.url, token }, wanted)?;
    ctx.db.write(move |tx| webhooks::update(tx, &hook)).await?;
    find(ctx, project, id).await
}

fn changed(ctx: &Ctx, mut hook: Hook, mut secrets: Secrets, wanted: Wanted) -> Result<Hook> {
    if let Some(url) = wanted.url {
        secrets.url = url;
    }
    if url_is_wrong(ctx, &secrets.url) {
        return Err(Error::Rejected("Invalid url given"));
    }
    if let Some(token) = wanted.token {
        secrets.token = Some(token).filter(|token| !token.is_empty());
    }
    hook.name = wanted.name.or(hook.name);
    hook.description = wanted.description.or(hook.description);
    for (event, on) in wanted.events {
        hook.events.retain(|it| *it != event);
        if on {
            hook.events.push(event);
        }
    }
    hook.branch_filter = wanted.branch_filter.or(hook.branch_filter).filter(|filter| !filter.is_empty());
    if let Some(strategy) = wanted.branch_filter_strategy {
        strategy.clone_into(&mut hook.branch_filter_strategy);
    }
    if filter_is_wrong(&hook) {
        return Err(Error::Rejected("Invalid branch filter given"));
    }
    hook.ssl_verification = wanted.ssl_verification.unwrap_or(hook.ssl_verification);
    let texts = [Some(&secrets.url), secrets.token.as_ref(), hook.name.as_ref(), hook.description.as_ref()];
    if texts.into_iter().flatten().any(|text| text.chars().count() > MAX_TEXT) {
        let text = format!("is too long (maximum is {MAX_TEXT} characters)");
        return Err(Error::Unacceptable(serde_json::json!({ "base": [text] })));
    }
    hook.secrets = seal(ctx, hook.project_id, &secrets)?;
    Ok(hook)
}

fn url_is_wrong(ctx: &Ctx, url: &str) -> bool {
    Url::parse(url).is_err() || ctx.egress.check(url).is_err()
}

fn filter_is_wrong(hook: &Hook) -> bool {
    let Some(filter) = &hook.branch_filter else { return false };
    match hook.branch_filter_strategy.as_str() {
        "regex" => Regexp::new(filter).is_err(),
        "all_branches" => false,
        // Source: `app/validators/branch_filter_validator.rb`.
        _ => filter.chars().any(char::is_whitespace) || filter.chars().count() > 255,
    }
}

/// Removes a hook.
pub async fn delete(ctx: &Ctx, project: ProjectId, id: HookId) -> Result<()> {
    find(ctx, project, id).await?;
    Ok(ctx.db.write(move |tx| webhooks::delete(tx, id)).await?)
}

/// One page of the attempts to tell a hook something, and how many there are.
pub async fn attempts(
    ctx: &Ctx,
    project: ProjectId,
    id: HookId,
    (from, to): (String, String),
    page: Page,
) -> Result<(Vec<Attempt>, u64)> {
    find(ctx, project, id).await?;
    Ok(ctx
        .db
        .read(move |tx| {
            let total = webhooks::count_attempts(tx, id, (&from, &to))?.unsigned_abs();
            Ok::<_, weir_store::Error>((webhooks::attempts(tx, id, (&from, &to), page.rows())?, total))
        })
        .await?)
}

/// Tells a hook once more what an attempt told it.
pub async fn resend(ctx: &Ctx, project: ProjectId, id: HookId, attempt: i64) -> Result<Sent> {
    let hook = find(ctx, project, id).await?;
    let found = ctx.db.read(move |tx| webhooks::attempt(tx, id, attempt)).await?;
    let found = found.ok_or(Error::RecordNotFound)?;
    let payload: Value = serde_json::from_str(&found.request_data).unwrap_or_default();
    deliver::now(ctx, &hook, &found.kind, &found.idempotency_key, &payload).await
}

/// Tells a hook what it would be told of the newest of a kind. Source: `app/services/test_hooks/project_service.rb`.
///
/// # Errors
/// 422 if the project has nothing of the kind, or nobody answers.
pub async fn test(ctx: &Ctx, project: ProjectId, id: HookId, event: HookEvent, user: &User) -> Result<Sent> {
    let hook = find(ctx, project, id).await?;
    let none = |text: &str| Error::Unacceptable(text.into());
    let shared = ctx.clone();
    let payload = match event {
        HookEvent::Job => {
            let scene = ctx.db.read(move |tx| record::newest(tx, project)).await?;
            scene
                .and_then(|scene| scene.any_job(ctx))
                .ok_or_else(|| none("Ensure the project has CI jobs."))?
        }
        HookEvent::Pipeline => ctx
            .db
            .read(move |tx| {
                let Some(scene) = record::newest(tx, project)? else { return Ok(None) };
                scene.pipeline(tx, &shared, scene.status()).map(Some)
            })
            .await?
            .ok_or_else(|| none("Ensure the project has CI pipelines."))?,
        HookEvent::Push | HookEvent::TagPush => {
            sample_push(ctx, project, event, user).await?.ok_or_else(|| {
                none(if event == HookEvent::Push {
                    "Ensure the project has at least one commit."
                } else {
                    "Ensure the project has tags."
                })
            })?
        }
        HookEvent::Deployment => ctx
            .db
            .read(move |tx| deployments::newest(tx, &shared, project))
            .await?
            .ok_or_else(|| none("Ensure the project has deployments."))?,
        HookEvent::MergeRequests => {
            let user = user.clone();
            ctx.db
                .read(move |tx| merge_requests::newest(tx, &shared, project, &user))
                .await?
                .ok_or_else(|| none("Ensure the project has merge requests."))?
        }
        _ => return Err(none("Testing not available for this hook")),
    };
    let payload = deliver::complete(ctx, project, payload).await;
    deliver::now(ctx, &hook, kind(event), &uuid()?, &payload).await
}

/// A push of the last commits of the default branch, or of a tag.
async fn sample_push(ctx: &Ctx, project: ProjectId, event: HookEvent, user: &User) -> Result<Option<Value>> {
    let Some(place) = ctx.db.read(move |tx| record::place(tx, project)).await? else { return Ok(None) };
    let repository = commits::repository(ctx, &place.project);
    let Some(branch) = place.project.default_branch.clone() else { return Ok(None) };
    let Some(head) = repository.resolve(&format!("refs/heads/{branch}")).await? else { return Ok(None) };
    let zero = weir_git::ObjectId::zero().to_string();
    let (name, before, after) = if event == HookEvent::Push {
        let few = repository.commits(&head.commit, &weir_git::CommitFilter::default(), 0..3).await?;
        let before = few.last().map_or(zero, |commit| commit.id.to_string());
        (format!("refs/heads/{branch}"), before, head.commit.to_string())
    } else {
        let names = repository.refs_containing(&head.commit).await?;
        let Some(tag) = names.iter().find(|name| name.tag().is_some()) else { return Ok(None) };
        (tag.to_string(), zero, head.commit.to_string())
    };
    let facts =
        payload::Pushed { ref_name: &name, before: &before, after: &after, protected: false, options: &[] };
    Ok(Some(payload::push(ctx, &place, user, &facts)))
}

#[cfg(test)]
mod tests {
    use AlertStatus::{Disabled, Executable, TemporarilyDisabled};

    use super::*;

    fn hook(failures: u32, disabled_until: Option<Timestamp>) -> Hook {
        Hook {
            id: HookId(1),
            project_id: ProjectId(1),
            secrets: Vec::new(),
            name: None,
            description: None,
            events: Vec::new(),
            branch_filter: None,
            branch_filter_strategy: "wildcard".to_owned(),
            ssl_verification: true,
            failures,
            disabled_until,
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_hook_that_fails_is_disabled_for_a_while_and_then_for_good() {
        let now = Timestamp::from_micros(0);
        let mut known = hook(0, None);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            (known.failures, known.disabled_until) = after_failure(known.failures, now);
            pauses.push((known.disabled_until.map(Timestamp::as_secs), alert_status(&known, now)));
        }
        assert_eq!(pauses[2], (None, Executable));
        assert_eq!(pauses[3], (Some(60), TemporarilyDisabled));
        assert_eq!(pauses[4], (Some(120), TemporarilyDisabled));
        assert_eq!(pauses[20], (Some(24 * 3600), TemporarilyDisabled));
        assert_eq!(pauses[39], (Some(24 * 3600), Disabled));
        assert_eq!(alert_status(&hook(5, Some(now)), now.plus_secs(1)), Executable);
    }

    #[test]
    fn a_filter_chooses_branches() {
        for (strategy, filter, branch, wanted) in [
            ("wildcard", "release/*", "release/1/x", true),
            ("wildcard", "release/*", "main", false),
            ("wildcard", "", "main", true),
            ("regex", "^(main|x)$", "x", true),
            ("regex", "^(main|x)$", "xx", false),
            ("all_branches", "nothing", "main", true),
        ] {
            let mut known = hook(0, None);
            known.branch_filter = Some(filter.to_owned());
            strategy.clone_into(&mut known.branch_filter_strategy);
            assert_eq!(wants_branch(&known, branch), wanted, "{strategy} {filter} {branch}");
        }
    }
}
