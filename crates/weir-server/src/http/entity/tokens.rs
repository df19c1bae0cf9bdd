//! Personal access tokens.

use weir_api::tokens::PersonalAccessToken;
use weir_api::{Secret, Timestamp, Word};
use weir_store::tokens::Token;

/// A token, as it is seen after it was made.
pub fn token(token: &Token, now: Timestamp) -> PersonalAccessToken {
    PersonalAccessToken {
        id: token.id,
        name: token.name.clone(),
        revoked: token.revoked,
        created_at: Some(token.created_at),
        description: token.description.clone(),
        scopes: token.scopes.iter().copied().map(Word::Known).collect(),
        user_id: token.user_id,
        last_used_at: token.last_used_at,
        active: token.is_active(now),
        expires_at: token.expires_on.as_deref().and_then(|day| day.parse().ok()),
        token: None,
    }
}

/// A token with its text, which is shown this once.
pub fn with_text(row: &Token, text: Secret, now: Timestamp) -> PersonalAccessToken {
    PersonalAccessToken { token: Some(text), ..token(row, now) }
}
