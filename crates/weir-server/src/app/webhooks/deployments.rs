//! What hooks are told of deployments. Source: `lib/gitlab/data_builder/deployment.rb`.

use serde_json::{Value, json};
use weir_api::Timestamp;
use weir_api::environments::DeploymentStatus;
use weir_api::hooks::HookEvent;
use weir_api::id::ProjectId;
use weir_store::deployments::{self, Deployment, Filter};
use weir_store::{Page, Sort, Tx, environments, users};

use super::payload;
use super::record::{leave, listening, place};
use crate::ctx::Ctx;
use crate::error::Result;

/// Characters of a commit's short name.
const SHORT: usize = 8;

/// A deployment got a status in this transaction: the hooks are told if it began or ended.
/// Source: `app/models/deployment.rb`.
pub fn deployment(tx: &mut Tx<'_>, ctx: &Ctx, deployment: &Deployment, to: DeploymentStatus) -> Result<()> {
    use DeploymentStatus::{Canceled, Failed, Running, Success};
    if !matches!(to, Running | Success | Failed | Canceled) {
        return Ok(());
    }
    let mut hooks = listening(tx, ctx, deployment.project_id)?;
    hooks.retain(|hook| hook.events.contains(&HookEvent::Deployment));
    if hooks.is_empty() {
        return Ok(());
    }
    match payload(tx, ctx, deployment, to)? {
        Some(payload) => leave(tx, ctx, &hooks, HookEvent::Deployment, &payload),
        None => Ok(()),
    }
}

/// The newest deployment of a project, for tests of hooks.
pub(super) fn newest(tx: &mut Tx<'_>, ctx: &Ctx, project: ProjectId) -> Result<Option<Value>> {
    let filter = Filter { sort: Sort::Desc, ..Filter::default() };
    match deployments::list(tx, project, &filter, Page::first(1))?.pop() {
        Some(newest) => payload(tx, ctx, &newest, newest.status),
        None => Ok(None),
    }
}

/// What became of a deployment. Whether there is its commit, and its title, are added before it is sent.
fn payload(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    deployment: &Deployment,
    status: DeploymentStatus,
) -> Result<Option<Value>> {
    let Some(place) = place(tx, deployment.project_id)? else { return Ok(None) };
    let Some(environment) = environments::find(tx, deployment.environment_id)? else { return Ok(None) };
    let user = match deployment.user_id {
        Some(id) => users::find(tx, id)?,
        None => None,
    };
    let of_project = |rest: String| ctx.url(&format!("/{}/-/{rest}", place.project.full_path));
    Ok(Some(json!({
        "object_kind": "deployment",
        "status": status.as_str(),
        "status_changed_at": changed_at(ctx.now()),
        "deployment_id": deployment.id,
        "deployable_id": deployment.job_id,
        "deployable_url": deployment.job_id.map(|job| of_project(format!("jobs/{job}"))),
        "environment": environment.name,
        "environment_tier": environment.tier.as_str(),
        "environment_slug": environment.slug,
        "environment_external_url": environment.external_url,
        "project": payload::project(ctx, &place, true),
        "short_sha": deployment.sha.chars().take(SHORT).collect::<String>(),
        "user": payload::user(user.as_ref()),
        "user_url": user.as_ref().map(|user| ctx.url(&format!("/{}", user.username))),
        "commit_url": of_project(format!("commit/{}", deployment.sha)),
        "commit_title": null,
        "ref": deployment.ref_name,
    })))
}

/// A time as Ruby writes one that it has read from a text: with its distance from UTC.
fn changed_at(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} +0000", &text[..10], &text[11..19])
}
