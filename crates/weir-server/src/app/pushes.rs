//! Pushes: recorded before Git moves a ref, answered with a pipeline after.
//!
//! The row outlives the process. If it dies between the ref and the pipeline, the background finds the row and
//! makes up for it, so no push is without its pipeline.

use weir_api::id::{ProjectId, PushId, UserId};
use weir_api::{PipelineSource, Timestamp, VariableType};
use weir_git::{ObjectId, RefName, RefUpdate};
use weir_store::pushes::{self, NewPush, Push};
use weir_store::users::User;
use weir_store::{projects, users, webhooks as rows};

use super::access::{self, Access};
use super::git_access::{self, Decision, Via};
use super::outbox::{self, Task};
use super::pipelines::{self, NewVariable, Origin, Start};
use super::{commits, instance, merge_requests, webhooks};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Seconds that a push may take before the background looks after it.
const LEASE: i64 = 300;
/// No push takes so many seconds: a ref that has not moved by then will not move any more.
const SETTLED: i64 = 24 * 3600;
/// Seconds until a push whose ref may still move is looked at again, at least; an older one can wait longer.
const OPEN: i64 = 2;
/// Attempts to make a pipeline of a push.
const MAX_ATTEMPTS: u32 = 10;
/// Pushes that the background handles at once.
const BATCH: i64 = 50;
/// More branches, or more tags, than this in one push get no pipelines.
/// Source: `app/services/git/process_ref_changes_service.rb`.
const MAX_PIPELINES: usize = 4;
/// The option that marks a push whose pipeline is not wanted, among the options of the record.
const NO_PIPELINE: &str = "ci.no_pipeline";
/// More branches, or more tags, than this in one push are not told to webhooks.
/// Source: setting `push_event_hooks_limit`.
const MAX_TOLD: usize = 3;
/// The mark of a push that webhooks are not told of, among the options of the record; no client can send it.
const NO_WEBHOOKS: &str = "\u{1}no webhooks";

/// Records ref updates that are about to happen. Deletions and other refs than branches and tags need no record.
pub async fn record(
    ctx: &Ctx,
    access: &Access,
    user: UserId,
    updates: &[RefUpdate],
    options: &[String],
) -> Result<Vec<PushId>> {
    let moved = |update: &&RefUpdate| !update.new.is_zero();
    let branches: Vec<_> = updates.iter().filter(|it| it.name.branch().is_some()).collect();
    let tags: Vec<_> = updates.iter().filter(|it| it.name.tag().is_some()).collect();
    let project = access.project.id;
    // What is removed has no pipeline; only webhooks are told of it.
    let hooked = updates.iter().any(|update| update.new.is_zero())
        && !ctx.db.read(move |tx| rows::of_project(tx, project)).await?.is_empty();
    let mut new = Vec::new();
    for group in [branches, tags] {
        let told = group.len();
        if hooked && told <= MAX_TOLD {
            new.extend(group.iter().filter(|it| !moved(it)).map(|it| removal(access, user, it)));
        }
        let group: Vec<_> = group.into_iter().filter(moved).collect();
        let wanted = group.len() <= MAX_PIPELINES;
        // Without pipelines one branch is still of interest: an empty project takes it as its default.
        let first = group.iter().position(|it| is_usual_default(&it.name)).unwrap_or(0);
        for (index, update) in group.iter().enumerate().filter(|(index, _)| wanted || *index == first) {
            let mut options = options.to_vec();
            if told > MAX_TOLD {
                options.push(NO_WEBHOOKS.to_owned());
            }
            if !wanted {
                options.push(NO_PIPELINE.to_owned());
            }
            let push = NewPush {
                project_id: access.project.id,
                user_id: user,
                ref_name: update.name.to_string(),
                before_sha: update.old.to_string(),
                after_sha: update.new.to_string(),
                options,
            };
            // The usual default comes first, so that an empty project takes it.
            if index == first { new.insert(0, push) } else { new.push(push) }
        }
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let now = ctx.now();
    Ok(ctx
        .db
        .write(move |tx| {
            new.iter()
                .map(|push| pushes::insert(tx, push, now, now.plus_secs(LEASE)))
                .collect::<weir_store::Result<_>>()
        })
        .await?)
}

/// The record of a branch or tag that is removed.
fn removal(access: &Access, user: weir_api::id::UserId, update: &RefUpdate) -> NewPush {
    NewPush {
        project_id: access.project.id,
        user_id: user,
        ref_name: update.name.to_string(),
        before_sha: update.old.to_string(),
        after_sha: update.new.to_string(),
        options: vec![NO_PIPELINE.to_owned()],
    }
}

/// After Git has moved refs, `applied` of them: the pipelines of the recorded pushes, and what an empty project
/// learns from its first branch.
pub async fn finish(
    ctx: &Ctx,
    project: ProjectId,
    user: UserId,
    recorded: &[PushId],
    applied: &[RefUpdate],
) -> Result<()> {
    leave_branches(ctx, project, user, applied).await?;
    for id in recorded {
        let id = *id;
        let Some(push) = ctx.db.read(move |tx| pushes::find(tx, id)).await? else { continue };
        let took_effect = |update: &RefUpdate| {
            update.name.as_str() == push.ref_name && update.new.as_str() == push.after_sha
        };
        if applied.iter().any(took_effect) {
            process(ctx, &push).await?;
        } else {
            done(ctx, id).await?;
        }
    }
    Ok(())
}

/// The environments of deleted branches are to be stopped.
async fn leave_branches(ctx: &Ctx, project: ProjectId, user: UserId, applied: &[RefUpdate]) -> Result<()> {
    let tasks: Vec<Task> = applied
        .iter()
        .filter(|update| update.new.is_zero())
        .filter_map(|update| update.name.branch())
        .map(|branch| Task::StopEnvironments { project, branch: branch.to_string(), user })
        .collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let now = ctx.now();
    ctx.db.write(move |tx| tasks.iter().try_for_each(|task| outbox::add(tx, task, now))).await?;
    ctx.bus.wake(Wake::Outbox);
    Ok(())
}

/// Moves a branch or tag for the API, with all that a push brings about.
///
/// # Errors
/// 400 with GitLab's words if the caller may not move it, or somebody else has moved it meanwhile.
pub async fn by_api(ctx: &Ctx, access: &Access, user: &User, update: &RefUpdate) -> Result<()> {
    if let Decision::Refused(message) = git_access::decide(ctx, access, update, Via::Api).await? {
        return Err(Error::Invalid(message.into()));
    }
    unchecked(ctx, access, user, update).await
}

/// The same where somebody else has decided that the caller may move it.
pub(super) async fn unchecked(ctx: &Ctx, access: &Access, user: &User, update: &RefUpdate) -> Result<()> {
    let recorded = record(ctx, access, user.id, std::slice::from_ref(update), &[]).await?;
    let moved = commits::repository(ctx, &access.project).move_ref(update).await;
    let applied = if moved.is_ok() { std::slice::from_ref(update) } else { &[] };
    if let Err(error) = finish(ctx, access.project.id, user.id, &recorded, applied).await {
        // The record stays, and the background makes up for it.
        tracing::error!(%error, "a change by the API could not be finished");
    }
    Ok(moved?)
}

/// Makes up for pushes that nobody finished. Returns when the next one is due.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    let now = ctx.now();
    // A look writes nothing; only what is due costs a commit.
    if ctx.db.read(pushes::next_due).await?.is_some_and(|due| due <= now) {
        let due = ctx.db.write(move |tx| pushes::take_due(tx, now, now.plus_secs(LEASE), BATCH)).await?;
        make_up_for(ctx, due).await?;
    }
    Ok(ctx.db.read(pushes::next_due).await?)
}

