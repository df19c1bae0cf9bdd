//! Users. Source: `lib/api/entities/user*.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{NamespaceId, UserId};
use crate::lenient::null_as_default;
use crate::{Date, Extra, Timestamp, UserState, Word};

/// A user as other entities name one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserBasic {
    /// The user.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// The address that the user shows.
    pub public_email: Option<String>,
    /// The full name.
    pub name: String,
    /// Whether the user may sign in.
    pub state: Option<Word<UserState>>,
    /// Whether sign-in is locked after failed attempts.
    #[serde(default)]
    pub locked: bool,
    /// The picture.
    pub avatar_url: Option<String>,
    /// The user's page.
    #[serde(default, deserialize_with = "null_as_default")]
    pub web_url: String,
}

/// What a user tells about themself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserProfile {
    /// When the account was made.
    pub created_at: Option<Timestamp>,
    /// About the user.
    #[serde(deserialize_with = "null_as_default")]
    pub bio: String,
    /// Where the user is.
    pub location: Option<String>,
    /// An account elsewhere.
    #[serde(deserialize_with = "null_as_default")]
    pub linkedin: String,
    /// An account elsewhere.
    #[serde(deserialize_with = "null_as_default")]
    pub twitter: String,
    /// An account elsewhere.
    #[serde(deserialize_with = "null_as_default")]
    pub discord: String,
    /// A page elsewhere.
    #[serde(deserialize_with = "null_as_default")]
    pub website_url: String,
    /// Where the user works.
    pub organization: Option<String>,
    /// As what the user works.
    #[serde(deserialize_with = "null_as_default")]
    pub job_title: String,
    /// The user's pronouns.
    pub pronouns: Option<String>,
    /// Whether this is a bot.
    pub bot: bool,
    /// Organization and job title in one text.
    pub work_information: Option<String>,
    /// How many follow the user.
    pub followers: i64,
    /// How many the user follows.
    pub following: i64,
    /// The time where the user is.
    pub local_time: Option<String>,
}

/// A user with the public profile: inside jobs and `GET /users/:id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Who it is.
    #[serde(flatten)]
    pub basic: UserBasic,
    /// What they tell.
    #[serde(flatten)]
    pub profile: UserProfile,
}

/// The user who asks: `GET /user`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub struct CurrentUser {
    /// Who it is.
    #[serde(flatten)]
    pub basic: UserBasic,
    /// What they tell.
    #[serde(flatten)]
    pub profile: UserProfile,
    /// The last sign-in.
    pub last_sign_in_at: Option<Timestamp>,
    /// When the address was confirmed.
    pub confirmed_at: Option<Timestamp>,
    /// The last day of activity.
    pub last_activity_on: Option<Date>,
    /// The address.
    #[serde(default, deserialize_with = "null_as_default")]
    pub email: String,
    /// The look of the pages.
    #[serde(default)]
    pub theme_id: Option<i64>,
    /// The look of code.
    #[serde(default)]
    pub color_scheme_id: Option<i64>,
    /// How many projects the user may have.
    #[serde(default)]
    pub projects_limit: Option<i64>,
    /// The sign-in of this session.
    pub current_sign_in_at: Option<Timestamp>,
    /// Accounts at identity providers.
    #[serde(default)]
    pub identities: Vec<serde_json::Value>,
    /// Whether the user may create groups.
    #[serde(default)]
    pub can_create_group: bool,
    /// Whether the user may create projects.
    #[serde(default)]
    pub can_create_project: bool,
    /// Whether a second factor is asked for.
    #[serde(default)]
    pub two_factor_enabled: bool,
    /// Whether the user is from outside.
    #[serde(default)]
    pub external: bool,
    /// Whether the profile is hidden.
    #[serde(default)]
    pub private_profile: bool,
    /// The address in commits.
    pub commit_email: Option<String>,
    /// Whether this is an administrator; only administrators are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// The user's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_id: Option<NamespaceId>,
    /// What this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

crate::inherits!(User => basic: UserBasic, CurrentUser => basic: UserBasic);
