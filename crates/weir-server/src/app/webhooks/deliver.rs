//! Sends what hooks are told. Source: `app/services/web_hook_service.rb`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use weir_api::Timestamp;
use weir_api::hooks::AlertStatus;
use weir_api::id::{HookId, ProjectId};
use weir_git::ObjectId;
use weir_store::projects::{self, Project};
use weir_store::secrets::uuid;
use weir_store::webhooks::{self, Attempt, Delivery};

use super::{HookDetails, after_failure, alert_status, open};
use crate::app::{commits, facts};
use crate::ctx::Ctx;
use crate::egress::{HeaderMap, Limits};
use crate::error::{Error, Result};

/// How long a receiver may take, and what is kept of its answer.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 8 << 10 };
/// Headers of an answer that are kept, and bytes of each.
const MAX_HEADERS: (usize, usize) = (50, 1 << 10);
/// Bytes of a body.
const MAX_PAYLOAD: usize = 25 << 20;
/// Seconds until the second, third and fourth attempt; there is no fifth.
const RETRY_AFTER: [i64; 3] = [10, 60, 300];
/// Seconds that a claimed hook stays claimed if its sender dies.
pub(super) const LEASE: i64 = 60;
/// Seconds that attempts are kept.
const KEPT: i64 = 7 * 24 * 3600;
/// Commits that a push names.
const MAX_COMMITS: usize = 20;

/// What became of a request that was sent at once.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The answer's status, or `internal error`.
    pub status: String,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// Sends the deliveries of a hook that are due, one after the other, if nobody else does.
pub async fn drain(ctx: &Ctx, hook: HookId, shutdown: &CancellationToken) -> Result<()> {
    let now = ctx.now();
    if !ctx.db.write(move |tx| webhooks::claim(tx, hook, now, now.plus_secs(LEASE))).await? {
        return Ok(());
    }
    let drained = async {
        while !shutdown.is_cancelled() {
            let now = ctx.now();
            let found = ctx
                .db
                .read(move |tx| {
                    let Some(known) = webhooks::find(tx, hook)? else { return Ok(None) };
                    Ok::<_, Error>(webhooks::first_due(tx, hook, now)?.map(|delivery| (known, delivery)))
                })
                .await?;
            let Some((known, delivery)) = found else { break };
            let details = open(ctx, known)?;
            attempt(ctx, &details, &delivery).await?;
        }
        Ok(())
    };
    let drained = drained.await;
    ctx.db.write(move |tx| webhooks::hold(tx, hook, Timestamp::from_micros(0))).await?;
    drained
}

async fn attempt(ctx: &Ctx, hook: &HookDetails, delivery: &Delivery) -> Result<()> {
    let (id, project) = (delivery.id, hook.hook.project_id);
    if alert_status(&hook.hook, ctx.now()) == AlertStatus::Disabled {
        return Ok(ctx.db.write(move |tx| webhooks::done(tx, id)).await?);
    }
    let payload = serde_json::from_str(&delivery.payload).unwrap_or_default();
    let payload = complete(ctx, project, payload).await;
    let made = send(ctx, hook, &delivery.kind, &delivery.idempotency_key, &payload).await?;
    let (again, failed) = (RETRY_AFTER.get(delivery.attempts as usize).copied(), !is_success(&made));
    // GitLab counts events that failed, not attempts.
    let counts = delivery.attempts == 0;
    let (hook_id, now) = (hook.hook.id, ctx.now());
    ctx.db
        .write(move |tx| {
            let Some(known) = webhooks::find(tx, hook_id)? else { return Ok(()) };
            webhooks::log(tx, &made)?;
            match again.filter(|_| failed) {
                Some(secs) => webhooks::put_off(tx, id, now.plus_secs(secs))?,
                None => webhooks::done(tx, id)?,
            }
            if failed && counts {
                let (failures, until) = after_failure(known.failures, now);
                webhooks::set_failures(tx, hook_id, failures, until)?;
            } else if !failed && known.failures > 0 {
                webhooks::set_failures(tx, hook_id, 0, None)?;
            }
            webhooks::hold(tx, hook_id, now.plus_secs(LEASE))
        })
        .await?;
    Ok(())
}

