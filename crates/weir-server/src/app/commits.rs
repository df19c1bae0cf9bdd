//! Commits as the API shows them. They never change, so they are kept once read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use weir_api::commits::{Commit, CommitActionKind, CommitDate};
use weir_api::id::ProjectId;
use weir_git::{
    Action, BranchName, CommitFilter, CommitStats, Conflict, Error as GitError, ObjectId, RefName, RepoPath,
    Repository, Signature, Start,
};
use weir_store::pipelines::{self, Pipeline};
use weir_store::projects::Project;
use weir_store::users::User;

use super::access::Access;
use super::{git_access, pushes};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

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

/// The branch or tag that somebody wants a pipeline for, by its short or full name, and its commit.
///
/// # Errors
/// 400 if there is none, or a short name is both.
pub async fn branch_or_tag(ctx: &Ctx, project: &Project, name: &str) -> Result<(RefName, ObjectId)> {
    let not_found = || Error::base("Reference not found");
    let resolved = match repository(ctx, project).resolve_ref(name).await {
        Err(GitError::NoRepository) => None,
        other => other?,
    };
    let resolved = resolved.ok_or_else(not_found)?;
    Ok((resolved.name.ok_or_else(not_found)?, resolved.commit))
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

/// The branch with which a project begins that names none.
pub const FIRST_BRANCH: &str = "main";
/// Why a commit is refused on a branch to which its author may not push.
pub const NO_PUSH: &str = "You are not allowed to push into this branch";

/// The repository of a project, made if it does not exist yet.
pub async fn ensured(ctx: &Ctx, project: &Project) -> Result<Repository> {
    let repository = repository(ctx, project);
    if !repository.exists().await {
        let name = project.default_branch.as_deref().unwrap_or(FIRST_BRANCH);
        match repository.create(&BranchName::new(name)?).await {
            // Somebody else was faster.
            Ok(()) | Err(GitError::RepositoryExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(repository)
}

/// A commit with what happened to it.
#[derive(Debug, Clone)]
pub struct CommitDetails {
    /// The commit.
    pub commit: weir_git::Commit,
    /// How much it changed, if that was asked for.
    pub stats: Option<CommitStats>,
    /// Its last pipeline.
    pub last_pipeline: Option<Pipeline>,
}

/// The commit that a branch, a tag or the name of a commit means.
pub async fn resolve(ctx: &Ctx, project: &Project, revision: &str) -> Result<weir_git::Commit> {
    let repository = repository(ctx, project);
    let resolved = match repository.resolve(revision).await {
        Err(GitError::NoRepository) => None,
        other => other?,
    };
    let id = resolved.ok_or(Error::NotFound("Commit"))?.commit;
    Ok(repository.commit(&id).await?)
}

/// A commit with what happened to it.
pub async fn details(
    ctx: &Ctx,
    project: &Project,
    commit: weir_git::Commit,
    stats: bool,
) -> Result<CommitDetails> {
    let stats = if stats { Some(repository(ctx, project).stats(&commit).await?) } else { None };
    let (id, sha) = (project.id, commit.id.to_string());
    let last_pipeline = ctx.db.read(move |tx| pipelines::latest_of_commit(tx, id, &sha)).await?;
    Ok(CommitDetails { commit, stats, last_pipeline })
}

/// One page of the history of a ref, and whether it goes on.
pub async fn list(
    ctx: &Ctx,
    project: &Project,
    git_ref: Option<&str>,
    filter: &CommitFilter,
    page: Page,
) -> Result<(Vec<weir_git::Commit>, bool)> {
    let repository = repository(ctx, project);
    let git_ref = git_ref.or(project.default_branch.as_deref()).unwrap_or("HEAD");
    let resolved = match repository.resolve(git_ref).await {
        Err(GitError::NoRepository) => return Err(Error::NotFound("Repository")),
        other => other?,
    };
    let from = match resolved {
        Some(resolved) => resolved.commit,
        None if filter.all && !repository.is_empty().await? => ObjectId::zero(),
        None => return Ok((Vec::new(), false)),
    };
    let number = |count: i64| usize::try_from(count).unwrap_or_default();
    let (start, count) = (number(page.offset()), number(page.per_page));
    let mut commits = repository.commits(&from, filter, start..start + count + 1).await?;
    let more = commits.len() > count;
    commits.truncate(count);
    Ok((commits, more))
}

/// How many lines a commit changed.
pub async fn stats(ctx: &Ctx, project: &Project, commit: &weir_git::Commit) -> Result<CommitStats> {
    Ok(repository(ctx, project).stats(commit).await?)
}

/// The branches and tags that hold a commit.
pub async fn refs(ctx: &Ctx, project: &Project, revision: &str) -> Result<Vec<RefName>> {
    let commit = resolve(ctx, project, revision).await?;
    Ok(repository(ctx, project).refs_containing(&commit.id).await?)
}

/// One change of a file, as it was asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happens.
    pub kind: CommitActionKind,
    /// To which file.
    pub path: String,
    /// Where a moved file was.
    pub previous_path: Option<String>,
    /// What it holds from now on.
    pub content: Option<Vec<u8>>,
    /// The last commit of the file that the caller knows.
    pub last_commit_id: Option<String>,
    /// Whether it may be executed.
    pub executable: Option<bool>,
}

impl Change {
    /// A change of one file and no more.
    pub fn file(kind: CommitActionKind, path: &str, content: Option<Vec<u8>>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            previous_path: None,
            content,
            last_commit_id: None,
            executable: None,
        }
    }

    /// The actions that it takes.
    fn actions(self) -> Result<impl Iterator<Item = Action>> {
        let path = RepoPath::new(self.path)?;
        // What is no commit's name is not the name of the last commit either.
        let last_commit_id = self
            .last_commit_id
            .filter(|id| !id.is_empty())
            .map(|id| ObjectId::new(id).unwrap_or_else(|_| ObjectId::zero()));
        let chmod = self.executable.map(|executable| Action::Chmod { path: path.clone(), executable });
        let content = self.content;
        let (action, chmod) = match self.kind {
            CommitActionKind::Create => {
                let executable = self.executable.unwrap_or_default();
                (Some(Action::Create { path, content: content.unwrap_or_default(), executable }), None)
            }
            CommitActionKind::Update => {
                (Some(Action::Update { path, content: content.unwrap_or_default(), last_commit_id }), chmod)
            }
            CommitActionKind::Move => {
                let previous_path = RepoPath::new(self.previous_path.unwrap_or_default())?;
                (Some(Action::Move { path, previous_path, content, last_commit_id }), chmod)
            }
            CommitActionKind::Delete => (Some(Action::Delete { path, last_commit_id }), None),
            CommitActionKind::Chmod => (None, chmod),
        };
        Ok(action.into_iter().chain(chmod))
    }
}

/// A commit to make.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// The branch that gets it.
    pub branch: String,
    /// The branch at which a new one begins.
    pub start_branch: Option<String>,
    /// The commit at which a new branch begins.
    pub start_sha: Option<String>,
    /// Whether an existing branch may be thrown away in favour of the start.
    pub force: bool,
    /// The message.
    pub message: String,
    /// Who wrote it, if not the caller.
    pub author_name: Option<String>,
    /// The author's mail address.
    pub author_email: Option<String>,
    /// What changes, in order.
    pub changes: Vec<Change>,
}

impl NewCommit {
    /// A commit on a branch, by the caller.
    pub fn new(branch: String, message: String, changes: Vec<Change>) -> Self {
        Self {
            branch,
            start_branch: None,
            start_sha: None,
            force: false,
            message,
            author_name: None,
            author_email: None,
            changes,
        }
    }
}

/// Makes a commit and moves its branch, with all that a push brings about.
/// Source: `app/services/commits/create_service.rb`.
///
/// # Errors
/// 400 in GitLab's words.
pub async fn create(ctx: &Ctx, access: &Access, user: &User, new: NewCommit) -> Result<weir_git::Commit> {
    let refused = |text: String| Error::Invalid(text.into());
    let Ok(branch) = BranchName::new(new.branch.as_str()) else {
        let differs =
            new.start_sha.is_some() || new.start_branch.as_ref().is_some_and(|it| *it != new.branch);
        return Err(refused(if differs {
            let name = &new.branch;
            format!("Something went wrong when we tried to create '{name}' for you: Branch name is invalid")
        } else {
            Conflict::NotOnBranch.to_string()
        }));
    };
    if !git_access::may_push(ctx, access, &branch).await? {
        return Err(refused(NO_PUSH.to_owned()));
    }
    let repository = ensured(ctx, &access.project).await?;
    let start = match (new.start_sha, new.start_branch) {
        (Some(sha), _) => {
            let id = ObjectId::new(sha.as_str());
            let id = id.map_err(|_| refused(format!("Invalid start_sha '{sha}'")))?;
            repository.commit(&id).await.map_err(|error| match error {
                GitError::NotFound(_) => refused(format!("Cannot find start_sha '{sha}'")),
                other => other.into(),
            })?;
            Some(Start::Commit(id))
        }
        (None, Some(name)) => {
            let name = BranchName::new(name).map_err(|_| refused(Conflict::NotOnBranch.to_string()))?;
            Some(Start::Branch(name))
        }
        (None, None) => None,
    };
    let mut actions = Vec::with_capacity(new.changes.len());
    for change in new.changes {
        actions.extend(change.actions()?);
    }
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let committer = Signature::new(&user.name, &user.email, ctx.now());
    let author = Signature {
        name: filled(new.author_name).unwrap_or_else(|| user.name.clone()),
        email: filled(new.author_email).unwrap_or_else(|| user.email.clone()),
        ..committer.clone()
    };
    let message = new.message;
    let new = weir_git::NewCommit { branch, start, force: new.force, message, author, committer, actions };
    let update = repository.prepare_commit(&new).await?;
    pushes::by_api(ctx, access, user, &update).await?;
    Ok(repository.commit(&update.new).await?)
}
