//! What hooks are told of merge requests.
//! Source: `lib/gitlab/data_builder/issuable.rb`, `lib/gitlab/hook_data/merge_request_builder.rb`.

use serde_json::{Map, Value, json};
use weir_api::MergeRequestState;
use weir_api::hooks::HookEvent;
use weir_api::id::ProjectId;
use weir_store::merge_requests::{self, Filter, MergeRequest};
use weir_store::users::{self, User};
use weir_store::{Page, Tx};

use super::payload::{self, time};
use super::record::{leave, listening, place};
use crate::app::merge_requests::{gather, is_draft};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::entity::merge_requests::detailed_merge_status;

/// What happened to a merge request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAction<'a> {
    /// It was opened.
    Open,
    /// Its source branch moved, from this commit.
    Push(&'a str),
    /// It was changed, closed or opened again, or merged.
    Change(&'a MergeRequest),
}

/// Something happened to a merge request in this transaction: the hooks of the project that it changes are told.
pub fn request(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    user: &User,
    request: &MergeRequest,
    action: RequestAction<'_>,
) -> Result<()> {
    let mut hooks = listening(tx, ctx, request.target_project_id)?;
    hooks.retain(|hook| hook.events.contains(&HookEvent::MergeRequests));
    if hooks.is_empty() {
        return Ok(());
    }
    let mut told: Vec<(&str, Value)> = Vec::new();
    match action {
        RequestAction::Open => told.push(("open", json!({}))),
        RequestAction::Push(_) => told.push(("update", json!({}))),
        RequestAction::Change(before) => {
            if before.state != request.state {
                told.push((verb(request.state), state_change(before, request)));
            }
            let changes = changes(tx, before, request)?;
            if !changes.is_empty() {
                told.push(("update", changes.into()));
            }
        }
    }
    for (verb, changes) in told {
        let Some(mut payload) = payload(tx, ctx, user, request)? else { return Ok(()) };
        payload["object_attributes"]["action"] = verb.into();
        if let RequestAction::Push(old) = action {
            payload["object_attributes"]["oldrev"] = old.into();
        }
        payload["changes"] = changes;
        leave(tx, ctx, &hooks, HookEvent::MergeRequests, &payload)?;
    }
    Ok(())
}

/// The newest merge request of a project, for tests of hooks.
pub(super) fn newest(tx: &mut Tx<'_>, ctx: &Ctx, project: ProjectId, user: &User) -> Result<Option<Value>> {
    let filter = Filter { target_project_id: Some(project), ..Filter::default() };
    match merge_requests::list(tx, &filter, Page::first(1))?.pop() {
        Some(newest) => payload(tx, ctx, user, &newest),
        None => Ok(None),
    }
}

fn verb(state: MergeRequestState) -> &'static str {
    match state {
        MergeRequestState::Opened => "reopen",
        MergeRequestState::Merged => "merge",
        MergeRequestState::Closed | MergeRequestState::Locked => "close",
    }
}

/// GitLab's number of a state. Source: `app/models/concerns/issuable.rb`.
fn state_id(state: MergeRequestState) -> i64 {
    match state {
        MergeRequestState::Opened => 1,
        MergeRequestState::Closed => 2,
        MergeRequestState::Merged => 3,
        MergeRequestState::Locked => 4,
    }
}

fn change(previous: impl Into<Value>, current: impl Into<Value>) -> Value {
    json!({ "previous": previous.into(), "current": current.into() })
}

fn state_change(before: &MergeRequest, after: &MergeRequest) -> Value {
    // What is merged was locked for that.
    let merged = after.state == MergeRequestState::Merged;
    let previous = if merged { MergeRequestState::Locked } else { before.state };
    json!({
        "state_id": change(state_id(previous), state_id(after.state)),
        "updated_at": change(time(Some(before.updated_at)), time(Some(after.updated_at))),
    })
}