/// After a crash: pushes that were under way are looked after at once.
pub async fn recover(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    let all = ctx
        .db
        .write(move |tx| pushes::take_due(tx, now.plus_secs(LEASE), now.plus_secs(LEASE), i64::MAX))
        .await?;
    make_up_for(ctx, all).await
}

async fn make_up_for(ctx: &Ctx, due: Vec<Push>) -> Result<()> {
    for push in due {
        match make_up(ctx, &push).await {
            Ok(Fate::Known) => {}
            Ok(Fate::Open) => {
                let now = ctx.now();
                let age = now.as_secs() - push.created_at.as_secs();
                let (id, again) = (push.id, now.plus_secs(OPEN.max(age / 4)));
                ctx.db.write(move |tx| pushes::put_off(tx, id, again)).await?;
            }
            Err(error) => {
                tracing::warn!(%error, push = push.id.0, "a push is still without its pipeline");
                if push.attempts >= MAX_ATTEMPTS {
                    done(ctx, push.id).await?;
                }
            }
        }
    }
    Ok(())
}

/// What is known of a push that nobody finished.
enum Fate {
    /// It has its pipeline, or needs none.
    Known,
    /// Its ref has not moved, and still may: a long push is under way, or Git outlived the server for a moment.
    Open,
}

async fn done(ctx: &Ctx, id: PushId) -> Result<()> {
    ctx.db.write(move |tx| pushes::done(tx, id)).await?;
    Ok(())
}

/// Finishes a push of which nobody knows what became.
async fn make_up(ctx: &Ctx, push: &Push) -> Result<Fate> {
    let repository = ctx.repositories.repository(push.project_id.0);
    let (Ok(name), Ok(commit)) = (RefName::new(&push.ref_name), ObjectId::new(&push.after_sha)) else {
        return done(ctx, push.id).await.map(|()| Fate::Known);
    };
    let took_effect = match repository.read_ref(&name).await? {
        Some(now) if now == commit => true,
        Some(_) if commit.is_zero() => false,
        // A later push may have moved on from it.
        Some(now) => repository.is_ancestor(&commit, &now).await.unwrap_or(false),
        None => commit.is_zero(),
    };
    if took_effect {
        process(ctx, push).await?;
    } else if ctx.now() < push.created_at.plus_secs(SETTLED) {
        return Ok(Fate::Open);
    } else {
        // Git refused it, or its client never sent it whole.
        done(ctx, push.id).await?;
    }
    Ok(Fate::Known)
}

