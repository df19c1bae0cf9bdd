//! Merges without a work tree.

use crate::error::Error;
use crate::limits::MAX_COMMITS_PER_PAGE;
use crate::names::ObjectId;
use crate::objects::{Commit, Signature};
use crate::refs::lines;
use crate::repositories::Repository;

/// A merge commit to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMerge {
    /// The commit that is merged into: the first parent.
    pub into: ObjectId,
    /// The commit that is merged: the second parent.
    pub commit: ObjectId,
    /// The message.
    pub message: String,
    /// Who merges.
    pub author: Signature,
}

impl Repository {
    /// Whether two commits merge without a conflict. Histories without a common commit do not.
    pub async fn merges_cleanly(&self, into: &ObjectId, commit: &ObjectId) -> Result<bool, Error> {
        Ok(self.merged_tree(into, commit).await?.is_some())
    }

    /// Makes a merge commit that nothing refers to yet; `None` if there are conflicts.
    pub async fn prepare_merge(&self, new: &NewMerge) -> Result<Option<ObjectId>, Error> {
        let Some(tree) = self.merged_tree(&new.into, &new.commit).await? else { return Ok(None) };
        let message = new.message.replace('\0', "");
        let author = new.author.to_git();
        let (into, commit) = (&new.into, &new.commit);
        let object = format!(
            "tree {tree}\nparent {into}\nparent {commit}\nauthor {author}\ncommitter {author}\n\n{message}"
        );
        let args = ["-t", "commit", "-w", "--stdin"];
        let id = self.git("hash-object").args(args).output_with_input(object.as_bytes()).await?;
        Ok(Some(ObjectId::new(String::from_utf8_lossy(&id).trim())?))
    }

    async fn merged_tree(&self, into: &ObjectId, commit: &ObjectId) -> Result<Option<ObjectId>, Error> {
        if self.merge_base(into, commit).await?.is_none() {
            return Ok(None);
        }
        let args = ["--write-tree", "--no-messages", into.as_str(), commit.as_str()];
        let (output, ended) = self.git("merge-tree").args(args).finish_with_input(&[]).await?;
        if ended.code() == Some(1) {
            return Ok(None);
        }
        ended.success()?;
        lines(&output).next().map(|id| Ok(ObjectId::new(id)?)).transpose()
    }

    /// The commits that can be reached from `to` and not from `from`, newest first; at most `limit`.
    pub async fn commits_between(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        limit: usize,
    ) -> Result<Vec<Commit>, Error> {
        let limit = format!("--max-count={}", limit.min(MAX_COMMITS_PER_PAGE));
        let args = [limit.as_str(), to.as_str(), &format!("^{from}"), "--"];
        let output = self.git("rev-list").args(args).output().await?;
        let mut commits = Vec::new();
        for id in lines(&output) {
            commits.push(self.commit(&ObjectId::new(id)?).await?);
        }
        Ok(commits)
    }
}
