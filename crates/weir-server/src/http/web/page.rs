//! What all pages have: who visits, the frame, the headers, and what is shown when there is nothing to show.

use askama::Template;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use weir_api::JobStatus;
use weir_store::users::User;

use super::{assets, session};
use crate::app::access::{self, Access};
use crate::auth::{Action, Caller};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;
use crate::http::params::Params;

/// Nothing but our own files is loaded, no script stands in a page, nobody frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A request for a page.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) ctx: Ctx,
    pub(super) caller: Caller,
    pub(super) params: Params,
    pub(super) headers: HeaderMap,
    /// Path and query.
    place: String,
}

impl Visit {
    /// Only the session's cookie says who visits; tokens are for the API, and its answers are for those.
    pub(super) async fn read(ctx: Ctx, parts: &Parts) -> Result<Self> {
        let mut params = Params::default();
        params.add_form(parts.uri.query().unwrap_or_default().as_bytes())?;
        let caller = session::caller(&ctx, &parts.headers).await?;
        let place = parts.uri.path_and_query().map_or("/", |place| place.as_str()).to_owned();
        Ok(Self { ctx, caller, params, headers: parts.headers.clone(), place })
    }

    pub(super) fn user(&self) -> Option<&User> {
        self.caller.user()
    }

    /// Demands that the visitor may do `action` in a project, and finds it.
    pub(super) async fn project(&self, path: &str, action: Action) -> Result<Access> {
        access::project(&self.ctx, &self.caller, path, action).await
    }

    pub(super) fn frame(&self) -> Frame {
        Frame {
            base: base(&self.ctx),
            user: self.user().map(|user| user.username.clone()),
            version: &assets::VERSION,
            sign_in: format!("{}/-/sign_in?{}", base(&self.ctx), return_to(&self.place)),
        }
    }

    /// Sends those to the sign-in who have not signed in yet and might then see it; tells the others what is wrong.
    pub(super) fn refuse(&self, error: Error) -> Response {
        let hidden = matches!(error, Error::Unauthorized | Error::NotFound(_) | Error::Forbidden(_));
        if hidden && self.user().is_none() {
            return (headers(), Redirect::to(&self.frame().sign_in)).into_response();
        }
        self.show(error)
    }

    /// A page that tells what is wrong.
    pub(super) fn show(&self, error: Error) -> Response {
        let status = error.into_response().status();
        let text = match status {
            StatusCode::NOT_FOUND => "There is no such page, or it is not for you to see.",
            StatusCode::FORBIDDEN => "You are not allowed to see this.",
            StatusCode::BAD_REQUEST => "The address is not one that leads to a page.",
            _ => "This went wrong on our side. The server's log says more.",
        };
        let title = status.canonical_reason().unwrap_or("Error");
        match render(&ErrorPage { frame: self.frame(), status: status.as_u16(), title, text }) {
            Ok(page) => (status, page).into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl axum::extract::FromRequestParts<Ctx> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> Result<Self> {
        Self::read(ctx.clone(), parts).await
    }
}

/// What is around a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// What every link begins with: empty, unless the server is below a path.
    pub(super) base: String,
    /// Who has signed in.
    pub(super) user: Option<String>,
    pub(super) version: &'static str,
    /// Where to sign in and come back.
    pub(super) sign_in: String,
}

/// Links to the pages before and after.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Pages {
    pub(super) fn around(page: Page, total: u64) -> Self {
        let at = |number: i64| format!("?page={number}&per_page={}", page.per_page);
        Self {
            previous: (page.page > 1).then(|| at(page.page - 1)),
            next: (page.end() < total).then(|| at(page.page + 1)),
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    text: &'static str,
}

/// What the paths of links begin with.
pub(super) fn base(ctx: &Ctx) -> String {
    ctx.external_url.path().trim_end_matches('/').to_owned()
}

fn return_to(place: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", place).finish()
}

/// A part of a page.
pub(super) fn text(template: &impl Template) -> Result<String> {
    template.render().map_err(|error| Error::Internal(Box::new(error)))
}

/// A whole page.
pub(super) fn render(template: &impl Template) -> Result<Response> {
    Ok((headers(), Html(text(template)?)).into_response())
}

/// The headers of a page.
pub(super) fn headers() -> HeaderMap {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "private, no-store"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .collect()
}

/// A status with its picture.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "status.html")]
pub(super) struct Badge {
    status: JobStatus,
    /// It went well although something failed, or its failure is allowed.
    warning: bool,
}

impl Badge {
    pub(super) fn of(status: JobStatus, warning: bool) -> Self {
        Self { status, warning }
    }

    pub(super) fn is_warning(self) -> bool {
        self.warning
    }

    fn class(self) -> &'static str {
        use JobStatus as S;
        match self.status {
            S::Success | S::Failed if self.warning => "warning",
            S::Success => "success",
            S::Failed => "failed",
            S::Running => "running",
            S::Pending | S::WaitingForResource | S::WaitingForCallback | S::Preparing => "pending",
            S::Canceling | S::Canceled => "canceled",
            S::Manual => "manual",
            S::Created | S::Skipped | S::Scheduled => "created",
        }
    }

    /// As GitLab's pages name them. Source: `lib/gitlab/ci/status/`.
    fn label(self) -> &'static str {
        use JobStatus as S;
        match self.status {
            S::Success if self.warning => "Passed with warnings",
            S::Success => "Passed",
            S::Failed if self.warning => "Failed (allowed to fail)",
            S::Failed => "Failed",
            S::Running => "Running",
            S::Pending => "Pending",
            S::WaitingForResource | S::WaitingForCallback => "Waiting",
            S::Preparing => "Preparing",
            S::Canceling => "Canceling",
            S::Canceled => "Canceled",
            S::Manual => "Manual",
            S::Created => "Created",
            S::Skipped => "Skipped",
            S::Scheduled => "Delayed",
        }
    }

    /// What is drawn in a circle of the radius 7 around 8, 8.
    fn path(self) -> &'static str {
        use JobStatus as S;
        match self.status {
            S::Success | S::Failed if self.warning => "M8 4.6v4M8 11.2v.1",
            S::Success => "M4.8 8.2l2.2 2.2 4.2-4.4",
            S::Failed => "M5.6 5.6l4.8 4.8m0-4.8l-4.8 4.8",
            S::Running => "M8 4.5a3.5 3.5 0 0 1 0 7z",
            S::Pending => "M6.4 5.4v5.2M9.6 5.4v5.2",
            S::WaitingForResource | S::WaitingForCallback | S::Preparing => "M5 8h.1M8 8h.1M11 8h.1",
            S::Canceling | S::Canceled => "M4.8 11.2l6.4-6.4",
            S::Manual => "M6.6 5.2l4 2.8-4 2.8z",
            S::Created => "M8 8h.1",
            S::Skipped => "M5.4 5.6L7.8 8l-2.4 2.4M10.4 5.6v4.8",
            S::Scheduled => "M8 4.8V8l2 1.4",
        }
    }
}
