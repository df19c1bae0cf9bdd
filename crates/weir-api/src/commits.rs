//! Commits. Source: `lib/api/entities/commit*.rb`.

use serde::{Deserialize, Serialize};

use crate::id::ProjectId;
use crate::lenient::null_as_default;
use crate::pipelines::PipelineBasic;
use crate::status::JobStatus;
use crate::{Extra, Timestamp, Word};

/// A time in a commit: the text keeps the offset of whoever made the commit, `2012-09-20T09:06:12.000+03:00`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitDate(String);

impl CommitDate {
    /// From seconds since 1970 and an offset from UTC in minutes, as Git keeps them.
    pub fn from_git(secs: i64, offset_minutes: i32) -> Self {
        let offset = jiff::tz::Offset::from_seconds(offset_minutes.saturating_mul(60));
        let at = jiff::Timestamp::from_second(secs).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let civil = offset.unwrap_or(jiff::tz::Offset::UTC).to_datetime(at);
        let (sign, minutes) = if offset_minutes < 0 { ('-', -offset_minutes) } else { ('+', offset_minutes) };
        let date = civil.strftime("%Y-%m-%dT%H:%M:%S");
        Self(format!("{date}.000{sign}{:02}:{:02}", minutes / 60, minutes % 60))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The point in time, if the text is one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }
}

impl From<String> for CommitDate {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Display for CommitDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its name.
    pub id: String,
    /// The first 8 digits of its name.
    #[serde(default)]
    pub short_id: String,
    /// The same as `committed_date`.
    pub created_at: Option<CommitDate>,
    /// The commits before it.
    #[serde(default)]
    pub parent_ids: Vec<String>,
    /// The message's first line.
    #[serde(default)]
    pub title: String,
    /// The message.
    #[serde(default)]
    pub message: String,
    /// Who wrote it.
    #[serde(default)]
    pub author_name: String,
    /// The author's address.
    #[serde(default)]
    pub author_email: String,
    /// When it was written.
    pub authored_date: Option<CommitDate>,
    /// Who committed it.
    #[serde(default)]
    pub committer_name: String,
    /// The committer's address.
    #[serde(default)]
    pub committer_email: String,
    /// When it was committed.
    pub committed_date: Option<CommitDate>,
    /// The message's trailers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub trailers: Extra,
    /// The message's trailers, all values of each.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extended_trailers: Extra,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
}

/// A commit with what happened to it: `GET …/repository/commits/:sha`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitDetail {
    /// The commit.
    #[serde(flatten)]
    pub commit: Commit,
    /// How much it changed; unless asked without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<CommitStats>,
    /// The status of its last pipeline.
    pub status: Option<Word<JobStatus>>,
    /// Its project.
    pub project_id: ProjectId,
    /// Its last pipeline.
    pub last_pipeline: Option<PipelineBasic>,
}

/// How many lines a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStats {
    /// Added.
    pub additions: i64,
    /// Deleted.
    pub deletions: i64,
    /// Both.
    pub total: i64,
}

/// A ref that contains a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRef {
    /// `branch` or `tag`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its short name.
    pub name: String,
}

crate::status::vocabulary! {
    /// What an action of a new commit does to a file.
    CommitActionKind, "commit action" {
        /// Makes it.
        Create = "create",
        /// Changes it.
        Update = "update",
        /// Renames it.
        Move = "move",
        /// Deletes it.
        Delete = "delete",
        /// Makes it executable, or not.
        Chmod = "chmod",
    }
}

/// One action of a new commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitAction {
    /// What to do.
    pub action: CommitActionKind,
    /// To which file.
    pub file_path: String,
    /// The path before a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_path: Option<String>,
    /// The new content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// `text` or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The commit that the caller knows of; a later change refuses the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_id: Option<String>,
    /// Whether the file is executable; for `chmod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execute_filemode: Option<bool>,
}

crate::inherits!(CommitDetail => commit: Commit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_date_keeps_its_offset() {
        for (secs, offset, text) in [
            (1_348_121_172, 180, "2012-09-20T09:06:12.000+03:00"),
            (1_348_121_172, -210, "2012-09-20T02:36:12.000-03:30"),
            (1_348_121_172, 0, "2012-09-20T06:06:12.000+00:00"),
        ] {
            let date = CommitDate::from_git(secs, offset);
            assert_eq!(date.as_str(), text);
            assert_eq!(date.timestamp().map(Timestamp::as_secs), Some(secs));
        }
    }
}
