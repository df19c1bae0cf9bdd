//! From a request's credentials to a [`Caller`].

use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use weir_api::{JobStatus, Secret, Timestamp, TokenScope, UserState};
use weir_store::jobs::Job;
use weir_store::secrets::TokenDigest;
use weir_store::tokens::Token;
use weir_store::users::User;
use weir_store::{Tx, jobs, tokens, users};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::params::Params;

/// What a token of a job begins with.
pub const JOB_TOKEN_PREFIX: &str = "glcbt-";

/// What a request brought along to prove who sends it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A personal access token.
    Personal(Secret),
    /// A job token.
    Job(Secret),
}

/// Who sends a request.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Somebody without credentials.
    Anonymous,
    /// A user with a token.
    User {
        /// The user.
        user: Box<User>,
        /// The token.
        token: Box<Token>,
    },
    /// A running job, acting for its user.
    Job {
        /// The user.
        user: Box<User>,
        /// The job.
        job: Box<Job>,
    },
}

impl Caller {
    /// The user that acts, if one does.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User { user, .. } | Self::Job { user, .. } => Some(user),
        }
    }

    /// The user, or 401.
    pub fn signed_in(&self) -> Result<&User> {
        self.user().ok_or(Error::Unauthorized)
    }

    /// An administrator, or 401 or 403.
    pub fn administrator(&self) -> Result<&User> {
        let user = self.signed_in()?;
        if user.admin { Ok(user) } else { Err(Error::Forbidden(None)) }
    }
}

/// Finds the credentials of a request. Each carrier of GitLab is looked at; the first found counts.
pub fn credential(headers: &HeaderMap, params: &Params) -> Option<Credential> {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
    };
    let param = |name: &str| params.text(name).filter(|text| !text.is_empty());
    let bearer = header(header::AUTHORIZATION.as_str()).and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let personal = bearer
        .or_else(|| header("private-token"))
        .or_else(|| param("private_token"))
        .or_else(|| param("access_token"));
    match personal {
        Some(token) if token.starts_with(JOB_TOKEN_PREFIX) => Some(Credential::Job(token.into())),
        Some(token) => Some(Credential::Personal(token.into())),
        None => header("job-token").or_else(|| param("job_token")).map(|token| Credential::Job(token.into())),
    }
}

/// The credentials of HTTP basic authentication, which Git uses: any user name with a token as the password,
/// or `gitlab-ci-token` with a job token.
pub fn basic_credential(headers: &HeaderMap) -> Option<Credential> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    if user == "gitlab-ci-token" || password.starts_with(JOB_TOKEN_PREFIX) {
        Some(Credential::Job(password.into()))
    } else {
        Some(Credential::Personal(password.into()))
    }
}

/// The user whom an administrator wants to act as.
pub fn sudo(headers: &HeaderMap, params: &Params) -> Option<String> {
    let header = headers.get("sudo").and_then(|value| value.to_str().ok());
    header.or_else(|| params.text("sudo")).map(str::to_owned)
}

/// Who sends an API request. A credential that is present but not valid ends the request.
pub async fn caller(
    ctx: &Ctx,
    credential: Option<Credential>,
    method: &Method,
    path: &str,
    sudo: Option<String>,
) -> Result<Caller> {
    let Some(credential) = credential else { return Ok(Caller::Anonymous) };
    let caller = authenticate(ctx, credential).await?;
    let Caller::User { user, token } = caller else { return Ok(caller) };
    let wanted = scopes_for(method, path);
    if !wanted.iter().any(|scope| token.scopes.contains(scope)) {
        return Err(Error::InsufficientScope(if method.is_safe() { "api read_api" } else { "api" }));
    }
    let Some(sudo) = sudo else { return Ok(Caller::User { user, token }) };
    if !user.admin {
        return Err(Error::forbidden("Must be admin to use sudo"));
    }
    if !token.scopes.contains(&TokenScope::Sudo) {
        return Err(Error::InsufficientScope("sudo"));
    }
    let name = sudo.clone();
    let found = ctx.db.read(move |tx| find_user(tx, &name)).await?;
    let Some(user) = found else {
        return Err(Error::NotFound("User with ID or username"));
    };
    Ok(Caller::User { user: Box::new(user), token })
}

