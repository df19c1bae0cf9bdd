//! Personal access tokens. Source: `lib/api/entities/personal_access_token.rb`.

use serde::{Deserialize, Serialize};

use crate::id::{TokenId, UserId};
use crate::{Date, Secret, Timestamp, TokenScope, Word};

/// A personal access token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonalAccessToken {
    /// The token's number.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// Whether it was revoked.
    pub revoked: bool,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// What it is for.
    pub description: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<Word<TokenScope>>,
    /// Whose it is.
    pub user_id: UserId,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Whether it works.
    pub active: bool,
    /// The day on which it ends.
    pub expires_at: Option<Date>,
    /// The token itself; only when it is made or rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}
