//! Groups. Source: `lib/api/entities/{basic_group_details,group}.rb`.

use serde::{Deserialize, Serialize};

use crate::id::GroupId;
use crate::lenient::null_as_default;
use crate::{Extra, Secret, Timestamp, Visibility};

/// A group as runners name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicGroupDetails {
    /// The group.
    pub id: GroupId,
    /// Its page.
    #[serde(default)]
    pub web_url: String,
    /// Its name.
    pub name: String,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What names it.
    #[serde(flatten)]
    pub basic: BasicGroupDetails,
    /// The last part of its path.
    pub path: String,
    /// A text for people.
    #[serde(default, deserialize_with = "null_as_default")]
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether it may be shared with other groups.
    #[serde(default)]
    pub share_with_group_lock: bool,
    /// The lowest role that may make subgroups.
    #[serde(default)]
    pub subgroup_creation_level: Option<String>,
    /// The lowest role that may make projects.
    #[serde(default)]
    pub project_creation_level: Option<String>,
    /// Whether instance runners run jobs of its projects.
    #[serde(default)]
    pub shared_runners_setting: Option<String>,
    /// The default branch of new projects.
    pub default_branch: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its name after those of the groups around it.
    #[serde(default)]
    pub full_name: String,
    /// Its whole path.
    pub full_path: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// The group around it.
    pub parent_id: Option<GroupId>,
    /// The registration token for runners; Owners see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runners_token: Option<Secret>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

crate::inherits!(Group => basic: BasicGroupDetails);
