//! Merge requests. Source: `lib/api/merge_requests.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::{get, put};
use weir_api::MergeRequestState;
use weir_api::id::{ProjectId, UserId};
use weir_engine::trust::Act;
use weir_store::merge_requests::{Filter, MergeRequest, OrderBy};

use super::pipelines::SORTS;
use crate::app::access::Access;
use crate::app::merge_requests::{self, Change, Merge, New};
use crate::app::{commits, pipelines};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of merge requests.
pub fn routes() -> Router<Ctx> {
    const ONE: &str = "/projects/{id}/merge_requests/{merge_request_iid}";
    let below = |rest: &str| format!("{ONE}/{rest}");
    Router::new()
        .route("/merge_requests", get(list_all))
        .route("/projects/{id}/merge_requests", get(list).post(create))
        .route(ONE, get(show).put(update).delete(delete))
        .route(&below("commits"), get(list_commits))
        .route(&below("pipelines"), get(list_pipelines).post(create_pipeline))
        .route(&below("merge"), put(merge))
}

/// `state`.
const STATES: &[(&str, Option<MergeRequestState>)] = &[
    ("opened", Some(MergeRequestState::Opened)),
    ("closed", Some(MergeRequestState::Closed)),
    ("locked", Some(MergeRequestState::Locked)),
    ("merged", Some(MergeRequestState::Merged)),
    ("all", None),
];
/// `order_by`.
const ORDERS: &[(&str, OrderBy)] = &[
    ("created_at", OrderBy::CreatedAt),
    ("updated_at", OrderBy::UpdatedAt),
    ("title", OrderBy::Title),
    ("merged_at", OrderBy::MergedAt),
];
/// `scope`.
const SCOPES: &[(&str, Scope)] = &[
    ("created_by_me", Scope::Created),
    ("created-by-me", Scope::Created),
    ("assigned_to_me", Scope::Assigned),
    ("assigned-to-me", Scope::Assigned),
    ("all", Scope::All),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Created,
    Assigned,
    All,
}

/// `GET /merge_requests`
pub async fn list_all(call: Call) -> Result<Response> {
    page(&call, Filter::default(), Scope::Created).await
}

/// `GET /projects/:id/merge_requests`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    page(&call, Filter { target_project_id: Some(access.project.id), ..Filter::default() }, Scope::All).await
}

