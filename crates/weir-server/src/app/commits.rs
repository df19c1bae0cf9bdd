//! Commits as the API shows them. They never change, so they are kept once read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use weir_api::commits::{Commit, CommitDate};
use weir_api::id::ProjectId;
use weir_git::{ObjectId, Repository};
use weir_store::projects::Project;

use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Commits that are kept in memory; a job's entity holds its commit, and lists repeat few of them.
const KEPT: usize = 2_000;

/// Commits that were read lately.
#[derive(Debug, Default)]
pub struct CommitCache(Mutex<HashMap<(ProjectId, String), Arc<Commit>>>);

impl CommitCache {
    fn get(&self, project: ProjectId, sha: &str) -> Option<Arc<Commit>> {
        self.0.lock().ok()?.get(&(project, sha.to_owned())).cloned()
    }

    fn put(&self, project: ProjectId, commit: Arc<Commit>) {
        let Ok(mut kept) = self.0.lock() else { return };
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert((project, commit.id.clone()), commit);
    }
}

/// The repository of a project.
pub fn repository(ctx: &Ctx, project: &Project) -> Repository {
    ctx.repositories.repository(project.id.0)
}

/// A commit, if it is still there.
pub async fn cached(ctx: &Ctx, project: &Project, sha: &str) -> Option<Commit> {
    find(ctx, project, sha).await.ok().map(|commit| (*commit).clone())
}

/// A commit by its full name.
pub async fn find(ctx: &Ctx, project: &Project, sha: &str) -> Result<Arc<Commit>> {
    if let Some(commit) = ctx.commits.get(project.id, sha) {
        return Ok(commit);
    }
    let id = ObjectId::new(sha).map_err(|_| Error::NotFound("Commit"))?;
    let commit = Arc::new(entity(ctx, project, &repository(ctx, project).commit(&id).await?));
    ctx.commits.put(project.id, Arc::clone(&commit));
    Ok(commit)
}

/// A commit as the API shows it.
pub fn entity(ctx: &Ctx, project: &Project, commit: &weir_git::Commit) -> Commit {
    let date = |signature: &weir_git::Signature| {
        Some(CommitDate::from_git(signature.seconds, signature.offset_minutes))
    };
    Commit {
        id: commit.id.to_string(),
        short_id: commit.id.short().to_owned(),
        created_at: date(&commit.committer),
        parent_ids: commit.parents.iter().map(ToString::to_string).collect(),
        title: commit.title().to_owned(),
        message: commit.message.clone(),
        author_name: commit.author.name.clone(),
        author_email: commit.author.email.clone(),
        authored_date: date(&commit.author),
        committer_name: commit.committer.name.clone(),
        committer_email: commit.committer.email.clone(),
        committed_date: date(&commit.committer),
        trailers: commit.trailers().into_iter().map(|(key, value)| (key, value.into())).collect(),
        extended_trailers: serde_json::Map::new(),
        web_url: ctx.url(&format!("/{}/-/commit/{}", project.full_path, commit.id)),
    }
}