/// Sends something at once, whatever failed before, and notes it.
pub(super) async fn now(
    ctx: &Ctx,
    hook: &HookDetails,
    kind: &str,
    idempotency_key: &str,
    payload: &Value,
) -> Result<Sent> {
    let made = send(ctx, hook, kind, idempotency_key, payload).await?;
    let sent = Sent { status: made.response_status.clone(), error: made.error.clone() };
    let (id, now, failures, works) = (hook.hook.id, ctx.now(), hook.hook.failures, is_success(&made));
    ctx.db
        .write(move |tx| {
            webhooks::log(tx, &made)?;
            if works {
                webhooks::set_failures(tx, id, 0, None)
            } else {
                let (failures, until) = after_failure(failures, now);
                webhooks::set_failures(tx, id, failures, until)
            }
        })
        .await?;
    Ok(sent)
}

/// Redirects are not followed, and are no failure either.
fn is_success(attempt: &Attempt) -> bool {
    attempt.response_status.starts_with(['2', '3'])
}

async fn send(
    ctx: &Ctx,
    hook: &HookDetails,
    kind: &str,
    idempotency_key: &str,
    payload: &Value,
) -> Result<Attempt> {
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("User-Agent", format!("GitLab/{}", facts::VERSION)),
        ("Idempotency-Key", idempotency_key.to_owned()),
        ("X-Gitlab-Event", event(kind).to_owned()),
        ("X-Gitlab-Webhook-UUID", uuid()?),
        ("X-Gitlab-Instance", ctx.url("")),
        ("X-Gitlab-Event-UUID", uuid()?),
    ];
    let shown: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
        .chain(hook.token.iter().map(|_| ("X-Gitlab-Token".to_owned(), "[REDACTED]".into())))
        .collect();
    headers.extend(hook.token.iter().map(|it| ("X-Gitlab-Token", it.expose().replace(['\r', '\n'], ""))));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
            map.insert(name, value);
        }
    }
    let body = payload.to_string();
    let started = Instant::now();
    let answer = if body.len() > MAX_PAYLOAD {
        Err("the payload is too large".to_owned())
    } else {
        let sent =
            ctx.egress.post(&hook.url, map, Bytes::from(body.clone()), hook.hook.ssl_verification, LIMITS);
        sent.await.map_err(|error| error.to_string())
    };
    let duration = started.elapsed().as_secs_f64();
    let (status, headers, text, error) = match answer {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body).replace('\0', "");
            (answer.status.as_u16().to_string(), kept(&answer.headers), text, None)
        }
        Err(error) => ("internal error".to_owned(), Map::new(), String::new(), Some(error)),
    };
    Ok(Attempt {
        id: 0,
        hook_id: hook.hook.id,
        kind: kind.to_owned(),
        url: without_password(&hook.url),
        idempotency_key: idempotency_key.to_owned(),
        request_headers: Value::from(shown).to_string(),
        request_data: body,
        response_headers: Value::from(headers).to_string(),
        response_body: text,
        response_status: status,
        error,
        duration,
        created_at: ctx.now(),
    })
}

/// GitLab's word of a kind for the receiver: `push_hooks` is `Push Hook`.
fn event(kind: &str) -> &'static str {
    match kind {
        "tag_push_hooks" => "Tag Push Hook",
        "job_hooks" => "Job Hook",
        "pipeline_hooks" => "Pipeline Hook",
        "deployment_hooks" => "Deployment Hook",
        "merge_request_hooks" => "Merge Request Hook",
        _ => "Push Hook",
    }
}

fn kept(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &[u8]| {
        let value = &value[..value.len().min(MAX_HEADERS.1)];
        Value::from(String::from_utf8_lossy(value).into_owned())
    };
    let pairs = headers.iter().take(MAX_HEADERS.0);
    pairs.map(|(name, value)| (capitalized(name.as_str()), text(value.as_bytes()))).collect()
}

/// `content-type` as `Content-Type`.
fn capitalized(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut letters = part.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    });
    parts.collect::<Vec<_>>().join("-")
}

fn without_password(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return String::new() };
    if url.password().is_some() {
        let _ = url.set_password(Some("*****"));
    }
    url.to_string()
}

/// Forgets attempts of long ago.
pub async fn forget_old(ctx: &Ctx) -> Result<()> {
    let before = ctx.now().plus_secs(-KEPT);
    // A look writes nothing; only what is old costs a commit.
    if ctx.db.read(webhooks::oldest).await?.is_some_and(|oldest| oldest < before) {
        ctx.db.write(move |tx| webhooks::forget(tx, before)).await?;
    }
    Ok(())
}

