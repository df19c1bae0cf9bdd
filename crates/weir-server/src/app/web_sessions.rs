//! Browsers that are signed in. A session is opened by a personal access token and is worth no more than it.

use weir_api::{Secret, TokenScope};
use weir_store::{TokenDigest, secrets, tokens, web_sessions};

use crate::auth::Caller;
use crate::auth::token::{self, Credential};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Seconds that a session lasts. Source: `session_expire_delay`, a week.
pub const LIFETIME: i64 = 7 * 24 * 3600;

/// Opens a session; its secret, which is told this once.
///
/// # Errors
/// 401 if the token is unknown, revoked or expired, 403 if its user is blocked or it may not read the API: pages
/// show what the API shows.
pub async fn create(ctx: &Ctx, token: Secret) -> Result<Secret> {
    let Caller::User { token, .. } = token::authenticate(ctx, Credential::Personal(token)).await? else {
        return Err(Error::Unauthorized);
    };
    if !token.scopes.iter().any(|scope| matches!(scope, TokenScope::Api | TokenScope::ReadApi)) {
        return Err(Error::InsufficientScope("api read_api"));
    }
    // 240 random bits.
    let secret = Secret::from(format!("{}{}", secrets::random_text()?, secrets::random_text()?));
    let (digest, now) = (TokenDigest::of(secret.expose()), ctx.now());
    ctx.db
        .write(move |tx| {
            web_sessions::delete_expired(tx, now)?;
            web_sessions::insert(tx, &digest, token.id, now, now.plus_secs(LIFETIME))
        })
        .await?;
    Ok(secret)
}

/// Who is behind a session; nobody if it is unknown or over, or its token no longer opens anything.
pub async fn find(ctx: &Ctx, secret: &Secret) -> Result<Caller> {
    let (digest, now) = (TokenDigest::of(secret.expose()), ctx.now());
    let found: Option<_> = ctx.db.read(move |tx| tokens::find_by_session(tx, &digest, now)).await?;
    Ok(match found {
        Some((token, user)) if token::usable(&user, &token, now).is_ok() => {
            Caller::User { user: Box::new(user), token: Box::new(token) }
        }
        _ => Caller::Anonymous,
    })
}

/// Ends a session.
pub async fn delete(ctx: &Ctx, secret: &Secret) -> Result<()> {
    let digest = TokenDigest::of(secret.expose());
    ctx.db.write(move |tx| web_sessions::delete(tx, &digest)).await?;
    Ok(())
}