/// Looks a credential up. Whether it may do what is asked is not decided here.
pub async fn authenticate(ctx: &Ctx, credential: Credential) -> Result<Caller> {
    let now = ctx.now();
    match credential {
        Credential::Personal(secret) => {
            let digest = TokenDigest::of(secret.expose());
            let found = ctx.db.read(move |tx| tokens::find_by_digest(tx, &digest)).await?;
            let (token, user) = found.ok_or(Error::Unauthorized)?;
            usable(&user, &token, now)?;
            touch(ctx, &token, now).await?;
            Ok(Caller::User { user: Box::new(user), token: Box::new(token) })
        }
        Credential::Job(secret) => {
            let digest = TokenDigest::of(secret.expose());
            let found = ctx.db.read(move |tx| find_running_job(tx, &digest)).await?;
            let (user, job) = found.ok_or(Error::Unauthorized)?;
            active(&user)?;
            Ok(Caller::Job { user: Box::new(user), job: Box::new(job) })
        }
    }
}

fn find_user(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>> {
    let found = match name.parse() {
        Ok(id) => users::find(tx, id)?,
        Err(_) => users::find_by_username(tx, name)?,
    };
    Ok(found)
}

/// A job's token ends with the job. Source: `lib/ci/auth_job_finder.rb`.
fn find_running_job(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<(User, Job)>> {
    let running = |job: &Job| matches!(job.status, JobStatus::Running | JobStatus::Canceling);
    let Some(job) = jobs::find_by_token(tx, digest)?.filter(running) else { return Ok(None) };
    let Some(user) = job.user_id else { return Ok(None) };
    Ok(users::find(tx, user)?.map(|user| (user, job)))
}

/// Whether a token opens anything now, and whether its user may sign in.
pub fn usable(user: &User, token: &Token, now: Timestamp) -> Result<()> {
    if token.revoked {
        return Err(Error::InvalidToken("Token was revoked. You have to re-authorize from the user."));
    }
    if !token.is_active(now) {
        return Err(Error::InvalidToken(
            "Token is expired. You can either do re-authorization or token refresh.",
        ));
    }
    active(user)
}

fn active(user: &User) -> Result<()> {
    match user.state {
        UserState::Active => Ok(()),
        _ => Err(Error::forbidden("Your account has been blocked")),
    }
}

/// Remembers that the token was used, now and then.
async fn touch(ctx: &Ctx, token: &Token, now: Timestamp) -> Result<()> {
    if tokens::use_is_due(token, now) {
        let id = token.id;
        ctx.db.write(move |tx| tokens::used(tx, id, now)).await?;
    }
    Ok(())
}

/// The scopes of which one is enough.
fn scopes_for(method: &Method, path: &str) -> &'static [TokenScope] {
    use TokenScope::{Api, ReadApi, ReadRepository, ReadUser, SelfRotate};
    let path = path.strip_prefix("/api/v4/").unwrap_or(path);
    let safe = method.is_safe();
    match path.split('/').next().unwrap_or_default() {
        "user" | "users" | "metadata" | "version" if safe => &[Api, ReadApi, ReadUser],
        "personal_access_tokens" if path.ends_with("/self/rotate") => &[Api, SelfRotate],
        // A token may always look at itself and revoke itself.
        "personal_access_tokens" if path == "personal_access_tokens/self" => TokenScope::ALL,
        "projects" if safe && path.contains("/repository/files/") => &[Api, ReadApi, ReadRepository],
        _ if safe => &[Api, ReadApi],
        _ => &[Api],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn found(headers: &[(&'static str, &'static str)], query: &str) -> Option<(bool, String)> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let mut params = Params::default();
        params.add_form(query.as_bytes()).unwrap();
        credential(&headers, &params).map(|credential| match credential {
            Credential::Personal(secret) => (false, secret.expose().to_owned()),
            Credential::Job(secret) => (true, secret.expose().to_owned()),
        })
    }

    #[test]
    fn credentials_are_read_from_every_carrier() {
        let personal = |token: &str| Some((false, token.to_owned()));
        let job = |token: &str| Some((true, token.to_owned()));
        assert_eq!(found(&[("private-token", "glpat-1")], ""), personal("glpat-1"));
        assert_eq!(found(&[("authorization", "Bearer glpat-2")], ""), personal("glpat-2"));
        assert_eq!(found(&[("authorization", "bearer glcbt-3")], ""), job("glcbt-3"));
        assert_eq!(found(&[], "private_token=glpat-4"), personal("glpat-4"));
        assert_eq!(found(&[("job-token", "glcbt-5")], ""), job("glcbt-5"));
        assert_eq!(found(&[], "job_token=glcbt-6"), job("glcbt-6"));
        assert_eq!(found(&[("authorization", "Basic eDp5")], ""), None);
    }

    #[test]
    fn a_reading_token_reads_and_does_not_write() {
        assert!(scopes_for(&Method::GET, "/api/v4/projects/1/jobs").contains(&TokenScope::ReadApi));
        assert!(!scopes_for(&Method::POST, "/api/v4/projects/1/pipeline").contains(&TokenScope::ReadApi));
    }
}
