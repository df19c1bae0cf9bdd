//! Someone who looks at pages.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use tower::ServiceExt as _;
use weir_server::http::router;

use crate::harness::{Caller, EXTERNAL_URL, World};

/// A browser with at most one cookie.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    cookie: Option<String>,
}

impl Browser {
    /// Of somebody who has not signed in.
    pub(crate) fn new(world: &World) -> Self {
        Self { router: router::router(world.ctx.clone()), cookie: None }
    }

    /// Of somebody who has.
    pub(crate) async fn of(world: &World, caller: &Caller) -> Self {
        let browser = Self::new(world);
        let token = caller.token.as_deref().unwrap();
        let answer = browser.submit("/-/sign_in", &format!("token={token}")).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { cookie: Some(cookie), ..browser }
    }

    /// Its cookie; empty without one.
    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap_or_default()
    }

    /// Asks for something, with a form if it is not empty.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: &str,
    ) -> Page {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "ci.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(Body::from(form.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Follows a link.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.call(Method::GET, path, &[], "").await
    }

    /// Sends a form of one of our own pages.
    pub(crate) async fn submit(&self, path: &str, form: &str) -> Page {
        self.call(Method::POST, path, &[("origin", EXTERNAL_URL)], form).await
    }
}

/// What came.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// The text, if the status is this one.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.text
    }

    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
