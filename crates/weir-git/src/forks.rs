//! One repository takes from another on the same disk: forks, and what merge requests bring from them.

use crate::error::Error;
use crate::limits::{MAINTENANCE_TIMEOUT, PROCESS_TIMEOUT};
use crate::names::{BranchName, ObjectId, RefName};
use crate::repositories::Repository;

impl Repository {
    /// Creates it as a copy of another: its branches, or only one of them, its tags, and its default branch. Other
    /// references are not copied. It shares no object with the other, so either may be deleted.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`], [`Error::NoRepository`].
    pub async fn create_fork(&self, of: &Self, only: Option<&BranchName>) -> Result<(), Error> {
        let default = of.default_branch().await?.ok_or(Error::NoRepository)?;
        self.create(only.unwrap_or(&default)).await?;
        let branches = match only {
            Some(branch) => format!("+{0}:{0}", branch.to_ref()),
            None => "+refs/heads/*:refs/heads/*".to_owned(),
        };
        let fetched = self.fetch(of, &[&branches, "+refs/tags/*:refs/tags/*"], MAINTENANCE_TIMEOUT).await;
        if fetched.is_err() {
            self.delete().await?;
        }
        fetched
    }

    /// Takes a commit with its history from another repository and points a reference at it.
    pub async fn take(&self, commit: &ObjectId, from: &Self, name: &RefName) -> Result<(), Error> {
        self.fetch(from, &[&format!("+{commit}:{name}")], PROCESS_TIMEOUT).await
    }

    async fn fetch(&self, from: &Self, refspecs: &[&str], timeout: std::time::Duration) -> Result<(), Error> {
        self.git("fetch")
            .config("protocol.file.allow", "always")
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--"])
            .arg(from.path())
            .args(refspecs)
            .timeout(timeout)
            .output()
            .await?;
        Ok(())
    }
}
