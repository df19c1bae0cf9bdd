//! History: single commits, lists, relations, differences.

use std::ops::Range;

use weir_api::Timestamp;

use crate::error::{Error, What};
use crate::limits::MAX_COMMITS_PER_PAGE;
use crate::names::{ObjectId, RepoPath};
use crate::objects::Commit;
use crate::process::Git;
use crate::refs::{lines, read_commit};
use crate::repositories::Repository;

/// Which commits a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitFilter {
    /// Only commits that change this file or directory.
    pub path: Option<RepoPath>,
    /// Only commits at or after this time.
    pub since: Option<Timestamp>,
    /// Only commits at or before this time.
    pub until: Option<Timestamp>,
    /// Follow only the first parent of a merge.
    pub first_parent: bool,
    /// Begin at every branch and tag instead of one commit.
    pub all: bool,
}

/// How many lines a commit changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Lines added.
    pub additions: u64,
    /// Lines deleted.
    pub deletions: u64,
}

/// The files that a commit changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedFiles {
    /// New ones.
    pub added: Vec<String>,
    /// Those with another content, mode or name.
    pub modified: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
}

impl CommitStats {
    /// Both together.
    pub fn total(self) -> u64 {
        self.additions + self.deletions
    }
}

impl Repository {
    /// One commit.
    pub async fn commit(&self, id: &ObjectId) -> Result<Commit, Error> {
        read_commit(&mut self.reader().await?, id).await?.ok_or(Error::NotFound(What::Commit))
    }

    /// The commits that can be reached from `from`, newest first.
    pub async fn commits(
        &self,
        from: &ObjectId,
        filter: &CommitFilter,
        page: Range<usize>,
    ) -> Result<Vec<Commit>, Error> {
        let mut reader = self.reader().await?;
        let count = page.len().min(MAX_COMMITS_PER_PAGE);
        let list =
            self.git("rev-list").arg(format!("--skip={}", page.start)).arg(format!("--max-count={count}"));
        let ids = restrict(list, from, filter).output().await?;
        let mut commits = Vec::new();
        for id in lines(&ids) {
            let id = ObjectId::new(id)?;
            commits.push(read_commit(&mut reader, &id).await?.ok_or(Error::NotFound(What::Commit))?);
        }
        Ok(commits)
    }

    /// How many commits [`Repository::commits`] has on all pages.
    pub async fn count_commits(&self, from: &ObjectId, filter: &CommitFilter) -> Result<u64, Error> {
        let output = restrict(self.git("rev-list").arg("--count"), from, filter).output().await?;
        let text = String::from_utf8_lossy(&output);
        text.trim().parse().map_err(|_| Error::Unexpected(format!("rev-list --count printed {text}")))
    }

    /// The newest commit up to `from` that changed this file or directory.
    pub async fn last_commit_for_path(
        &self,
        from: &ObjectId,
        path: &RepoPath,
    ) -> Result<Option<ObjectId>, Error> {
        let list = self.git("rev-list").args(["--max-count=1", from.as_str(), "--", path.as_str()]);
        let output = list.output().await?;
        lines(&output).next().map(|id| Ok(ObjectId::new(id)?)).transpose()
    }