/// Adds what the repository knows: commits do not change, so they may be read later.
pub(super) async fn complete(ctx: &Ctx, project: ProjectId, mut payload: Value) -> Value {
    let Ok(Some(project)) = ctx.db.read(move |tx| projects::find(tx, project)).await else { return payload };
    match payload["object_kind"].as_str() {
        Some("build") => {
            let sha = payload["sha"].as_str().unwrap_or_default().to_owned();
            if let Some(commit) = commits::cached(ctx, &project, &sha).await {
                payload["commit"]["message"] = commit.message.into();
                payload["commit"]["author_name"] = commit.author_name.into();
                payload["commit"]["author_url"] = format!("mailto:{}", commit.author_email).into();
                payload["commit"]["author_email"] = commit.author_email.into();
            }
        }
        Some("pipeline") => {
            let sha = payload["object_attributes"]["sha"].as_str().and_then(|sha| ObjectId::new(sha).ok());
            if let Some(sha) = sha
                && let Ok(commit) = commits::repository(ctx, &project).commit(&sha).await
            {
                payload["commit"] = attrs(ctx, &project, &commit);
            }
        }
        Some("deployment") => {
            let sha =
                payload["commit_url"].as_str().and_then(|url| url.rsplit('/').next()).map(str::to_owned);
            match commits::cached(ctx, &project, &sha.unwrap_or_default()).await {
                Some(commit) => payload["commit_title"] = commit.title.into(),
                None => payload["commit_url"] = Value::Null,
            }
        }
        Some("merge_request") => {
            let last = &payload["object_attributes"]["last_commit"]["id"];
            let sha = last.as_str().and_then(|sha| ObjectId::new(sha).ok());
            let found = match sha {
                Some(sha) => commits::repository(ctx, &project).commit(&sha).await.ok(),
                None => None,
            };
            payload["object_attributes"]["last_commit"] =
                found.map_or(Value::Null, |commit| attrs(ctx, &project, &commit));
        }
        Some("push" | "tag_push") => {
            if let Err(error) = add_commits(ctx, &project, &mut payload).await {
                tracing::warn!(%error, project = project.id.0, "a hook is told of a push without its commits");
            }
        }
        _ => {}
    }
    payload
}

/// A commit. Source: `app/models/commit.rb#hook_attrs`.
fn attrs(ctx: &Ctx, project: &Project, commit: &weir_git::Commit) -> Value {
    let shown = commits::entity(ctx, project, commit);
    json!({
        "id": shown.id,
        "message": shown.message,
        "title": shown.title,
        "timestamp": shown.authored_date.map(|date| date.as_str().replace(".000", "")),
        "url": shown.web_url,
        "author": { "name": shown.author_name, "email": shown.author_email },
    })
}

async fn add_commits(ctx: &Ctx, project: &Project, payload: &mut Value) -> Result<()> {
    let id = |name: &str| payload[name].as_str().and_then(|id| ObjectId::new(id).ok());
    let (Some(before), Some(after)) = (id("before"), id("after")) else { return Ok(()) };
    if after.is_zero() {
        return Ok(());
    }
    let repository = commits::repository(ctx, project);
    let Some(resolved) = repository.resolve(after.as_str()).await? else { return Ok(()) };
    payload["checkout_sha"] = resolved.commit.to_string().into();
    if payload["object_kind"] == "tag_push" {
        return Ok(());
    }
    // A new branch tells what the default branch has not.
    let known = match (&project.default_branch, before.is_zero()) {
        (_, false) => Some(before),
        (Some(default), true) if payload["ref"] != format!("refs/heads/{default}") => {
            repository.resolve(&format!("refs/heads/{default}")).await?.map(|it| it.commit)
        }
        _ => None,
    };
    let (new, total) = repository.new_commits(known.as_ref(), &resolved.commit, MAX_COMMITS).await?;
    let mut told = Vec::with_capacity(new.len());
    for commit in new.iter().rev() {
        let files = repository.changed_files(commit).await?;
        let mut attrs = attrs(ctx, project, commit);
        attrs["added"] = files.added.into();
        attrs["modified"] = files.modified.into();
        attrs["removed"] = files.removed.into();
        told.push(attrs);
    }
    payload["commits"] = told.into();
    payload["total_commits_count"] = total.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_as_people_write_them_and_passwords_are_not() {
        assert_eq!(capitalized("x-gitlab-event"), "X-Gitlab-Event");
        assert_eq!(without_password("https://me:secret@h.example/x"), "https://me:*****@h.example/x");
    }
}
