//! Signing in with a personal access token, and out.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;
use weir_api::Secret;

use super::page::{self, Frame, Visit};
use crate::app::web_sessions;
use crate::auth::Caller;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::params::Params;

/// Over HTTPS the browser itself makes sure that no other host or path set the cookie.
const SECURE_COOKIE: &str = "__Host-weir_session";
const PLAIN_COOKIE: &str = "weir_session";
/// The largest form, in bytes.
const MAX_FORM: usize = 16 << 10;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    return_to: String,
    complaint: Option<&'static str>,
}

fn cookie_name(ctx: &Ctx) -> &'static str {
    if ctx.external_url.scheme() == "https" { SECURE_COOKIE } else { PLAIN_COOKIE }
}

fn secret(ctx: &Ctx, headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(ctx)).map(|(_, value)| Secret::from(value))
}

/// Who is behind the cookie.
pub(super) async fn caller(ctx: &Ctx, headers: &HeaderMap) -> Result<Caller> {
    match secret(ctx, headers) {
        Some(secret) => web_sessions::find(ctx, &secret).await,
        None => Ok(Caller::Anonymous),
    }
}

/// `GET /-/sign_in`
pub(super) async fn form(visit: Visit) -> Response {
    let return_to = local(visit.params.text("return_to")).to_owned();
    if visit.user().is_some() {
        return Redirect::to(&format!("{}{return_to}", page::base(&visit.ctx))).into_response();
    }
    let form = SignIn { frame: visit.frame(), return_to, complaint: None };
    page::render(&form).unwrap_or_else(IntoResponse::into_response)
}

/// `POST /-/sign_in`
pub(super) async fn sign_in(State(ctx): State<Ctx>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match try_sign_in(&ctx, &parts, body).await {
        Ok(answer) => answer,
        Err(error) => refuse(ctx, &parts, error).await,
    }
}

async fn try_sign_in(ctx: &Ctx, parts: &Parts, body: Body) -> Result<Response> {
    demand_own_form(&parts.headers)?;
    let bytes = axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| Error::TooLarge(None))?;
    let mut form = Params::default();
    form.add_form(&bytes)?;
    let return_to = local(form.text("return_to")).to_owned();
    let token = Secret::from(form.text("token").unwrap_or_default().trim());
    let complaint = match web_sessions::create(ctx, token).await {
        Ok(session) => {
            if let Some(old) = secret(ctx, &parts.headers) {
                web_sessions::delete(ctx, &old).await?;
            }
            let place = format!("{}{return_to}", page::base(ctx));
            return Ok(with_cookie(ctx, Redirect::to(&place), session.expose(), web_sessions::LIFETIME));
        }
        Err(Error::Unauthorized) => "No such token.",
        Err(Error::InvalidToken(_)) => "This token was revoked or has expired.",
        Err(Error::InsufficientScope(_)) => "This token needs the scope api or read_api.",
        Err(Error::Forbidden(_)) => "This account is blocked.",
        Err(other) => return Err(other),
    };
    let visit = Visit::read(ctx.clone(), parts).await?;
    let form = SignIn { frame: visit.frame(), return_to, complaint: Some(complaint) };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page::render(&form)?).into_response())
}

/// `POST /-/sign_out`
pub(super) async fn sign_out(State(ctx): State<Ctx>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let done = async {
        demand_own_form(&parts.headers)?;
        if let Some(secret) = secret(&ctx, &parts.headers) {
            web_sessions::delete(&ctx, &secret).await?;
        }
        Ok(with_cookie(&ctx, Redirect::to(&format!("{}/", page::base(&ctx))), "", 0))
    };
    match done.await {
        Ok(answer) => answer,
        Err(error) => refuse(ctx, &parts, error).await,
    }
}

/// Not [`Visit::refuse`]: to sign in again would not help, the form came from elsewhere.
async fn refuse(ctx: Ctx, parts: &Parts, error: Error) -> Response {
    match Visit::read(ctx, parts).await {
        Ok(visit) => visit.show(error),
        Err(error) => error.into_response(),
    }
}

fn with_cookie(ctx: &Ctx, answer: Redirect, value: &str, max_age: i64) -> Response {
    let secure = if ctx.external_url.scheme() == "https" { "; Secure" } else { "" };
    let cookie =
        format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", cookie_name(ctx));
    let mut answer = (page::headers(), answer).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// A form counts only if one of our own pages sent it: otherwise another site could sign a visitor in as somebody
/// else, or out. Browsers say where a form comes from, in one header or the other.
fn demand_own_form(headers: &HeaderMap) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            // The browser asks the host that it shows, whatever a proxy calls us.
            let port = |url: &Url| url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let origin = Url::parse(origin).ok();
            let origin = origin.and_then(|url| Some(format!("{}{}", url.host_str()?, port(&url))));
            origin.is_some() && origin.as_deref() == text("host")
        }
        (None, None) => false,
    };
    if own { Ok(()) } else { Err(Error::forbidden("the form was sent from another site")) }
}

/// A path of this server; anything else is the start page. Browsers read `//host` and `/\host` as other hosts, and
/// leave out control characters.
fn local(place: Option<&str>) -> &str {
    let is_local = |place: &&str| {
        place.starts_with('/')
            && !place.starts_with("//")
            && !place.contains(['\\'])
            && place.bytes().all(|byte| byte.is_ascii_graphic())
    };
    place.filter(is_local).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_come_back_to() {
        for (place, wanted) in [
            (Some("/g/p/-/jobs/1?x=y"), "/g/p/-/jobs/1?x=y"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("/\t/evil.example"), "/"),
            (Some("/a\r\nSet-Cookie: x"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (Some(""), "/"),
            (None, "/"),
        ] {
            assert_eq!(local(place), wanted, "{place:?}");
        }
    }

    #[test]
    fn a_form_of_another_site_does_not_count() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            demand_own_form(&headers.collect()).is_ok()
        };
        for (headers, wanted) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[("sec-fetch-site", "cross-site"), ("origin", "http://ci.example"), ("host", "ci.example")],
                false,
            ),
            (&[("origin", "http://ci.example"), ("host", "ci.example")], true),
            (&[("origin", "http://ci.example:8080"), ("host", "ci.example:8080")], true),
            (&[("origin", "http://ci.example:8080"), ("host", "ci.example")], false),
            (&[("origin", "http://evil.example"), ("host", "ci.example")], false),
            (&[("origin", "null"), ("host", "ci.example")], false),
            (&[("origin", "null")], false),
            (&[], false),
        ] {
            assert_eq!(own(headers), wanted, "{headers:?}");
        }
    }
}