    /// How many lines a commit changed against its first parent.
    pub async fn stats(&self, commit: &Commit) -> Result<CommitStats, Error> {
        let diff = self.git("diff-tree").args(["-r", "-M", "--numstat", "--no-commit-id"]);
        let diff = match commit.parents.first() {
            Some(parent) => diff.args([parent, &commit.id]),
            None => diff.arg("--root").arg(&commit.id),
        };
        let mut stats = CommitStats::default();
        for line in lines(&diff.output().await?) {
            let mut fields = line.split('\t');
            // A binary file has dashes here and counts nothing.
            stats.additions += fields.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
            stats.deletions += fields.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(stats)
    }

    /// The newest commits up to `to` that cannot be reached from `known`, at most `limit`, and how many there are.
    pub async fn new_commits(
        &self,
        known: Option<&ObjectId>,
        to: &ObjectId,
        limit: usize,
    ) -> Result<(Vec<Commit>, u64), Error> {
        let list = |git: Git| {
            let git = git.arg(to);
            known.into_iter().fold(git, |git, known| git.arg(format!("^{known}"))).arg("--")
        };
        let ids = list(self.git("rev-list").arg(format!("--max-count={limit}"))).output().await?;
        let count = list(self.git("rev-list").arg("--count")).output().await?;
        let mut reader = self.reader().await?;
        let mut commits = Vec::new();
        for id in lines(&ids) {
            let id = ObjectId::new(id)?;
            commits.push(read_commit(&mut reader, &id).await?.ok_or(Error::NotFound(What::Commit))?);
        }
        let text = String::from_utf8_lossy(&count);
        let count = text.trim().parse();
        Ok((commits, count.map_err(|_| Error::Unexpected(format!("rev-list --count printed {text}")))?))
    }

    /// The files that a commit added, modified and removed against its first parent; of a renamed file the new path,
    /// as modified.
    pub async fn changed_files(&self, commit: &Commit) -> Result<ChangedFiles, Error> {
        let diff = self.git("diff-tree").args(["-r", "-z", "-M", "--name-status", "--no-commit-id"]);
        let diff = match commit.parents.first() {
            Some(parent) => diff.args([parent, &commit.id]),
            None => diff.arg("--root").arg(&commit.id),
        };
        let output = diff.output().await?;
        let mut fields = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mut files = ChangedFiles::default();
        while let Some(status) = fields.next().filter(|status| !status.is_empty()) {
            if status.starts_with(['R', 'C']) {
                fields.next();
            }
            let Some(path) = fields.next() else { break };
            let list = match status.chars().next() {
                Some('A') => &mut files.added,
                Some('D') => &mut files.removed,
                _ => &mut files.modified,
            };
            list.push(path.into_owned());
        }
        Ok(files)
    }

    /// The best common ancestor of two commits.
    pub async fn merge_base(&self, one: &ObjectId, other: &ObjectId) -> Result<Option<ObjectId>, Error> {
        let (output, ended) = self.git("merge-base").args([one, other]).finish_with_input(&[]).await?;
        if ended.code() == Some(1) && output.is_empty() {
            return Ok(None);
        }
        ended.success()?;
        lines(&output).next().map(|id| Ok(ObjectId::new(id)?)).transpose()
    }

    /// Whether `ancestor` can be reached from `descendant`; a commit is its own ancestor.
    pub async fn is_ancestor(&self, ancestor: &ObjectId, descendant: &ObjectId) -> Result<bool, Error> {
        let args = ["--is-ancestor", ancestor.as_str(), descendant.as_str()];
        let (_, ended) = self.git("merge-base").args(args).finish_with_input(&[]).await?;
        if ended.code() == Some(1) {
            return Ok(false);
        }
        ended.success().map(|()| true)
    }

    /// The paths that differ between two commits, for `rules:changes`; of a renamed file the new path, as in
    /// GitLab's `diff_stats`.
    ///
    /// `None` if one side is [`ObjectId::zero`], as `before` of a new branch is: GitLab knows no changed paths then
    /// and takes every `changes` rule as fulfilled. For `compare_to` the caller passes the merge base.
    pub async fn changed_paths(&self, old: &ObjectId, new: &ObjectId) -> Result<Option<Vec<String>>, Error> {
        if old.is_zero() || new.is_zero() {
            return Ok(None);
        }
        let args = ["-r", "-z", "-M", "--name-status", "--no-commit-id", old.as_str(), new.as_str()];
        let output = self.git("diff-tree").args(args).output().await?;
        let mut fields = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mut paths = Vec::new();
        while let Some(status) = fields.next().filter(|status| !status.is_empty()) {
            if status.starts_with(['R', 'C']) {
                fields.next();
            }
            paths.extend(fields.next().map(Into::into));
        }
        Ok(Some(paths))
    }
}

fn restrict(git: Git, from: &ObjectId, filter: &CommitFilter) -> Git {
    let mut git = if filter.all { git.args(["--branches", "--tags"]) } else { git.arg(from) };
    if let Some(since) = filter.since {
        git = git.arg(format!("--max-age={}", since.as_secs()));
    }
    if let Some(until) = filter.until {
        git = git.arg(format!("--min-age={}", until.as_secs()));
    }
    if filter.first_parent {
        git = git.arg("--first-parent");
    }
    git.arg("--").args(&filter.path)
}
