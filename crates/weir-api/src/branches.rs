//! Branches, protected ones too. Source: `lib/api/entities/{branch,protected_branch,protected_ref_access}.rb`.

use serde::{Deserialize, Serialize};

use crate::AccessLevel;
use crate::commits::Commit;
use crate::id::{GroupId, UserId};

/// A branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// Its last commit.
    pub commit: Commit,
    /// Whether the default branch contains it.
    #[serde(default)]
    pub merged: bool,
    /// Whether it is protected.
    #[serde(default)]
    pub protected: bool,
    /// Whether developers may push.
    #[serde(default)]
    pub developers_can_push: bool,
    /// Whether developers may merge.
    #[serde(default)]
    pub developers_can_merge: bool,
    /// Whether the caller may push.
    #[serde(default)]
    pub can_push: bool,
    /// Whether it is the default branch.
    #[serde(default)]
    pub default: bool,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
}

/// A protected branch, or a pattern of such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedBranch {
    /// The number of the protection.
    pub id: i64,
    /// The branch or pattern.
    pub name: String,
    /// Who may push.
    #[serde(default)]
    pub push_access_levels: Vec<ProtectedRefAccess>,
    /// Who may merge.
    #[serde(default)]
    pub merge_access_levels: Vec<ProtectedRefAccess>,
    /// Whether those may also force-push.
    #[serde(default)]
    pub allow_force_push: bool,
}

/// Who may do something to a protected ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedRefAccess {
    /// The number of the rule.
    pub id: i64,
    /// From which level.
    pub access_level: AccessLevel,
    /// That in words.
    #[serde(default)]
    pub access_level_description: String,
    /// A deploy key.
    #[serde(default)]
    pub deploy_key_id: Option<i64>,
    /// One user.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// One group.
    #[serde(default)]
    pub group_id: Option<GroupId>,
}
