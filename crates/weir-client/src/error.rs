//! What can go wrong.

use std::time::Duration;

use reqwest::{Method, StatusCode};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was attempted: the method and the path, without the query, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The method.
    pub method: Method,
    /// The path below the server's address.
    pub path: String,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A call that did not bring what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address cannot be used.
    #[error("`{url}` is not the address of a GitLab server: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A token holds characters that no header can carry.
    #[error("the token cannot be sent: it has characters other than visible ASCII")]
    Token,
    /// 401: no token, or one that the server does not accept.
    #[error("{attempt}: not authorized ({message}); check the token and that it has not expired")]
    Unauthorized {
        /// What was attempted.
        attempt: Attempt,
        /// What the server says.
        message: String,
    },
    /// The server refused: any other status from 400 up.
    #[error("{attempt}: {status}: {message}")]
    Refused {
        /// What was attempted.
        attempt: Attempt,
        /// The status.
        status: StatusCode,
        /// What the server says, in one line whatever the body's shape.
        message: String,
    },
    /// The server sends a change elsewhere, which is not followed, since its body might get lost.
    #[error(
        "{attempt}: the server moved this to {location}; use that address (perhaps https instead of http)"
    )]
    Redirected {
        /// What was attempted.
        attempt: Attempt,
        /// Where to.
        location: String,
    },
    /// No answer: the connection failed, broke or took too long.
    #[error("{attempt}: no answer from the server")]
    Transport {
        /// What was attempted.
        attempt: Attempt,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server went silent in the middle of a stream.
    #[error("{attempt}: no word from the server for {} s", .after.as_secs())]
    Silent {
        /// What was attempted.
        attempt: Attempt,
        /// How long.
        after: Duration,
    },
    /// An answer that is not JSON: often a login page, or a proxy's own.
    #[error("{attempt}: expected JSON, got `{content_type}`; is this the address of a GitLab server?")]
    NotJson {
        /// What was attempted.
        attempt: Attempt,
        /// What came instead.
        content_type: String,
    },
    /// JSON of another shape than expected.
    #[error("{attempt}: the answer has an unexpected shape")]
    Decode {
        /// What was attempted.
        attempt: Attempt,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// A local file or stream could not be read or written.
    #[error("{attempt}: reading or writing the data here failed")]
    Io {
        /// What was attempted.
        attempt: Attempt,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was waited for did not happen in time.
    #[error("{what} did not end within {} s", .after.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
}

impl Error {
    /// The status of the server's answer, if there was an answer.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Unauthorized { .. } => Some(StatusCode::UNAUTHORIZED),
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the thing is not there, or not visible to the caller.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the same call may succeed later: no answer, too many requests, trouble in the server.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Silent { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429)
            }
            _ => false,
        }
    }
}