/// Makes the pipeline of a push that took effect.
async fn process(ctx: &Ctx, push: &Push) -> Result<()> {
    let (project, user, now) = (push.project_id, push.user_id, ctx.now());
    let found = ctx
        .db
        .read(move |tx| {
            let Some(project) = projects::find(tx, project)? else { return Ok(None) };
            let Some(user) = users::find(tx, user)? else { return Ok(None) };
            let standing = access::standing(tx, Some(&user), &project, now)?;
            Ok::<_, Error>(Some((Access { project, standing }, user)))
        })
        .await?;
    let Some((access, user)) = found else { return done(ctx, push.id).await };
    let repository = commits::repository(ctx, &access.project);
    let (Ok(name), Ok(commit)) = (RefName::new(&push.ref_name), ObjectId::new(&push.after_sha)) else {
        return done(ctx, push.id).await;
    };
    if !push.options.iter().any(|option| option == NO_WEBHOOKS) {
        webhooks::push(ctx, &access.project, &user, push).await?;
    }
    if commit.is_zero() {
        return done(ctx, push.id).await;
    }
    adopt_default_branch(ctx, access.project.id, &name).await?;
    if push.options.iter().any(|option| option == NO_PIPELINE) {
        return done(ctx, push.id).await;
    }
    // A tag may name a tag object; the pipeline runs for its commit.
    let Some(resolved) = repository.resolve(commit.as_str()).await? else {
        return done(ctx, push.id).await;
    };
    if let Some(branch) = name.branch() {
        // Before the push is done: whoever makes up for it does this, too.
        let skip = push.options.iter().any(|option| option == "ci.skip");
        Box::pin(merge_requests::pushed(
            ctx,
            &access.project,
            &user,
            branch.as_str(),
            &resolved.commit,
            skip,
        ))
        .await?;
    }
    let start = Start {
        source: PipelineSource::Push,
        origin: Origin::Pushed {
            push: Some(push.id),
            before: Some(push.before_sha.clone()),
            skip: push.options.iter().any(|option| option == "ci.skip"),
        },
        name,
        commit: resolved.commit,
        variables: push.options.iter().filter_map(|option| variable(option)).collect(),
        inputs: push.options.iter().filter_map(|option| input(option)).collect(),
        config: None,
    };
    match pipelines::create(ctx, &access, &user, start).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(Error::Conflict(_)) => Ok(()),
        // Whoever may push and not run pipelines gets none; the push stands all the same.
        Err(Error::Invalid(reason)) => {
            tracing::info!(%reason, push = push.id.0, "a push has no pipeline");
            done(ctx, push.id).await
        }
        Err(error) => Err(error),
    }
}

/// `ci.variable="KEY=value"`. Source: `doc/topics/git/commit.md`, "Push options for GitLab CI/CD".
fn variable(option: &str) -> Option<NewVariable> {
    let text = option.strip_prefix("ci.variable=")?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let (key, value) = text.split_once('=')?;
    (!key.is_empty()).then(|| NewVariable {
        key: key.to_owned(),
        value: value.to_owned(),
        variable_type: VariableType::EnvVar,
        raw: false,
    })
}

/// `ci.input=name=value`; the value is read as JSON where its input wants no text.
fn input(option: &str) -> Option<(String, serde_json::Value)> {
    let (name, value) = option.strip_prefix("ci.input=")?.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), serde_json::Value::String(value.to_owned())))
}

/// A project without a default branch takes the first one pushed.
async fn adopt_default_branch(ctx: &Ctx, project: ProjectId, name: &RefName) -> Result<()> {
    let Some(branch) = name.branch() else { return Ok(()) };
    instance::adopt_default_branch(ctx, project, branch).await
}

/// The names that default branches usually have.
fn is_usual_default(name: &RefName) -> bool {
    matches!(name.as_str(), "refs/heads/main" | "refs/heads/master")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_option_carries_a_variable() {
        let read = |option: &str| variable(option).map(|it| (it.key, it.value));
        let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        assert_eq!(read("ci.variable=A=1"), pair("A", "1"));
        assert_eq!(read("ci.variable=\"A=1=2\""), pair("A", "1=2"));
        assert_eq!(read("ci.variable=A="), pair("A", ""));
        assert_eq!(read("ci.variable=A"), None);
        assert_eq!(read("ci.variable==1"), None);
        assert_eq!(input("ci.input=a=b=c"), Some(("a".to_owned(), "b=c".into())));
        assert_eq!(input("ci.input==1"), None);
        assert_eq!(read("ci.skip"), None);
    }
}
