//! Commits. Source: `lib/api/commits.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;
use weir_api::Timestamp;
use weir_api::commits::{Commit, CommitActionKind, CommitStats};
use weir_git::{CommitFilter, RepoPath};

use crate::app::access::Access;
use crate::app::branches;
use crate::app::commits::{self, Change, NewCommit};
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::entity;
use crate::http::paginate::Page;
use crate::http::params::Fields;
use crate::http::request::Call;
use crate::http::respond;

/// Routes of commits.
pub fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{id}/repository/commits", get(list).post(create))
        .route("/projects/{id}/repository/commits/{sha}", get(show))
        .route("/projects/{id}/repository/commits/{sha}/refs", get(refs))
}

/// A commit in a list that tells how much each changed.
#[derive(Serialize)]
struct CommitWithStats {
    #[serde(flatten)]
    commit: Commit,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<CommitStats>,
}

/// `GET /projects/:id/repository/commits`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let git_ref = fields.text("ref_name").filter(|text| !text.is_empty());
    let path = fields.text("path").filter(|text| !text.is_empty());
    let filter = CommitFilter {
        path: path.map(RepoPath::new).transpose()?,
        since: fields.parsed::<Timestamp>("since"),
        until: fields.parsed::<Timestamp>("until"),
        first_parent: fields.boolean("first_parent").unwrap_or_default(),
        all: fields.boolean("all").unwrap_or_default(),
    };
    let with_stats = fields.boolean("with_stats").unwrap_or_default();
    fields.check()?;
    let git_ref = git_ref.filter(|_| !filter.all);
    let (found, more) = commits::list(&call.ctx, &access.project, git_ref.as_deref(), &filter, page).await?;
    let mut entities = Vec::with_capacity(found.len());
    for commit in &found {
        let stats = if with_stats {
            Some(entity::commits::stats(commits::stats(&call.ctx, &access.project, commit).await?))
        } else {
            None
        };
        entities.push(CommitWithStats { commit: commits::entity(&call.ctx, &access.project, commit), stats });
    }
    Ok(call.uncounted_page(page, entities, more))
}

/// `GET /projects/:id/repository/commits/:sha`
pub async fn show(call: Call) -> Result<Response> {
    let call = call.with_job_token();
    let access = call.project(Action::ReadCode).await?;
    let mut fields = call.params.fields();
    let stats = fields.boolean("stats").unwrap_or(true);
    fields.check()?;
    let commit = commits::resolve(&call.ctx, &access.project, call.path("sha")).await?;
    let found = commits::details(&call.ctx, &access.project, commit, stats).await?;
    Ok(respond::ok(entity::commits::detail(&call.ctx, &access.project, &found)))
}

/// `type`: whether branches, and whether tags are asked for.
const KINDS: &[(&str, (bool, bool))] =
    &[("branch", (true, false)), ("tag", (false, true)), ("all", (true, true))];

/// `GET /projects/:id/repository/commits/:sha/refs`
pub async fn refs(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let (branches, tags) = fields.choice("type", KINDS).unwrap_or((true, true));
    fields.check()?;
    let mut names = commits::refs(&call.ctx, &access.project, call.path("sha")).await?;
    names.retain(|name| (branches && name.branch().is_some()) || (tags && name.tag().is_some()));
    let total = names.len() as u64;
    let entities = page.of(names).iter().filter_map(entity::commits::reference).collect();
    Ok(call.page(page, entities, Some(total)))
}

/// `POST /projects/:id/repository/commits`
pub async fn create(call: Call) -> Result<Response> {
    // Whether the caller may write is decided by the branch, with a reason.
    let user = call.caller.signed_in()?;
    let access = call.project(Action::ReadCode).await?;
    let (new, stats) = read(&call, &access).await?;
    branches::demand_push(&call.ctx, &access, &new.branch).await?;
    let commit = commits::create(&call.ctx, &access, user, new).await?;
    let made = commits::details(&call.ctx, &access.project, commit, stats).await?;
    Ok(respond::created(entity::commits::detail(&call.ctx, &access.project, &made)))
}

async fn read(call: &Call, access: &Access) -> Result<(NewCommit, bool)> {
    let mut fields = call.params.fields();
    let (branch, message) = (fields.required("branch"), fields.required("commit_message"));
    let changes = fields.hashes("actions", change);
    if changes.is_none() && call.params.get("actions").is_none() {
        fields.refuse("actions is missing");
    }
    let (start_branch, start_sha) = (filled(&mut fields, "start_branch"), filled(&mut fields, "start_sha"));
    if start_branch.is_some() && start_sha.is_some() {
        fields.refuse("start_branch, start_sha are mutually exclusive");
    }
    let new = NewCommit {
        start_branch,
        start_sha,
        force: fields.boolean("force").unwrap_or_default(),
        author_name: fields.text("author_name"),
        author_email: fields.text("author_email"),
        ..NewCommit::new(branch, message, changes.unwrap_or_default())
    };
    let stats = fields.boolean("stats").unwrap_or(true);
    let start_project = fields.text("start_project");
    fields.check()?;
    if let Some(name) = start_project {
        // There are no forks, so only the project itself can be meant.
        let other =
            crate::app::access::project(&call.ctx, &call.caller, &name, Action::ReadCode).await?.project;
        if other.id != access.project.id {
            let reason = format!("Project is not included in the fork network for {}", other.full_path);
            return Err(Error::forbidden(reason));
        }
    }
    Ok((new, stats))
}

/// A text that is not empty.
pub(super) fn filled(fields: &mut Fields<'_>, key: &str) -> Option<String> {
    fields.text(key).filter(|text| !text.is_empty())
}

/// One action of a commit.
fn change(fields: &mut Fields<'_>) -> Change {
    use CommitActionKind as Kind;
    let given = fields.given("action");
    let kind = fields.word::<Kind>("action");
    if !given {
        fields.required("action");
    }
    let kind = kind.unwrap_or(Kind::Create);
    let path = fields.present("file_path");
    let previous_path = if kind == Kind::Move { Some(fields.present("previous_path")) } else { None };
    if kind == Kind::Update {
        fields.present("content");
    }
    let content = content(fields);
    if kind == Kind::Chmod && !fields.given("execute_filemode") {
        fields.present("execute_filemode");
    }
    Change {
        kind,
        path,
        previous_path,
        content: content.filter(|_| matches!(kind, Kind::Create | Kind::Update | Kind::Move)),
        last_commit_id: fields.text("last_commit_id"),
        executable: fields.boolean("execute_filemode"),
    }
}

/// `content`, decoded by its `encoding`.
pub(super) fn content(fields: &mut Fields<'_>) -> Option<Vec<u8>> {
    /// Line breaks and padding as Ruby's decoder takes them.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let encoded = fields.choice("encoding", &[("text", false), ("base64", true)]).unwrap_or_default();
    if !encoded {
        return fields.raw_text("content").map(String::into_bytes);
    }
    let text = fields.text("content")?;
    let digits: Vec<u8> =
        text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).collect();
    match LENIENT.decode(digits) {
        Ok(content) => Some(content),
        Err(_) => {
            fields.refuse("content is invalid");
            None
        }
    }
}
