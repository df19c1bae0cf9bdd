//! Users.

use weir_api::id::UserId;
use weir_api::{Secret, UserState};
use weir_store::namespaces::Namespace;
use weir_store::users::{self, Filter, NewUser, User};
use weir_store::{Tx, namespaces, pipeline_schedules};

use crate::app::{paths, projects};
use crate::auth::password;
use crate::bus::Wake;
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

/// A user's own namespace, by the user's id or name.
pub async fn namespace(ctx: &Ctx, id_or_username: &str) -> Result<Namespace> {
    let name = id_or_username.to_owned();
    let found: Option<Namespace> = ctx
        .db
        .read(move |tx| -> Result<_> {
            let user = match name.parse::<UserId>() {
                Ok(id) => users::find(tx, id)?,
                Err(_) => users::find_by_username(tx, &name)?,
            };
            let Some(user) = user else { return Ok(None) };
            Ok(namespaces::of_user(tx, user.id)?)
        })
        .await?;
    found.ok_or(Error::NotFound("User"))
}

/// A new user with a namespace of their own. Without a password the user signs in by tokens alone.
///
/// # Errors
/// 409 if email or username is taken, 400 if a value cannot be.
pub async fn create(ctx: &Ctx, new: NewUser, password: Option<Secret>) -> Result<User> {
    check_email(&new.email)?;
    if let Some(complaint) = paths::refuse_namespace(&new.username, true) {
        return Err(Error::field("username", complaint));
    }
    let hash = hash(password).await?;
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            check_email_is_free(tx, &new.email, None)?;
            // Namespaces of groups take part, too: one path names one thing.
            if users::find_by_username(tx, &new.username)?.is_some()
                || namespaces::find_by_path(tx, &new.username)?.is_some()
            {
                return Err(Error::Conflict("Username has already been taken".to_owned()));
            }
            let user = users::insert(tx, &new, now)?;
            namespaces::insert_user(tx, &user, now)?;
            if hash.is_some() {
                users::set_password_hash(tx, user.id, hash.as_deref())?;
            }
            Ok(user)
        })
        .await
}

/// What an administrator changes of a user.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The name shown.
    pub name: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The address that everyone sees; an empty one is none.
    pub public_email: Option<String>,
    /// Whether the user is an administrator.
    pub admin: Option<bool>,
    /// The password.
    pub password: Option<Secret>,
}

/// Changes a user.
///
/// # Errors
/// 404, 409 if the email is taken, 400 if a value cannot be.
pub async fn update(ctx: &Ctx, id: UserId, change: Change) -> Result<User> {
    if let Some(email) = &change.email {
        check_email(email)?;
    }
    let hash = hash(change.password.clone()).await?;
    ctx.db
        .write(move |tx| {
            let mut user = users::find(tx, id)?.ok_or(Error::NotFound("User"))?;
            if let Some(email) = &change.email {
                check_email_is_free(tx, email, Some(id))?;
                user.email.clone_from(email);
            }
            if let Some(name) = &change.name {
                user.name.clone_from(name);
            }
            if let Some(email) = &change.public_email {
                user.public_email = Some(email.clone()).filter(|email| !email.is_empty());
            }
            user.admin = change.admin.unwrap_or(user.admin);
            users::update(tx, &user)?;
            if hash.is_some() {
                users::set_password_hash(tx, id, hash.as_deref())?;
            }
            Ok(user)
        })
        .await
}

/// Moves a user to another state, if theirs is one of `from`; `false` if it is not.
pub async fn set_state(ctx: &Ctx, id: UserId, from: &'static [UserState], to: UserState) -> Result<bool> {
    let now = ctx.now();
    ctx.db
        .write(move |tx| {
            let mut user = users::find(tx, id)?.ok_or(Error::NotFound("User"))?;
            let may = from.contains(&user.state);
            if may {
                user.state = to;
                users::update(tx, &user)?;
                if to == UserState::Blocked {
                    pipeline_schedules::deactivate_of(tx, id, now)?;
                }
            }
            Ok(may)
        })
        .await
}

/// Deletes a user with everything that is theirs alone.
pub async fn delete(ctx: &Ctx, id: UserId) -> Result<()> {
    let now = ctx.now();
    let own = ctx
        .db
        .read(move |tx| {
            let Some(namespace) = namespaces::of_user(tx, id)? else { return Ok(Vec::new()) };
            let own = projects::Filter { namespace_id: Some(namespace.id), ..projects::Filter::default() };
            projects::ids(tx, own)
        })
        .await?;
    projects::delete_repositories(ctx, &own).await?;
    ctx.db
        .write(move |tx| {
            for project in &own {
                // Each leaves its objects to be deleted, which the database alone would not do.
                weir_store::projects::delete(tx, *project, now)?;
            }
            if users::delete(tx, id)? { Ok(()) } else { Err(Error::NotFound("User")) }
        })
        .await?;
    ctx.bus.wake(Wake::Background);
    Ok(())
}

async fn hash(password: Option<Secret>) -> Result<Option<String>> {
    let Some(password) = password else { return Ok(None) };
    let length = password.expose().chars().count();
    let complaint = match length {
        0..password::MIN_LENGTH => format!("is too short (minimum is {} characters)", password::MIN_LENGTH),
        password::MIN_LENGTH..=password::MAX_LENGTH => return password::hash(password).await.map(Some),
        _ => format!("is too long (maximum is {} characters)", password::MAX_LENGTH),
    };
    Err(Error::field("password", complaint))
}

fn check_email(email: &str) -> Result<()> {
    let parts = email.split_once('@');
    let fits = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if fits && !email.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err(Error::field("email", "is invalid"))
    }
}

fn check_email_is_free(tx: &mut Tx<'_>, email: &str, but_for: Option<UserId>) -> Result<()> {
    match users::find_by_email(tx, email)? {
        Some(other) if Some(other.id) != but_for => {
            Err(Error::Conflict("Email has already been taken".to_owned()))
        }
        _ => Ok(()),
    }
}
