//! The tree of a repository. Source: `lib/api/repositories.rb`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use weir_api::tree::{TreeEntry, TreeEntryType};
use weir_git::EntryKind;

use super::branches::keyset_page;
use crate::app::files;
use crate::auth::Action;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::http::paginate::Page;
use crate::http::request::Call;
use crate::http::respond;

/// The route of the tree.
pub fn routes() -> Router<Ctx> {
    Router::new().route("/projects/{id}/repository/tree", get(list))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pagination {
    Legacy,
    Keyset,
    None,
}

/// `pagination`.
const PAGINATIONS: &[(&str, Pagination)] =
    &[("legacy", Pagination::Legacy), ("keyset", Pagination::Keyset), ("none", Pagination::None)];

/// `GET /projects/:id/repository/tree`
pub async fn list(call: Call) -> Result<Response> {
    let access = call.project(Action::ReadCode).await?;
    let page = Page::read(&call.params)?;
    let mut fields = call.params.fields();
    let (git_ref, path) = (fields.text("ref"), fields.text("path"));
    let recursive = fields.boolean("recursive").unwrap_or_default();
    let pagination = fields.choice("pagination", PAGINATIONS).unwrap_or(Pagination::Legacy);
    if pagination == Pagination::None && !recursive {
        fields.refuse("pagination cannot be \"none\" unless \"recursive\" is true");
    }
    let token = fields.text("page_token");
    fields.check()?;
    let path = path.as_deref().map(|path| path.trim_matches('/')).filter(|path| !path.is_empty());
    let mut entries = files::tree(&call.ctx, &access.project, git_ref.as_deref(), path, recursive).await?;
    match pagination {
        Pagination::None => Ok(respond::ok(entries.iter().map(entry).collect::<Vec<_>>())),
        Pagination::Legacy => {
            let total = entries.len() as u64;
            Ok(call.page(page, page.of(entries).iter().map(entry).collect(), Some(total)))
        }
        Pagination::Keyset => {
            files::after(&mut entries, token.as_deref())?;
            entries.truncate(usize::try_from(page.per_page).unwrap_or_default());
            let last = entries.last().map(|entry| entry.path.clone());
            Ok(keyset_page(&call, page, entries.iter().map(entry).collect(), last))
        }
    }
}

fn entry(entry: &weir_git::TreeEntry) -> TreeEntry {
    TreeEntry {
        id: entry.id.to_string(),
        name: entry.path.rsplit('/').next().unwrap_or_default().to_owned(),
        kind: match entry.kind {
            EntryKind::Tree => TreeEntryType::Tree,
            EntryKind::Blob => TreeEntryType::Blob,
            EntryKind::Submodule => TreeEntryType::Commit,
        },
        path: entry.path.clone(),
        mode: format!("{:06o}", entry.mode),
    }
}
