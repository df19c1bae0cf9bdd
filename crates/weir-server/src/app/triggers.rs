//! Trigger tokens, and the pipelines that they start.
//! Source: `app/services/ci/pipeline_trigger_service.rb`, `app/services/ci/pipeline_triggers/`.

use serde_json::Value;
use weir_api::id::TriggerId;
use weir_api::{JobStatus, PipelineSource, Secret, Timestamp, UserState, VariableType};
use weir_store::projects::Project;
use weir_store::triggers::{self, NewTrigger, Trigger};
use weir_store::users::{self, User};
use weir_store::{TokenDigest, TokenKind, jobs};

use super::access::{self, Access};
use super::commits;
use super::pipelines::{self, NewVariable, Origin, PipelineDetails, Start};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Characters of the token that everyone who sees the trigger may see. Source: `app/models/ci/trigger.rb`.
const SHORT: usize = 4;
/// The longest life of a token, in seconds. Source:
/// `PersonalAccessToken::MAX_PERSONAL_ACCESS_TOKEN_LIFETIME_IN_DAYS`.
const MAX_LIFE: i64 = 365 * 86_400;
/// The variable that holds all parameters of the request.
const PAYLOAD: &str = "TRIGGER_PAYLOAD";

/// A trigger with what is shown of it.
#[derive(Debug, Clone)]
pub struct TriggerDetails {
    /// The trigger.
    pub trigger: Trigger,
    /// Its owner.
    pub owner: Option<User>,
    /// The token as the caller may see it.
    pub token: Secret,
}

fn details(ctx: &Ctx, caller: &User, trigger: Trigger, owner: Option<User>) -> Result<TriggerDetails> {
    let token = if trigger.owner_id == caller.id {
        let opened = ctx.keys.open_sealed(&sealed_for(&trigger.short_token), &trigger.token)?;
        let text = String::from_utf8(opened.into_exposed());
        Secret::from(text.map_err(|_| Error::internal("a trigger token is not UTF-8"))?)
    } else {
        Secret::from(trigger.short_token.as_str())
    };
    Ok(TriggerDetails { trigger, owner, token })
}

/// What the sealed token belongs to: it cannot be shown under another one's first characters.
fn sealed_for(short_token: &str) -> String {
    format!("triggers/{short_token}")
}

/// One page of a project's triggers, and how many there are.
pub async fn list(
    ctx: &Ctx,
    access: &Access,
    caller: &User,
    page: Page,
) -> Result<(Vec<TriggerDetails>, u64)> {
    let project = access.project.id;
    let (found, owners, total) = ctx
        .db
        .read(move |tx| {
            let found = triggers::list(tx, project, page.rows())?;
            let ids: Vec<_> = found.iter().map(|trigger| trigger.owner_id).collect();
            let owners = users::find_all(tx, &ids)?;
            Ok::<_, Error>((found, owners, triggers::count(tx, project)?.unsigned_abs()))
        })
        .await?;
    let details = found.into_iter().map(|trigger| {
        let owner = owners.iter().find(|user| user.id == trigger.owner_id).cloned();
        details(ctx, caller, trigger, owner)
    });
    Ok((details.collect::<Result<_>>()?, total))
}

/// One trigger.
///
/// # Errors
/// 404.
pub async fn find(ctx: &Ctx, access: &Access, caller: &User, id: TriggerId) -> Result<TriggerDetails> {
    let project = access.project.id;
    let (trigger, owner) = ctx
        .db
        .read(move |tx| {
            let trigger = triggers::find(tx, project, id)?.ok_or(Error::RecordNotFound)?;
            let owner = users::find(tx, trigger.owner_id)?;
            Ok::<_, Error>((trigger, owner))
        })
        .await?;
    details(ctx, caller, trigger, owner)
}

/// Makes a trigger that runs pipelines for its maker.
///
/// # Errors
/// 400 if it would live too long.
pub async fn create(
    ctx: &Ctx,
    access: &Access,
    caller: &User,
    description: String,
    expires_at: Option<Timestamp>,
) -> Result<TriggerDetails> {
    let now = ctx.now();
    let latest = now.plus_secs(MAX_LIFE);
    if expires_at.is_some_and(|end| end.date() >= latest.date()) {
        let errors = serde_json::json!({ "expires_at": [format!("must be before {}", latest.date())] });
        return Err(Error::BadRequest(errors.to_string()));
    }
    let token = TokenKind::Trigger.generate()?.into_exposed();
    let short_token: String =
        token.trim_start_matches(TokenKind::Trigger.prefix()).chars().take(SHORT).collect();
    let new = NewTrigger {
        project_id: access.project.id,
        owner_id: caller.id,
        description: Some(description),
        digest: TokenDigest::of(&token),
        token: ctx.keys.seal(&sealed_for(&short_token), token.as_bytes())?,
        short_token,
        expires_at,
    };
    let trigger = ctx.db.write(move |tx| triggers::insert(tx, &new, now)).await?;
    details(ctx, caller, trigger, Some(caller.clone()))
}

