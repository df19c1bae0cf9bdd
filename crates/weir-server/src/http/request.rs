//! A request, read: who calls, with which parameters.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use crate::auth::{Caller, token};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::params::Params;

/// What a handler gets to know of a request.
#[derive(Debug)]
pub struct Call {
    /// The server.
    pub ctx: Ctx,
    /// Who calls.
    pub caller: Caller,
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
        let text = self.params.text(name).unwrap_or_default();
        text.parse().map_err(|_| Error::parameter(format!("{name} is invalid")))
    }

    /// A text out of the path.
    pub fn path(&self, name: &str) -> &str {
        self.params.text(name).unwrap_or_default()
    }

    async fn new(parts: &mut Parts, ctx: &Ctx, body: Option<Body>) -> Result<Self> {
        let captures = RawPathParams::from_request_parts(parts, &())
            .await
            .map_err(|_| Error::parameter("the path is not valid UTF-8"))?;
        let mut params = Params::default();
        params.add_form(parts.uri.query().unwrap_or_default().as_bytes())?;
        if let Some(body) = body {
            params.add_body(&parts.headers, body).await?;
        }
        let credential = token::credential(&parts.headers, &params);
        for (name, value) in &captures {
            if value.contains('\0') {
                return Err(Error::parameter(format!("{name} is invalid")));
            }
            params.set(name, value.to_owned());
        }
        let sudo = token::sudo(&parts.headers, &params);
        let caller = token::caller(ctx, credential, &parts.method, parts.uri.path(), sudo).await?;
        Ok(Self {
            ctx: ctx.clone(),
            caller,
            params,
            headers: std::mem::take(&mut parts.headers),
            url: ctx.url(parts.uri.path()),
        })
    }
}

impl FromRequest<Ctx> for Call {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let body = (!matches!(parts.method, Method::GET | Method::HEAD)).then_some(body);
        Self::new(&mut parts, ctx, body).await
    }
}

/// A call whose body is a stream of its own, not parameters.
#[derive(Debug)]
pub struct StreamCall {
    /// Everything but the body.
    pub call: Call,
    /// The body.
    pub body: Body,
}

impl FromRequest<Ctx> for StreamCall {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let call = Call::new(&mut parts, ctx, None).await?;
        Ok(Self { call, body })
    }
}
