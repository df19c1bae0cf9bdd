//! Members of projects and groups. Source: `lib/api/entities/member.rb`.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::users::UserBasic;
use crate::{AccessLevel, Date, Timestamp, UserState, Word};

/// A user with an access level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// The full name.
    pub name: String,
    /// Whether the user may sign in.
    pub state: Option<Word<UserState>>,
    /// Whether sign-in is locked.
    #[serde(default)]
    pub locked: bool,
    /// The picture.
    pub avatar_url: Option<String>,
    /// The user's page.
    #[serde(default)]
    pub web_url: String,
    /// What the member may do.
    pub access_level: AccessLevel,
    /// Since when.
    pub created_at: Option<Timestamp>,
    /// Who added the member.
    pub created_by: Option<UserBasic>,
    /// Until when.
    pub expires_at: Option<Date>,
    /// `active` or `awaiting`.
    #[serde(default)]
    pub membership_state: String,
}
