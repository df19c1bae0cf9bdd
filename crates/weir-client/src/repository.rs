//! The repository of a project: branches, tags, commits, files and the tree.

use reqwest::Method;
use serde_json::Value;
use weir_api::branches::{Branch, ProtectedBranch};
use weir_api::commits::{Commit, CommitAction, CommitActionKind, CommitDetail, CommitRef};
use weir_api::files::{File, FileChange};
use weir_api::tags::{ProtectedTag, Tag};
use weir_api::tree::TreeEntry;
use weir_api::{AccessLevel, Timestamp};

use crate::action::{Action, List, list, request};
use crate::error::{Error, Result};
use crate::path::segment;
use crate::projects::ProjectHandle;
use crate::stream::Download;

list! {
    /// Branches: `GET /projects/:id/repository/branches`.
    ListBranches<Branch> {
        /// Whose name has this text.
        search("search"): &str,
    }

    /// Tags: `GET /projects/:id/repository/tags`.
    ListTags<Tag> {
        /// Whose name has this text.
        search("search"): &str,
    }

    /// Commits, newest first: `GET /projects/:id/repository/commits`.
    ListCommits<Commit> {
        /// Of this branch, tag or range.
        ref_name("ref_name"): &str,
        /// After this.
        since("since"): Timestamp,
        /// Before this.
        until("until"): Timestamp,
        /// Which changed this path.
        path("path"): &str,
        /// Of all branches.
        all_refs("all"): bool,
    }

    /// Entries of a directory: `GET /projects/:id/repository/tree`.
    ListTree<TreeEntry> {
        /// Of this directory.
        path("path"): &str,
        /// In this branch, tag or commit.
        ref_("ref"): &str,
        /// And of those within.
        recursive("recursive"): bool,
    }
}

request! {
    /// A new tag: `POST /projects/:id/repository/tags`.
    CreateTag(Action<Tag>) -> Tag {
        /// Makes it an annotated tag.
        message("message"): &str,
    }

    /// A new protection: `POST /projects/:id/protected_branches`.
    ProtectBranch(Action<ProtectedBranch>) -> ProtectedBranch {
        /// Who may push.
        push_access_level("push_access_level"): AccessLevel,
        /// Who may merge.
        merge_access_level("merge_access_level"): AccessLevel,
        /// Whether those who may push may also force-push.
        allow_force_push("allow_force_push"): bool,
    }

    /// A file: `GET /projects/:id/repository/files/:path`.
    GetFile(Action<File>) -> File {
        /// In this branch, tag or commit; the default branch unless given.
        ref_("ref"): &str,
    }

    /// A new or changed file: `POST` or `PUT /projects/:id/repository/files/:path`.
    WriteFile(Action<FileChange>) -> FileChange {
        /// The branch to begin at, if the other is new.
        start_branch("start_branch"): &str,
        /// `text`, unless `base64` is given.
        encoding("encoding"): &str,
        /// Who wrote it.
        author_name("author_name"): &str,
        /// The author's address.
        author_email("author_email"): &str,
        /// The commit that the caller knows of; a later change of the file refuses the call.
        last_commit_id("last_commit_id"): &str,
        /// Whether it is executable.
        execute_filemode("execute_filemode"): bool,
    }
}

/// A new commit: `POST /projects/:id/repository/commits`.
#[must_use = "nothing is sent before `send` is awaited"]
#[derive(Debug, Clone)]
pub struct CreateCommit {
    action: Action<CommitDetail>,
    actions: Vec<CommitAction>,
}

impl CreateCommit {
    /// Adds an action as it is.
    pub fn action(mut self, action: CommitAction) -> Self {
        self.actions.push(action);
        self
    }

    fn plain(self, action: CommitActionKind, path: &str, content: Option<&str>) -> Self {
        self.action(CommitAction {
            action,
            file_path: path.to_owned(),
            previous_path: None,
            content: content.map(str::to_owned),
            encoding: None,
            last_commit_id: None,
            execute_filemode: None,
        })
    }

    /// Makes a file.
    pub fn create(self, path: &str, content: &str) -> Self {
        self.plain(CommitActionKind::Create, path, Some(content))
    }

    /// Changes a file.
    pub fn update(self, path: &str, content: &str) -> Self {
        self.plain(CommitActionKind::Update, path, Some(content))
    }

    /// Deletes a file.
    pub fn delete(self, path: &str) -> Self {
        self.plain(CommitActionKind::Delete, path, None)
    }

    /// Renames a file.
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        self = self.plain(CommitActionKind::Move, to, None);
        if let Some(action) = self.actions.last_mut() {
            action.previous_path = Some(from.to_owned());
        }
        self
    }

    /// The branch to begin at, if the commit's own is new.
    pub fn start_branch(mut self, branch: &str) -> Self {
        self.action = self.action.param("start_branch", branch);
        self
    }

    /// Adds a parameter for which there is no method.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.action = self.action.param(name, value);
        self
    }

    /// Makes the commit.
    pub async fn send(mut self) -> Result<CommitDetail> {
        let actions = serde_json::to_value(&self.actions);
        let attempt = self.action.call_mut().attempt();
        let actions = actions.map_err(|source| Error::Decode { attempt, source })?;
        self.action.param("actions", actions).send().await
    }
}

