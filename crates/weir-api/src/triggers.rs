//! Trigger tokens. Source: `lib/api/entities/trigger.rb`.

use serde::{Deserialize, Serialize};

use crate::users::UserBasic;
use crate::{Secret, Timestamp};

/// A token that starts pipelines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The trigger's number.
    pub id: i64,
    /// The token; only its first four characters for others than its owner.
    pub token: Secret,
    /// A text for people.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// For whom its pipelines run.
    pub owner: Option<UserBasic>,
}
