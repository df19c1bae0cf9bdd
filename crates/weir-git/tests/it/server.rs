//! Smart HTTP over the crate, as small as it can be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::TryStreamExt;
use weir_git::{Encoding, Error, Protocol, RefUpdate, Rejection, Repository, Service};

/// What a test sets and looks at.
#[derive(Clone)]
pub(crate) struct Server {
    repository: Repository,
    rejection: Option<Rejection>,
    deny_non_fast_forwards: bool,
    seen: Arc<Mutex<Seen>>,
}

/// What clients did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The options of pushes.
    pub(crate) options: Vec<String>,
    /// The changes that took effect.
    pub(crate) applied: Vec<RefUpdate>,
    /// How many bodies came packed.
    pub(crate) gzipped: usize,
    /// The `Git-Protocol` headers.
    pub(crate) protocols: Vec<String>,
}

impl Server {
    pub(crate) fn new(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            rejection: None,
            deny_non_fast_forwards: false,
            seen: Arc::default(),
        }
    }

    pub(crate) fn rejecting(mut self, message: &str) -> Self {
        self.rejection = Some(Rejection::new(message));
        self
    }

    pub(crate) fn denying_non_fast_forwards(mut self) -> Self {
        self.deny_non_fast_forwards = true;
        self
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Serves until the test's runtime ends; returns the repository's address.
    pub(crate) async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/r.git/info/refs", get(advertise))
            .route("/r.git/git-upload-pack", post(upload_pack))
            .route("/r.git/git-receive-pack", post(receive_pack))
            .with_state(self.clone());
        // Answers come in small pieces, which must not wait for the client's acknowledgements.
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}/r.git")
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn protocol(server: &Server, headers: &HeaderMap) -> Protocol {
    let value = header(headers, "git-protocol");
    server.seen.lock().unwrap().protocols.extend(value.map(str::to_owned));
    Protocol::from_header(value)
}

fn encoding(server: &Server, headers: &HeaderMap) -> Encoding {
    if header(headers, "content-encoding") == Some("gzip") {
        server.seen.lock().unwrap().gzipped += 1;
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

fn answer(kind: String, stream: Result<weir_git::ByteStream, Error>) -> Response {
    match stream {
        Ok(stream) => ([("content-type", kind)], Body::from_stream(stream)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn advertise(
    State(server): State<Server>,
    Query(which): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let service: Service = which["service"].parse().unwrap();
    let stream = server.repository.advertise(service, &protocol(&server, &headers)).await;
    answer(format!("application/x-{}-advertisement", service.as_str()), stream)
}

async fn upload_pack(State(server): State<Server>, headers: HeaderMap, body: Body) -> Response {
    let body = body.into_data_stream().map_err(std::io::Error::other);
    let (encoding, protocol) = (encoding(&server, &headers), protocol(&server, &headers));
    let stream = server.repository.upload_pack(body, encoding, &protocol).await;
    answer("application/x-git-upload-pack-result".to_owned(), stream)
}

async fn receive_pack(State(server): State<Server>, headers: HeaderMap, body: Body) -> Response {
    let body = body.into_data_stream().map_err(std::io::Error::other);
    let push = match server.repository.receive_pack(body, encoding(&server, &headers)).await {
        Ok(push) => push,
        Err(error) => return answer(String::new(), Err(error)),
    };
    server.seen.lock().unwrap().options.extend_from_slice(push.options());
    let stream = match &server.rejection {
        Some(rejection) if !push.commands().is_empty() => Ok(push.reject(rejection)),
        _ => {
            let push = if server.deny_non_fast_forwards { push.deny_non_fast_forwards() } else { push };
            let seen = server.seen.clone();
            push.run(async move |applied| seen.lock().unwrap().applied.extend(applied))
        }
    };
    answer("application/x-git-receive-pack-result".to_owned(), stream)
}
