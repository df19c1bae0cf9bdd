//! The one error of the server, with what the client is told and, where it differs, what the log is told.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A request that could not be answered as asked.
///
/// GitLab has two error bodies, `{"message": …}` from its application code and `{"error": …}` from its API
/// framework; clients tell them apart, so each variant stands for one status *and* one body.
#[derive(Debug)]
pub enum Error {
    /// 400 `{"error": …}`: parameters are missing or malformed; all complaints joined.
    Parameters(Vec<String>),
    /// 400 `{"message": "400 Bad request - …"}`.
    BadRequest(String),
    /// 400 `{"message": …}`: a record would be invalid. The value is a string or `{"field": ["text"]}`.
    Invalid(Value),
    /// 401: no, unknown or unusable credentials.
    Unauthorized,
    /// 401 `{"message": …}` with a reason of its own.
    Refused(&'static str),
    /// 401 `{"error": "invalid_token", …}` with a description.
    InvalidToken(&'static str),
    /// 401 for Git clients, which then ask for a password.
    GitUnauthorized,
    /// 403 `{"error": "insufficient_scope", …}`; the scopes that would do.
    InsufficientScope(&'static str),
    /// 403 `{"message": "403 Forbidden"}`, with a reason where GitLab gives one.
    Forbidden(Option<String>),
    /// 404 `{"message": "404 Not found"}`: a record that is not there.
    RecordNotFound,
    /// 404 `{"message": "404 <Thing> Not Found"}`.
    NotFound(&'static str),
    /// 404 `{"error": "404 Not Found"}`: no such route.
    NoRoute,
    /// 405 `{"error": "405 Not Allowed"}`.
    MethodNotAllowed,
    /// 405: this list has no keyset pages, or not in this order.
    KeysetUnavailable,
    /// 409 `{"message": …}`.
    Conflict(String),
    /// 409 `{"message": …}` where GitLab tells more than a text.
    ConflictOf(Value),
    /// 405 `{"message": "405 Method Not Allowed"}`: the route is there, and what it would do is not possible now.
    NotAllowed,
    /// 412.
    PreconditionFailed,
    /// 413.
    TooLarge(Option<&'static str>),
    /// 415.
    UnsupportedMediaType(String),
    /// 416 `{"error": …}` with the stored length in the `Range` header.
    RangeNotSatisfiable {
        /// Bytes stored.
        stored: u64,
    },
    /// 422.
    Unprocessable(String),
    /// 422 `{"error": …}`.
    Rejected(&'static str),
    /// 422 `{"message": …}`: a record would be invalid, where GitLab says so with this status.
    Unacceptable(Value),
    /// 500: our fault. The client sees no detail, the log sees all.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// The server's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// One malformed parameter.
    pub fn parameter(complaint: impl Into<String>) -> Self {
        Self::Parameters(vec![complaint.into()])
    }

    /// A record error on the whole object: `{"message": {"base": ["…"]}}`.
    pub fn base(message: impl Into<String>) -> Self {
        Self::Invalid(json!({ "base": [message.into()] }))
    }

    /// A record error on one field: `{"message": {"field": ["…"]}}`.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(json!({ field: [message.into()] }))
    }

    /// 403 with a reason.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::Forbidden(Some(reason.into()))
    }

    /// A failure of our own, in words for the log.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into().into())
    }

    /// What a client is told, for people.
    pub fn reason(&self) -> String {
        match self {
            Self::Invalid(Value::String(text)) => text.clone(),
            Self::Invalid(Value::Object(fields)) => {
                let texts = fields.values().flat_map(|it| it.as_array().into_iter().flatten());
                texts.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }

    /// Status and body; the only place that maps errors to HTTP.
    fn parts(&self) -> (StatusCode, Value) {
        use StatusCode as S;
        let message = |status: S, text: String| (status, json!({ "message": text }));
        match self {
            Self::Parameters(complaints) => (S::BAD_REQUEST, json!({ "error": complaints.join(", ") })),
            Self::BadRequest(reason) if reason.is_empty() => {
                message(S::BAD_REQUEST, "400 Bad request".to_owned())
            }
            Self::BadRequest(reason) => message(S::BAD_REQUEST, format!("400 Bad request - {reason}")),
            Self::Invalid(value) => (S::BAD_REQUEST, json!({ "message": value })),
            Self::Unauthorized | Self::GitUnauthorized => {
                message(S::UNAUTHORIZED, "401 Unauthorized".to_owned())
            }
            Self::Refused(reason) => message(S::UNAUTHORIZED, (*reason).to_owned()),
            Self::InvalidToken(description) => {
                (S::UNAUTHORIZED, json!({ "error": "invalid_token", "error_description": description }))
            }
            Self::InsufficientScope(scopes) => (
                S::FORBIDDEN,
                json!({
                    "error": "insufficient_scope",
                    "error_description":
                        "The request requires higher privileges than provided by the access token.",
                    "scope": scopes,
                }),
            ),
            Self::Forbidden(None) => message(S::FORBIDDEN, "403 Forbidden".to_owned()),
            Self::Forbidden(Some(reason)) => message(S::FORBIDDEN, format!("403 Forbidden - {reason}")),
            Self::RecordNotFound => message(S::NOT_FOUND, "404 Not found".to_owned()),
            Self::NotFound("") => message(S::NOT_FOUND, "404 Not Found".to_owned()),
            Self::NotFound(thing) => message(S::NOT_FOUND, format!("404 {thing} Not Found")),
            Self::NoRoute => (S::NOT_FOUND, json!({ "error": "404 Not Found" })),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, json!({ "error": "405 Not Allowed" })),
            Self::KeysetUnavailable => (
                S::METHOD_NOT_ALLOWED,
                json!({ "error": "Keyset pagination is not yet available for this type of request" }),
            ),
            Self::Conflict(reason) => message(S::CONFLICT, reason.clone()),
            Self::ConflictOf(value) => (S::CONFLICT, json!({ "message": value })),
            Self::NotAllowed => message(S::METHOD_NOT_ALLOWED, "405 Method Not Allowed".to_owned()),
            Self::PreconditionFailed => message(S::PRECONDITION_FAILED, "412 Precondition Failed".to_owned()),
            Self::TooLarge(None) => message(S::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large".to_owned()),
            Self::TooLarge(Some(reason)) => message(S::PAYLOAD_TOO_LARGE, (*reason).to_owned()),
            Self::UnsupportedMediaType(kind) => (
                S::UNSUPPORTED_MEDIA_TYPE,
                json!({ "error": format!("The provided content-type '{kind}' is not supported.") }),
            ),
            Self::RangeNotSatisfiable { .. } => {
                (S::RANGE_NOT_SATISFIABLE, json!({ "error": "416 Range Not Satisfiable" }))
            }
            Self::Unprocessable(reason) => {
                message(S::UNPROCESSABLE_ENTITY, format!("422 Unprocessable Entity - {reason}"))
            }
            Self::Rejected(reason) => (S::UNPROCESSABLE_ENTITY, json!({ "error": reason })),
            Self::Unacceptable(value) => (S::UNPROCESSABLE_ENTITY, json!({ "message": value })),
            Self::Internal(_) => message(S::INTERNAL_SERVER_ERROR, "500 Internal Server Error".to_owned()),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Internal(inner) => write!(f, "{inner}"),
            other => {
                let (status, body) = other.parts();
                write!(f, "{status}: {body}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<weir_store::Error> for Error {
    fn from(error: weir_store::Error) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<weir_store::secrets::SecretError> for Error {
    fn from(error: weir_store::secrets::SecretError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<weir_git::Error> for Error {
    /// What Git refuses in words for users is a 400 or 404 with these words; the rest is our fault.
    fn from(error: weir_git::Error) -> Self {
        use weir_git::Error as Git;
        match error {
            Git::NotFound(weir_git::What::Branch) => Self::NotFound("Branch"),
            Git::NotFound(weir_git::What::Tag) => Self::NotFound("Tag"),
            Git::NotFound(weir_git::What::Commit) => Self::NotFound("Commit"),
            Git::NotFound(weir_git::What::File) => Self::NotFound("File"),
            Git::NotFound(weir_git::What::Tree) => Self::NotFound("Tree"),
            Git::NotFound(_) => Self::NotFound(""),
            Git::AmbiguousRef => Self::base("Ref is ambiguous"),
            Git::NoRepository => Self::NotFound("Repository"),
            Git::InvalidName(invalid) => Self::Invalid(invalid.to_string().into()),
            Git::Conflict(conflict) => Self::Invalid(conflict.to_string().into()),
            Git::TooLarge { .. } => Self::TooLarge(None),
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<weir_git::InvalidName> for Error {
    fn from(invalid: weir_git::InvalidName) -> Self {
        weir_git::Error::from(invalid).into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, body) = self.parts();
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::GitUnauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"GitLab\""));
            }
            Self::RangeNotSatisfiable { stored } => {
                if let Ok(range) = HeaderValue::from_str(&format!("0-{stored}")) {
                    headers.insert(HeaderName::from_static("range"), range);
                }
            }
            Self::Internal(inner) => {
                let mut causes = inner.to_string();
                let mut cause = inner.source();
                while let Some(next) = cause {
                    causes = format!("{causes}: {next}");
                    cause = next.source();
                }
                tracing::error!(error = causes, "request failed");
            }
            _ => {}
        }
        response
    }
}
