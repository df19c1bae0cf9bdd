//! Git over smart HTTP: `/<path>.git/info/refs`, `git-upload-pack`, `git-receive-pack`.
//! Source: `app/controllers/repositories/git_http_controller.rb`.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use weir_git::{Encoding, Protocol, Service};

use crate::app::{access, git_access};
use crate::auth::{Action, token};
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// A request for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The project's full path.
    project: String,
    /// What of it.
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Which refs there are.
    InfoRefs,
    /// One of the two services.
    Pack(Service),
}

impl Route {
    /// Reads a path; none if it is no repository's.
    pub fn parse(path: &str) -> Option<Self> {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let path = decoded.strip_prefix('/')?;
        let (project, rest) = match path.split_once(".git/") {
            Some((project, rest)) => (project, rest),
            // Git also asks without `.git` where the user left it out.
            None => ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
                .iter()
                .find_map(|end| Some((path.strip_suffix(end)?, &end[1..])))?,
        };
        let what = match rest {
            "info/refs" => What::InfoRefs,
            service => What::Pack(service.parse().ok()?),
        };
        let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        (project.contains('/') && project.split('/').all(good))
            .then(|| Self { project: project.to_owned(), what })
    }
}

/// Answers a Git client.
///
/// # Errors
/// 401 with a challenge wherever credentials might help, 403 where they do not, 404 for a missing project.
pub async fn serve(ctx: Ctx, route: Route, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let service = match route.what {
        What::InfoRefs if parts.method == Method::GET => service_of_query(parts.uri.query())?,
        What::Pack(service) if parts.method == Method::POST => service,
        _ => return Err(Error::MethodNotAllowed),
    };
    let action = match service {
        Service::UploadPack => Action::ReadCode,
        Service::ReceivePack => Action::WriteCode,
    };
    let caller = match token::basic_credential(&parts.headers) {
        Some(credential) => token::authenticate(&ctx, credential).await.map_err(challenge)?,
        None => token::Caller::Anonymous,
    };
    git_access::demand_scope(&caller, service)?;
    let access =
        access::project(&ctx, &caller, &route.project, action).await.map_err(|error| match error {
            // Git clients send credentials only when asked, so a hidden project asks for some.
            Error::Unauthorized | Error::NotFound(_) if caller.user().is_none() => Error::GitUnauthorized,
            other => other,
        })?;
    let repository = ctx.repositories.repository(access.project.id.0);
    let protocol = Protocol::from_header(text(&parts.headers, "git-protocol"));
    let kind = if route.what == What::InfoRefs { "advertisement" } else { "result" };
    let content_type = format!("application/x-{}-{kind}", service.as_str());
    let stream = match (route.what, service) {
        (What::InfoRefs, _) => repository.advertise(service, &protocol).await?,
        (What::Pack(_), Service::UploadPack) => {
            repository.upload_pack(stream(body), encoding(&parts.headers)?, &protocol).await?
        }
        (What::Pack(_), Service::ReceivePack) => {
            let push = repository.receive_pack(stream(body), encoding(&parts.headers)?).await?;
            git_access::receive(&ctx, &access, &caller, push).await?
        }
    };
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    Ok(response)
}

/// A wrong password is told like a missing one.
fn challenge(error: Error) -> Error {
    match error {
        Error::Unauthorized | Error::InvalidToken(_) => Error::GitUnauthorized,
        other => other,
    }
}

fn service_of_query(query: Option<&str>) -> Result<Service> {
    let name = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("service="));
    name.and_then(|name| name.parse().ok()).ok_or_else(|| Error::forbidden("Only smart HTTP is served"))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn encoding(headers: &HeaderMap) -> Result<Encoding> {
    match text(headers, "content-encoding") {
        None | Some("" | "identity") => Ok(Encoding::Identity),
        Some("gzip" | "x-gzip") => Ok(Encoding::Gzip),
        Some(other) => Err(Error::UnsupportedMediaType(other.to_owned())),
    }
}

fn stream(body: Body) -> weir_git::ByteStream {
    Box::pin(body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repositorys_path_is_cut_at_its_end() {
        let read = |path: &str| Route::parse(path).map(|route| (route.project, route.what));
        let upload = What::Pack(Service::UploadPack);
        for (path, wanted) in [
            ("/g/p.git/info/refs", Some(("g/p", What::InfoRefs))),
            ("/g/sub/p.git/git-upload-pack", Some(("g/sub/p", upload))),
            ("/g/p.git/git-receive-pack", Some(("g/p", What::Pack(Service::ReceivePack)))),
            ("/g/p/info/refs", Some(("g/p", What::InfoRefs))),
            ("/g%2Fp.git/info/refs", Some(("g/p", What::InfoRefs))),
            ("/p.git/info/refs", None),
            ("/g/../p.git/info/refs", None),
            ("/g/p.git/HEAD", None),
            ("/g/p.git/objects/info/packs", None),
            ("/", None),
        ] {
            let wanted = wanted.map(|(project, what)| (project.to_owned(), what));
            assert_eq!(read(path), wanted, "{path}");
        }
    }
}