/// Gives a trigger another description.
///
/// # Errors
/// 404; 403 for others than its owner.
pub async fn update(
    ctx: &Ctx,
    access: &Access,
    caller: &User,
    id: TriggerId,
    description: Option<String>,
) -> Result<TriggerDetails> {
    let found = find(ctx, access, caller, id).await?;
    if found.trigger.owner_id != caller.id || !access.standing.may(crate::auth::Action::AdminTriggers) {
        return Err(Error::forbidden(
            "The current user is not authorized to update the pipeline trigger token",
        ));
    }
    let now = ctx.now();
    ctx.db.write(move |tx| triggers::describe(tx, id, description.as_deref(), now)).await?;
    find(ctx, access, caller, id).await
}

/// Deletes a trigger.
///
/// # Errors
/// 404; 412 if it changed after `unmodified_since`.
pub async fn delete(
    ctx: &Ctx,
    access: &Access,
    id: TriggerId,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    let project = access.project.id;
    ctx.db
        .write(move |tx| {
            let trigger = triggers::find(tx, project, id)?.ok_or(Error::RecordNotFound)?;
            if unmodified_since.is_some_and(|since| trigger.updated_at > since) {
                return Err(Error::PreconditionFailed);
            }
            triggers::delete(tx, id)?;
            Ok(())
        })
        .await
}

/// What a call with a token asks for.
#[derive(Debug, Clone)]
pub struct Call {
    /// The project, by id or full path.
    pub project: String,
    /// The token of a trigger or of a running job.
    pub token: Secret,
    /// The branch or tag.
    pub git_ref: String,
    /// Variables of the pipeline.
    pub variables: Vec<(String, String)>,
    /// Values of the configuration's `spec:inputs`.
    pub inputs: Vec<(String, Value)>,
    /// All parameters of the request.
    pub payload: String,
}

/// Who a token stands for.
struct Bearer {
    access: Access,
    user: User,
    trigger: Option<TriggerId>,
}

/// `POST /projects/:id/trigger/pipeline`: a pipeline for the owner of the token.
///
/// # Errors
/// 404 for a token that does not open the project, 401 for the token of a job that has ended, 400 with the reason
/// for which there is no pipeline, 422 with that for which it failed at once.
pub async fn trigger_pipeline(ctx: &Ctx, call: Call) -> Result<(Project, PipelineDetails)> {
    let Bearer { access, user, trigger } = bearer(ctx, &call).await?;
    let (name, commit) = commits::branch_or_tag(ctx, &access.project, &call.git_ref).await?;
    let variable = |(key, value)| NewVariable { key, value, variable_type: VariableType::EnvVar, raw: false };
    let mut variables: Vec<_> = call.variables.into_iter().map(variable).collect();
    // The payload is the server's own addition: it must not keep an owner who may set no variables from anything.
    if pipelines::may_set_variables(&access) {
        variables.push(NewVariable {
            key: PAYLOAD.to_owned(),
            value: call.payload,
            variable_type: VariableType::File,
            raw: false,
        });
    }
    let start = Start {
        source: if trigger.is_some() { PipelineSource::Trigger } else { PipelineSource::Pipeline },
        origin: Origin::Triggered { trigger },
        name,
        commit,
        variables,
        inputs: call.inputs,
        config: None,
    };
    let created = pipelines::create(ctx, &access, &user, start).await?;
    let id = created.ok_or_else(|| Error::internal("a pipeline that was asked for was not made"))?;
    let found = pipelines::find(ctx, &access.project, id).await?;
    match &found.pipeline.yaml_errors {
        Some(errors) => Err(Error::Unacceptable(serde_json::json!({ "base": [errors] }))),
        None => Ok((access.project, found)),
    }
}

/// Finds out for whom the token acts in the project.
async fn bearer(ctx: &Ctx, call: &Call) -> Result<Bearer> {
    let (now, name, digest) = (ctx.now(), call.project.clone(), TokenDigest::of(call.token.expose()));
    ctx.db
        .read(move |tx| {
            let nothing = || Error::NotFound("");
            let user_of = |tx: &mut weir_store::Tx<'_>, id| {
                let user = users::find(tx, id)?.filter(|user| user.state == UserState::Active);
                let access = access::find_project(tx, user.as_ref(), &name, now)?.ok_or_else(nothing)?;
                Ok::<_, Error>((access, user))
            };
            if let Some(trigger) = triggers::find_by_digest(tx, &digest)? {
                let (access, user) = user_of(tx, trigger.owner_id)?;
                if trigger.project_id != access.project.id || trigger.expires_at.is_some_and(|end| end <= now)
                {
                    return Err(nothing());
                }
                let user = user.ok_or_else(|| Error::base(pipelines::NO_RIGHT))?;
                return Ok(Bearer { access, user, trigger: Some(trigger.id) });
            }
            let job = jobs::find_by_token(tx, &digest)?.ok_or_else(nothing)?;
            if !matches!(job.status, JobStatus::Running | JobStatus::Canceling) {
                return Err(Error::Refused("Job is not running"));
            }
            let (access, user) = user_of(tx, job.user_id.ok_or_else(nothing)?)?;
            // A job reaches its own project only; others once their allowlists exist.
            if job.project_id != access.project.id || !access.standing.sees_the_project() {
                return Err(nothing());
            }
            Ok(Bearer { access, user: user.ok_or_else(nothing)?, trigger: None })
        })
        .await
}