async fn page(call: &Call, within: Filter, scope: Scope) -> Result<Response> {
    let user = call.caller.user();
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let scope = fields.choice("scope", SCOPES).unwrap_or(scope);
    let mut filter = Filter {
        iids: fields.texts("iids").iter().filter_map(|iid| iid.parse().ok()).collect(),
        state: fields.choice("state", STATES).flatten(),
        author_id: fields.parsed("author_id"),
        assignee_id: fields.parsed("assignee_id"),
        source_branch: fields.text("source_branch"),
        target_branch: fields.text("target_branch"),
        search: fields.text("search").filter(|text| !text.is_empty()),
        order_by: fields.choice("order_by", ORDERS).unwrap_or_default(),
        sort: fields.choice("sort", SORTS).unwrap_or_default(),
        ..within
    };
    fields.check()?;
    if filter.target_project_id.is_none() {
        filter.public_only = user.is_none();
        filter.visible_to = user.filter(|user| !user.admin).map(|user| user.id);
    }
    match scope {
        Scope::Created => filter.author_id = Some(call.caller.signed_in()?.id),
        Scope::Assigned => filter.assignee_id = Some(call.caller.signed_in()?.id),
        Scope::All => {}
    }
    let (views, total) = merge_requests::list(&call.ctx, user, filter, page).await?;
    let entities = views.iter().map(|view| entity::merge_requests::basic(&call.ctx, view)).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// The project and the merge request of the path.
async fn found(call: &Call, action: Action) -> Result<(Access, MergeRequest)> {
    let access = call.project(action).await?;
    let request = merge_requests::find(&call.ctx, &access.project, call.id("merge_request_iid")?).await?;
    Ok((access, request))
}

/// The same for somebody who changes it.
async fn found_for_change(call: &Call) -> Result<(Access, MergeRequest)> {
    call.caller.signed_in()?;
    found(call, Action::ReadCode).await
}

async fn entity_of(call: &Call, request: MergeRequest) -> Result<impl serde::Serialize + use<>> {
    let view = merge_requests::view(&call.ctx, call.caller.user(), request).await?;
    Ok(entity::merge_requests::full(&call.ctx, &view))
}

/// `GET /projects/:id/merge_requests/:merge_request_iid`
pub async fn show(call: Call) -> Result<Response> {
    let (_, request) = found(&call, Action::ReadCode).await?;
    Ok(respond::ok(entity_of(&call, request).await?))
}

/// `POST /projects/:id/merge_requests`
pub async fn create(call: Call) -> Result<Response> {
    let access = call.project(Action::WriteCode).await?;
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let new = New {
        source_branch: fields.required("source_branch"),
        target_branch: fields.required("target_branch"),
        title: fields.required("title"),
        target_project_id: fields.parsed::<ProjectId>("target_project_id"),
        description: fields.text("description"),
        assignee_id: assignee(&mut fields).flatten(),
        labels: fields.comma_texts("labels").unwrap_or_default(),
        remove_source_branch: fields.boolean("remove_source_branch"),
    };
    no_squash(&mut fields);
    fields.check()?;
    let request = merge_requests::create(&call.ctx, &access, user, new).await?;
    Ok(respond::created(entity_of(&call, request).await?))
}

/// `assignee_id`, or the first of `assignee_ids`; 0 and none unset it.
#[expect(clippy::option_option, reason = "not given, unset and set are three things")]
fn assignee(fields: &mut Fields<'_>) -> Option<Option<UserId>> {
    let many = fields.given("assignee_ids").then(|| fields.texts("assignee_ids"));
    let one = fields.given("assignee_id").then(|| fields.integer("assignee_id"));
    let first = many.map(|ids| ids.first().and_then(|id| id.parse().ok()));
    one.or(first).map(|id| id.filter(|id| *id != 0).map(UserId))
}

/// Squashing is not there: better said than forgotten.
fn no_squash(fields: &mut Fields<'_>) {
    if fields.boolean("squash") == Some(true) {
        fields.refuse("squash is not supported");
    }
}

/// `state_event`.
const EVENTS: &[(&str, bool)] = &[("reopen", true), ("close", false)];

/// `PUT /projects/:id/merge_requests/:merge_request_iid`
pub async fn update(call: Call) -> Result<Response> {
    let (access, request) = found_for_change(&call).await?;
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    fields.at_least_one(CHANGES);
    let change = Change {
        title: fields.text("title"),
        description: fields.given("description").then(|| fields.text("description")),
        target_branch: fields.text("target_branch").filter(|name| !name.is_empty()),
        assignee_id: assignee(&mut fields),
        labels: fields.given("labels").then(|| fields.comma_texts("labels").unwrap_or_default()),
        add_labels: fields.comma_texts("add_labels").unwrap_or_default(),
        remove_labels: fields.comma_texts("remove_labels").unwrap_or_default(),
        remove_source_branch: fields.boolean("remove_source_branch"),
        reopen: fields.choice("state_event", EVENTS),
    };
    no_squash(&mut fields);
    fields.check()?;
    let request = merge_requests::update(&call.ctx, &access, user, request, change).await?;
    Ok(respond::ok(entity_of(&call, request).await?))
}

/// What an update can change: of these one must be given.
const CHANGES: &[&str] = &[
    "assignee_id",
    "assignee_ids",
    "reviewer_ids",
    "description",
    "labels",
    "add_labels",
    "remove_labels",
    "milestone_id",
    "remove_source_branch",
    "allow_collaboration",
    "allow_maintainer_to_push",
    "squash",
    "target_branch",
    "title",
    "state_event",
    "discussion_locked",
    "merge_after",
];

/// `DELETE /projects/:id/merge_requests/:merge_request_iid`
pub async fn delete(call: Call) -> Result<Response> {
    let (_, request) = found(&call, Action::DeleteMergeRequest).await?;
    merge_requests::delete(&call.ctx, &request).await?;
    Ok(respond::no_content())
}

/// `PUT /projects/:id/merge_requests/:merge_request_iid/merge`
pub async fn merge(call: Call) -> Result<Response> {
    let (access, request) = found_for_change(&call).await?;
    let user = call.caller.signed_in()?;
    let mut fields = call.params.fields();
    let asked = Merge {
        sha: fields.text("sha"),
        message: fields.text("merge_commit_message").filter(|text| !text.is_empty()),
        remove_source_branch: fields.boolean("should_remove_source_branch"),
    };
    no_squash(&mut fields);
    let later = [fields.boolean("merge_when_pipeline_succeeds"), fields.boolean("auto_merge")];
    fields.check()?;
    let later = later.contains(&Some(true));
    let request = merge_requests::merge(&call.ctx, &access, user, request, asked, later).await?;
    Ok(respond::ok(entity_of(&call, request).await?))
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/commits`
pub async fn list_commits(call: Call) -> Result<Response> {
    let (access, request) = found(&call, Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let all = merge_requests::commits(&call.ctx, &request).await?;
    let total = all.len() as u64;
    let of = |commit| commits::entity(&call.ctx, &access.project, &commit);
    Ok(call.page(page, page.of(all).into_iter().map(of).collect::<Vec<_>>(), Some(total)))
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/pipelines`
pub async fn list_pipelines(call: Call) -> Result<Response> {
    let (access, request) = found(&call, Action::ReadCode).await?;
    access.standing.demand(Action::ReadPipelines)?;
    let page = Page::read(&call.params)?;
    let (found, total) = merge_requests::list_pipelines(&call.ctx, &request, page).await?;
    let of = |(project, pipeline): &(_, _)| entity::pipelines::basic(&call.ctx, project, pipeline);
    let entities = found.iter().map(of).collect::<Vec<_>>();
    Ok(call.page(page, entities, Some(total)))
}

/// `POST /projects/:id/merge_requests/:merge_request_iid/pipelines`. In the name of the target project it lets exactly
/// the commit run that the merge request has now.
pub async fn create_pipeline(call: Call) -> Result<Response> {
    let (_, request) = found_for_change(&call).await?;
    let user = call.caller.signed_in()?;
    let made = merge_requests::create_pipeline(&call.ctx, user, &request, Act::Ask).await?;
    let (project, id) = made.ok_or(Error::NotAllowed)?;
    let details = pipelines::find(&call.ctx, &project, id).await?;
    Ok(respond::created(entity::pipelines::full(&call.ctx, &project, &details)))
}