/// What was changed besides the state.
fn changes(tx: &mut Tx<'_>, before: &MergeRequest, after: &MergeRequest) -> Result<Map<String, Value>> {
    let mut changes = Map::new();
    let mut note = |name: &str, previous: Value, current: Value| {
        if previous != current {
            changes.insert(name.to_owned(), change(previous, current));
        }
    };
    note("title", before.title.as_str().into(), after.title.as_str().into());
    note("draft", is_draft(&before.title).into(), is_draft(&after.title).into());
    note("description", before.description.clone().into(), after.description.clone().into());
    note("target_branch", before.target_branch.as_str().into(), after.target_branch.as_str().into());
    note("merge_params", merge_params(before), merge_params(after));
    note("labels", labels(before), labels(after));
    let mut people = |it: &MergeRequest| -> Result<Value> {
        let user = it.assignee_id.map(|id| users::find(tx, id)).transpose()?.flatten();
        Ok(user.iter().map(|user| payload::user(Some(user))).collect())
    };
    if before.assignee_id != after.assignee_id {
        note("assignees", people(before)?, people(after)?);
    }
    if !changes.is_empty() {
        let updated = change(time(Some(before.updated_at)), time(Some(after.updated_at)));
        changes.insert("updated_at".to_owned(), updated);
    }
    Ok(changes)
}

fn merge_params(request: &MergeRequest) -> Value {
    json!({ "force_remove_source_branch": if request.remove_source_branch { "1" } else { "0" } })
}

/// Labels, which are no more than their titles here.
fn labels(request: &MergeRequest) -> Value {
    let label = |title: &String| json!({ "title": title, "project_id": request.target_project_id, "type": "ProjectLabel" });
    request.labels.iter().map(label).collect()
}

/// A merge request. Its commit is added before it is sent.
fn payload(tx: &mut Tx<'_>, ctx: &Ctx, user: &User, request: &MergeRequest) -> Result<Option<Value>> {
    let Some(target) = place(tx, request.target_project_id)? else { return Ok(None) };
    let source = match request.source_project_id {
        Some(id) => place(tx, id)?,
        None => None,
    };
    let mut view = gather(tx, Some(user), request.clone(), ctx.now())?;
    // Nobody has looked yet whether the target has moved on.
    view.fast_forwards = true;
    let project = payload::project(ctx, &target, true);
    let assignees: Vec<Value> =
        view.person(request.assignee_id).iter().map(|user| payload::user(Some(user))).collect();
    let draft = is_draft(&request.title);
    let mut attributes = unsaid();
    let said = json!({
        "assignee_id": request.assignee_id,
        "author_id": request.author_id,
        "created_at": time(Some(request.created_at)),
        "description": request.description,
        "draft": draft,
        "head_pipeline_id": view.head_pipeline.as_ref().map(|(_, pipeline)| pipeline.id),
        "id": request.id,
        "iid": request.iid,
        "merge_commit_sha": request.merge_commit_sha,
        "merge_params": merge_params(request),
        "merge_status": request.merge_status.as_str(),
        "merge_user_id": request.merged_by,
        "source_branch": request.source_branch,
        "source_project_id": request.source_project_id,
        "state_id": state_id(request.state),
        "target_branch": request.target_branch,
        "target_project_id": request.target_project_id,
        "title": request.title,
        "updated_at": time(Some(request.updated_at)),
        "assignee_ids": request.assignee_id.iter().collect::<Vec<_>>(),
        "detailed_merge_status": detailed_merge_status(&view),
        "labels": labels(request),
        "last_commit": { "id": request.sha },
        "source": source.map(|source| payload::project(ctx, &source, true)),
        "state": request.state.as_str(),
        "target": project,
        "url": ctx.url(&format!("/{}/-/merge_requests/{}", target.project.full_path, request.iid)),
        "work_in_progress": draft,
    });
    if let (Value::Object(attributes), Value::Object(said)) = (&mut attributes, said) {
        attributes.extend(said);
    }
    let mut payload = json!({
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": payload::user(Some(user)),
        "project": project,
        "object_attributes": attributes,
        "labels": labels(request),
        "changes": {},
        "repository": {
            "name": project["name"],
            "url": project["url"],
            "description": project["description"],
            "homepage": project["homepage"],
        },
    });
    if !assignees.is_empty() {
        payload["assignees"] = assignees.into();
    }
    Ok(Some(payload))
}

/// What is the same for every merge request here.
fn unsaid() -> Value {
    json!({
        "last_edited_at": null,
        "last_edited_by_id": null,
        "merge_error": null,
        "merge_when_pipeline_succeeds": false,
        "milestone_id": null,
        "time_estimate": 0,
        "updated_by_id": null,
        "prepared_at": null,
        "blocking_discussions_resolved": true,
        "first_contribution": false,
        "human_time_change": null,
        "human_time_estimate": null,
        "human_total_time_spent": null,
        "reviewer_ids": [],
        "time_change": 0,
        "total_time_spent": 0,
    })
}
