//! The first rows of an instance: `root`, its namespace, its token.

use weir_api::{Secret, TokenScope};
use weir_store::TokenKind;
use weir_store::tokens::NewToken;
use weir_store::users::NewUser;
use weir_store::{namespaces, tokens, users};

use crate::auth::token;
use crate::ctx::Ctx;
use crate::error::Result;

/// Makes `root` and a token on the first start.
///
/// Returns the token if this call made it. With [`crate::Config::root_token`] that text becomes the token; it is
/// made sure of at every start, so that it can be changed there.
pub async fn bootstrap(ctx: &Ctx) -> Result<Option<Secret>> {
    let given = ctx.config.root_token.clone();
    let token = match &given {
        Some(token) => Secret::from(token.as_str()),
        None => Secret::from(TokenKind::PersonalAccess.generate()?.into_exposed()),
    };
    let (digest, now) = (token::digest(&token), ctx.now());
    let wanted = given.is_some();
    let made = ctx
        .db
        .write(move |tx| -> Result<bool> {
            let root = match users::find_by_username(tx, "root")? {
                Some(root) if !wanted || tokens::find_by_digest(tx, &digest)?.is_some() => {
                    let _ = root;
                    return Ok(false);
                }
                Some(root) => root,
                None => {
                    let root = NewUser {
                        username: "root".to_owned(),
                        name: "Administrator".to_owned(),
                        email: "admin@example.com".to_owned(),
                        admin: true,
                        bot: false,
                    };
                    let root = users::insert(tx, &root, now)?;
                    namespaces::insert_user(tx, &root, now)?;
                    root
                }
            };
            let token = NewToken {
                user_id: root.id,
                name: "First token".to_owned(),
                description: None,
                digest,
                scopes: TokenScope::ALL.to_vec(),
                expires_on: None,
            };
            tokens::insert(tx, &token, now)?;
            Ok(true)
        })
        .await?;
    Ok(made.then_some(token))
}
