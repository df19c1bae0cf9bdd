//! Users.

use weir_api::id::UserId;
use weir_store::namespaces;
use weir_store::users::{self, Filter, NewUser, User};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// One page of the users, and how many there are.
pub async fn list(ctx: &Ctx, filter: Filter, page: Page) -> Result<(Vec<User>, u64)> {
    ctx.db
        .read(move |tx| {
            Ok((users::list(tx, &filter, page.rows())?, users::count(tx, &filter)?.unsigned_abs()))
        })
        .await
}

/// One user.
pub async fn find(ctx: &Ctx, id: UserId) -> Result<User> {
    let found: Option<User> = ctx.db.read(move |tx| users::find(tx, id)).await?;
    found.ok_or(Error::NotFound("User"))
}

/// A new user with a namespace of their own.
///
/// # Errors
/// 409 if email or username is taken, 400 if the username cannot be part of a path.
pub async fn create(ctx: &Ctx, new: NewUser) -> Result<User> {
    if !is_path(&new.username) {
        return Err(Error::field(
            "username",
            "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or end in '.', '.git' or '.atom'.",
        ));
    }
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            if users::find_by_email(tx, &new.email)?.is_some() {
                return Err(Error::Conflict("Email has already been taken".to_owned()));
            }
            if users::find_by_username(tx, &new.username)?.is_some() {
                return Err(Error::Conflict("Username has already been taken".to_owned()));
            }
            let user = users::insert(tx, &new, now)?;
            match namespaces::insert_user(tx, &user, now) {
                Err(error) if namespaces::is_path_taken(&error) => {
                    Err(Error::Conflict("Username has already been taken".to_owned()))
                }
                other => Ok(other.map(|_| user)?),
            }
        })
        .await
}

/// Deletes a user with everything that is theirs alone.
pub async fn delete(ctx: &Ctx, id: UserId) -> Result<()> {
    let deleted: bool = ctx.db.write(move |tx| users::delete(tx, id)).await?;
    if deleted { Ok(()) } else { Err(Error::NotFound("User")) }
}

/// Ends of a path that stand for something else in a URL.
const RESERVED_ENDS: [&str; 2] = [".git", ".atom"];

/// Whether a text can be one part of a path: of a user, a group or a project.
/// Source: `lib/gitlab/path_regex.rb`.
pub fn is_path(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with('.')
        && !RESERVED_ENDS.iter().any(|end| text.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_a_url_and_a_folder_can_hold() {
        for good in ["root", "a", "a.b", "_x", "A-1"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a.", "a.git", "a.atom", "a/b", "a b", "ä", "a\0"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
