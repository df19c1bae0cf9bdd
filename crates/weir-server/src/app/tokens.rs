//! Personal access tokens.

use weir_api::id::{TokenId, UserId};
use weir_api::{Date, Secret, Timestamp, TokenScope};
use weir_store::tokens::{self, Filter, NewToken, Token};
use weir_store::users::{self, User};
use weir_store::{TokenDigest, TokenKind};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

const DAY: i64 = 86_400;
/// The longest life of a token, and the one of a token for which none is asked. Source:
/// `PersonalAccessToken::MAX_PERSONAL_ACCESS_TOKEN_LIFETIME_IN_DAYS`.
const MAX_DAYS: i64 = 365;
/// The life of a rotated token for which none is asked. Source: `PersonalAccessTokens::RotateService`.
const ROTATED_DAYS: i64 = 7;

/// What is asked for with a new token.
#[derive(Debug, Clone)]
pub struct New {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<TokenScope>,
    /// The first day on which it is no longer valid.
    pub expires_at: Option<Date>,
}

/// A token and its text, which is told this once.
pub type Made = (Token, Secret);

/// One page of tokens, and how many there are.
pub async fn list(ctx: &Ctx, filter: Filter, page: Page) -> Result<(Vec<Token>, u64)> {
    ctx.db
        .read(move |tx| {
            Ok((tokens::list(tx, &filter, page.rows())?, tokens::count(tx, &filter)?.unsigned_abs()))
        })
        .await
}

/// A token of the caller's, or any if the caller is an administrator.
///
/// # Errors
/// 404 for an administrator, 401 for others: they do not learn which tokens exist.
pub async fn find(ctx: &Ctx, caller: &User, id: TokenId) -> Result<Token> {
    let found: Option<Token> = ctx.db.read(move |tx| tokens::find(tx, id)).await?;
    match found {
        Some(token) if caller.admin || token.user_id == caller.id => Ok(token),
        _ if caller.admin => Err(Error::NotFound("")),
        _ => Err(Error::Unauthorized),
    }
}

/// A new token.
///
/// # Errors
/// 404 if there is no such user, 422 if the token would live too long or could do nothing.
pub async fn create(ctx: &Ctx, user_id: UserId, new: New) -> Result<Made> {
    if new.scopes.is_empty() {
        return Err(Error::Unacceptable("Scopes can't be blank".into()));
    }
    let now = ctx.now();
    let expires_on =
        expiry(now, new.expires_at, MAX_DAYS).map_err(|complaint| Error::Unacceptable(complaint.into()))?;
    let secret = generate()?;
    let row = NewToken {
        user_id,
        name: new.name,
        description: new.description,
        digest: TokenDigest::of(secret.expose()),
        scopes: new.scopes,
        expires_on: Some(expires_on),
    };
    let token = ctx
        .db
        .write(move |tx| {
            users::find(tx, user_id)?.ok_or(Error::NotFound("User"))?;
            Ok::<_, Error>(tokens::insert(tx, &row, now)?)
        })
        .await?;
    Ok((token, secret))
}

/// Revokes a token and makes another like it.
///
/// # Errors
/// 400 if it is revoked already, or would live too long.
pub async fn rotate(ctx: &Ctx, old: Token, expires_at: Option<Date>) -> Result<Made> {
    let now = ctx.now();
    let expires_on = expiry(now, expires_at, ROTATED_DAYS).map_err(Error::BadRequest)?;
    let secret = generate()?;
    let row = NewToken {
        user_id: old.user_id,
        name: old.name,
        description: old.description,
        digest: TokenDigest::of(secret.expose()),
        scopes: old.scopes,
        expires_on: Some(expires_on),
    };
    let token = ctx
        .db
        .write(move |tx| {
            if !tokens::revoke(tx, old.id)? {
                return Err(Error::BadRequest("token already revoked".to_owned()));
            }
            Ok(tokens::insert(tx, &row, now)?)
        })
        .await?;
    Ok((token, secret))
}

/// Revokes a token of the caller's, or any if the caller is an administrator.
///
/// # Errors
/// 404 if there is no such token, 400 if it may not be revoked.
pub async fn revoke(ctx: &Ctx, caller: &User, id: TokenId) -> Result<()> {
    let (user_id, admin) = (caller.id, caller.admin);
    ctx.db
        .write(move |tx| {
            let token = tokens::find(tx, id)?.ok_or(Error::RecordNotFound)?;
            if !admin && token.user_id != user_id {
                return Err(Error::BadRequest(String::new()));
            }
            tokens::revoke(tx, id)?;
            Ok(())
        })
        .await
}

fn generate() -> Result<Secret> {
    Ok(Secret::from(TokenKind::PersonalAccess.generate()?.into_exposed()))
}

/// The day asked for, or the one after `default` days; a complaint if it is too far.
fn expiry(now: Timestamp, wanted: Option<Date>, default: i64) -> Result<String, String> {
    let day = |days: i64| now.plus_secs(days * DAY).date();
    match wanted.map(|date| date.to_string()) {
        None => Ok(day(default)),
        Some(wanted) if wanted > day(MAX_DAYS) => {
            Err(format!("Expiration date must be before {}", day(MAX_DAYS)))
        }
        Some(wanted) => Ok(wanted),
    }
}