impl ProjectHandle {
    fn repository(&self, rest: impl std::fmt::Display) -> String {
        self.under(format_args!("repository/{rest}"))
    }

    /// Its branches.
    pub fn branches(&self) -> ListBranches {
        ListBranches(List::new(&self.client, self.repository("branches")))
    }

    /// One branch.
    pub fn branch(&self, name: &str) -> Action<Branch> {
        let path = self.repository(format_args!("branches/{}", segment(name)));
        Action::json(&self.client, Method::GET, path)
    }

    /// Makes a branch from another, a tag or a commit.
    pub fn create_branch(&self, name: &str, from: &str) -> Action<Branch> {
        let action = Action::json(&self.client, Method::POST, self.repository("branches"));
        action.param("branch", name).param("ref", from)
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, name: &str) -> Action<()> {
        let path = self.repository(format_args!("branches/{}", segment(name)));
        Action::done(&self.client, Method::DELETE, path)
    }

    /// Its protected branches.
    pub fn protected_branches(&self) -> List<ProtectedBranch> {
        List::new(&self.client, self.under("protected_branches"))
    }

    /// Protects a branch, or all that match a pattern.
    pub fn protect_branch(&self, name: &str) -> ProtectBranch {
        let action = Action::json(&self.client, Method::POST, self.under("protected_branches"));
        ProtectBranch(action).param("name", name)
    }

    /// Ends a protection.
    pub fn unprotect_branch(&self, name: &str) -> Action<()> {
        let path = self.under(format_args!("protected_branches/{}", segment(name)));
        Action::done(&self.client, Method::DELETE, path)
    }

    /// Its tags.
    pub fn tags(&self) -> ListTags {
        ListTags(List::new(&self.client, self.repository("tags")))
    }

    /// One tag.
    pub fn tag(&self, name: &str) -> Action<Tag> {
        let path = self.repository(format_args!("tags/{}", segment(name)));
        Action::json(&self.client, Method::GET, path)
    }

    /// Makes a tag of a branch, tag or commit.
    pub fn create_tag(&self, name: &str, of: &str) -> CreateTag {
        let action = Action::json(&self.client, Method::POST, self.repository("tags"));
        CreateTag(action.param("tag_name", name).param("ref", of))
    }

    /// Deletes a tag.
    pub fn delete_tag(&self, name: &str) -> Action<()> {
        let path = self.repository(format_args!("tags/{}", segment(name)));
        Action::done(&self.client, Method::DELETE, path)
    }

    /// Its protected tags.
    pub fn protected_tags(&self) -> List<ProtectedTag> {
        List::new(&self.client, self.under("protected_tags"))
    }

    /// Its commits.
    pub fn commits(&self) -> ListCommits {
        ListCommits(List::new(&self.client, self.repository("commits")))
    }

    /// One commit, by its name, or that of a branch or tag.
    pub fn commit(&self, sha: &str) -> Action<CommitDetail> {
        let path = self.repository(format_args!("commits/{}", segment(sha)));
        Action::json(&self.client, Method::GET, path)
    }

    /// The branches and tags that contain a commit.
    pub fn commit_refs(&self, sha: &str) -> List<CommitRef> {
        List::new(&self.client, self.repository(format_args!("commits/{}/refs", segment(sha))))
    }

    /// Makes a commit on a branch.
    pub fn create_commit(&self, branch: &str, message: &str) -> CreateCommit {
        let action = Action::json(&self.client, Method::POST, self.repository("commits"));
        let action = action.param("branch", branch).param("commit_message", message);
        CreateCommit { action, actions: Vec::new() }
    }

    fn file_path(&self, path: &str) -> String {
        self.repository(format_args!("files/{}", segment(path)))
    }

    /// A file with what is known about it.
    pub fn file(&self, path: &str) -> GetFile {
        GetFile(Action::json(&self.client, Method::GET, self.file_path(path))).param("ref", "HEAD")
    }

    /// A file's content in a branch, tag or commit.
    pub fn raw_file(&self, path: &str, ref_name: &str) -> Download {
        let path = format!("{}/raw", self.file_path(path));
        Download::new(self.client.call(Method::GET, path)).param("ref", ref_name)
    }

    fn write_file(
        &self,
        method: Method,
        path: &str,
        branch: &str,
        content: &str,
        message: &str,
    ) -> WriteFile {
        let action = Action::json(&self.client, method, self.file_path(path));
        let action = action.param("branch", branch).param("content", content);
        WriteFile(action.param("commit_message", message))
    }

    /// Makes a file by a commit.
    pub fn create_file(&self, path: &str, branch: &str, content: &str, message: &str) -> WriteFile {
        self.write_file(Method::POST, path, branch, content, message)
    }

    /// Changes a file by a commit.
    pub fn update_file(&self, path: &str, branch: &str, content: &str, message: &str) -> WriteFile {
        self.write_file(Method::PUT, path, branch, content, message)
    }

    /// Deletes a file by a commit.
    pub fn delete_file(&self, path: &str, branch: &str, message: &str) -> Action<()> {
        let action = Action::done(&self.client, Method::DELETE, self.file_path(path));
        action.param("branch", branch).param("commit_message", message)
    }

    /// Entries of a directory.
    pub fn tree(&self) -> ListTree {
        ListTree(List::new(&self.client, self.repository("tree")))
    }
}
