//! A request, read: who calls, with which parameters.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use weir_api::{Secret, Timestamp};

use crate::app::access::{self, Access};
use crate::auth::{Action, Caller, token};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;
use crate::http::params::Params;
use crate::http::respond;

/// What a handler gets to know of a request.
#[derive(Debug)]
pub struct Call {
    /// The server.
    pub ctx: Ctx,
    /// Who calls.
    pub caller: Caller,
    /// Who calls by a job token, for the routes that take one.
    job_caller: Option<Caller>,
    /// Query, body and path captures.
    pub params: Params,
    /// The headers.
    pub headers: HeaderMap,
    /// The URL without its query, on the external host: for links to other pages.
    pub url: String,
}

impl Call {
    /// An id out of the path.
    pub fn id<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        path_id(&self.params, name)
    }

    /// A text out of the path.
    pub fn path(&self, name: &str) -> &str {
        self.params.text(name).unwrap_or_default()
    }

    /// Demands that the caller may do `action` in the project of the path, and finds it.
    pub async fn project(&self, action: Action) -> Result<Access> {
        access::project(&self.ctx, &self.caller, self.path("id"), action).await
    }

    /// On a route that takes job tokens; on all others they count as no credentials.
    #[must_use]
    pub fn with_job_token(mut self) -> Self {
        if let Some(job) = self.job_caller.take() {
            self.caller = job;
        }
        self
    }

    /// The time of a conditional deletion; a header that is no date is ignored.
    pub fn unmodified_since(&self) -> Option<Timestamp> {
        let text = self.headers.get(header::IF_UNMODIFIED_SINCE)?.to_str().ok()?;
        text.parse().ok().or_else(|| Timestamp::from_http_date(text))
    }

    /// One page of keyset pagination: `next` is the parameter that leads to the page after it.
    pub fn keyset_page<T: serde::Serialize>(
        &self,
        page: Page,
        entities: Vec<T>,
        next: Option<(&str, String)>,
    ) -> Response {
        respond::page(page.keyset_headers(&self.url, &self.params, next), entities)
    }

    /// One page of a counted list.
    pub fn page<T: serde::Serialize>(&self, page: Page, entities: Vec<T>, total: Option<u64>) -> Response {
        let more = total.is_some_and(|total| page.end() < total);
        respond::page(page.headers(&self.url, &self.params, total, more), entities)
    }

    /// One page of a list that GitLab does not count: `more` says whether another follows.
    pub fn uncounted_page<T: serde::Serialize>(&self, page: Page, entities: Vec<T>, more: bool) -> Response {
        respond::page(page.headers(&self.url, &self.params, None, more), entities)
    }
}

/// A request without its caller: parameters and headers.
#[derive(Debug)]
struct Read {
    params: Params,
    /// Before the path captures went over the parameters.
    credential: Option<token::Credential>,
    sudo: Option<String>,
}

async fn read(parts: &mut Parts, body: Option<Body>) -> Result<Read> {
    let captures = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Error::parameter("the path is not valid UTF-8"))?;
    let mut params = Params::default();
    params.add_form(parts.uri.query().unwrap_or_default().as_bytes())?;
    if let Some(body) = body {
        params.add_body(&parts.headers, body).await?;
    }
    let credential = token::credential(&parts.headers, &params);
    let sudo = token::sudo(&parts.headers, &params);
    for (name, value) in &captures {
        if value.contains('\0') {
            return Err(Error::parameter(format!("{name} is invalid")));
        }
        params.set(name, value.to_owned());
    }
    Ok(Read { params, credential, sudo })
}

async fn call(mut parts: Parts, ctx: &Ctx, body: Option<Body>) -> Result<Call> {
    let Read { params, credential, sudo } = read(&mut parts, body).await?;
    // A nested router sees its own part of the path only.
    let path = match parts.extensions.get::<OriginalUri>() {
        Some(uri) => uri.path().to_owned(),
        None => parts.uri.path().to_owned(),
    };
    let caller = token::caller(ctx, credential, &parts.method, &path, sudo).await?;
    let (caller, job_caller) = match caller {
        job @ Caller::Job { .. } => (Caller::Anonymous, Some(job)),
        other => (other, None),
    };
    let url = ctx.url(&path);
    Ok(Call { ctx: ctx.clone(), caller, job_caller, params, headers: parts.headers, url })
}

impl FromRequest<Ctx> for Call {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let body = (!matches!(parts.method, Method::GET | Method::HEAD)).then_some(body);
        call(parts, ctx, body).await
    }
}

/// A call of the runner protocol: its tokens are not a user's, so nobody is authenticated yet.
#[derive(Debug)]
pub struct RunnerCall {
    /// The server.
    pub ctx: Ctx,
    /// Query, body and path captures.
    pub params: Params,
    /// The headers.
    pub headers: HeaderMap,
}

impl RunnerCall {
    /// An id out of the path.
    pub fn id<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        path_id(&self.params, name)
    }

    /// The job's or runner's token, from its header or the parameters.
    pub fn token(&self, header: &str) -> Result<Secret> {
        let header = self.headers.get(header).and_then(|value| value.to_str().ok());
        let token = header.filter(|text| !text.is_empty()).or_else(|| self.params.text("token"));
        token.map(Secret::from).ok_or_else(|| Error::parameter("token is missing"))
    }
}

impl FromRequest<Ctx> for RunnerCall {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let body = (!matches!(parts.method, Method::GET | Method::HEAD)).then_some(body);
        let params = read(&mut parts, body).await?.params;
        Ok(Self { ctx: ctx.clone(), params, headers: parts.headers })
    }
}

/// A call of the runner protocol whose body is a stream of its own, not parameters.
#[derive(Debug)]
pub struct RunnerStreamCall {
    /// Everything but the body.
    pub call: RunnerCall,
    /// The body.
    pub body: Body,
}

impl FromRequest<Ctx> for RunnerStreamCall {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let params = read(&mut parts, None).await?.params;
        let call = RunnerCall { ctx: ctx.clone(), params, headers: parts.headers };
        Ok(Self { call, body })
    }
}

fn path_id<T: std::str::FromStr>(params: &Params, name: &str) -> Result<T> {
    let text = params.text(name).unwrap_or_default();
    text.parse().map_err(|_| Error::parameter(format!("{name} is invalid")))
}
