//! A server of its own for each test, and callers of its router.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use weir_api::Timestamp;
use weir_server::clock::Clock;
use weir_server::ctx::Ctx;
use weir_server::http::router;
use weir_server::{Config, Server};
use weir_store::Engine;
use weir_store::testing::{Fresh, POSTGRES_VARIABLE};

/// The URL under which clients reach the server of a test.
pub(crate) const EXTERNAL_URL: &str = "http://ci.example";
/// When each test begins.
const BEGINNING: &str = "2026-01-05T10:00:00.000Z";
/// The largest trace, in bytes.
pub(crate) const MAX_TRACE_SIZE: u64 = 1 << 20;
const ROOT_TOKEN: &str = "glpat-root";

/// Runs `case` with a server on a fresh database of `engine`; says so if there is none.
pub(crate) async fn on<F: Future<Output = ()>>(engine: Engine, case: impl FnOnce(World) -> F) {
    let Some(fresh) = Fresh::on(engine).await.unwrap() else {
        println!("skipped: {POSTGRES_VARIABLE} names no PostgreSQL server to test on");
        return;
    };
    case(World::start(fresh.url()).await).await;
    fresh.remove().await.unwrap();
}

/// A server and its clock.
pub(crate) struct World {
    pub(crate) ctx: Ctx,
    router: Router,
    clock: Arc<AtomicI64>,
    data: Arc<tempfile::TempDir>,
}

impl World {
    async fn start(database: &str) -> Self {
        let beginning: Timestamp = BEGINNING.parse().unwrap();
        let clock = Arc::new(AtomicI64::new(beginning.as_micros()));
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), database, clock).await
    }

    async fn start_in(data: Arc<tempfile::TempDir>, database: &str, clock: Arc<AtomicI64>) -> Self {
        let mut config = Config::new(data.path());
        config.database = Some(database.to_owned());
        config.external_url = Some(EXTERNAL_URL.parse().unwrap());
        config.root_token = Some(ROOT_TOKEN.to_owned());
        config.max_trace_size = MAX_TRACE_SIZE;
        config.allow_local_requests = true;
        let server = Server::start_with_clock(config, Clock::Manual(clock.clone())).await.unwrap();
        let ctx = server.ctx().clone();
        Self { router: router::router(ctx.clone()), ctx, clock, data }
    }

    /// Another server on the same data.
    pub(crate) async fn replica(&self) -> Self {
        let database = self.ctx.config.database.as_ref().unwrap();
        Self::start_in(self.data.clone(), database, self.clock.clone()).await
    }

    /// Lets time pass.
    pub(crate) fn pass_secs(&self, secs: i64) {
        self.clock.fetch_add(secs * 1_000_000, Ordering::Relaxed);
    }

    /// Sets the clock.
    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Lets clients reach the server over TCP; its address, `127.0.0.1:1`.
    pub(crate) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Whoever has this token.
    pub(crate) fn with_token(&self, token: &str) -> Caller {
        Caller { router: self.router.clone(), token: Some(token.to_owned()), id: 0 }
    }

    /// The administrator.
    pub(crate) fn root(&self) -> Caller {
        Caller { id: 1, ..self.with_token(ROOT_TOKEN) }
    }

    /// Somebody without credentials.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller { router: self.router.clone(), token: None, id: 0 }
    }

    /// A new user with a token for everything.
    pub(crate) async fn user(&self, username: &str) -> Caller {
        let root = self.root();
        let user = json!({
            "username": username, "name": username.to_uppercase(), "email": format!("{username}@example.com"),
            "force_random_password": true,
        });
        let id = root.post("/users", user).await.is(201)["id"].as_i64().unwrap();
        let token = json!({ "name": "all", "scopes": ["api"] });
        let token = root.post(&format!("/users/{id}/personal_access_tokens"), token).await.is(201);
        Caller { id, ..self.with_token(token["token"].as_str().unwrap()) }
    }
}

/// Someone who calls the server.
#[derive(Clone)]
pub(crate) struct Caller {
    router: Router,
    pub(crate) token: Option<String>,
    /// The user's id; 0 for nobody.
    pub(crate) id: i64,
}

impl Caller {
    /// Calls with a body; the path is that below `/api/v4`, with its query.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v4{path}"));
        if let Some(token) = &self.token {
            request = request.header("private-token", token);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The token; empty for nobody.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}

impl Caller {
    /// Makes a group; its id.
    pub(crate) async fn group(&self, path: &str, more: Value) -> i64 {
        let body = with(json!({ "name": path, "path": path }), more);
        self.post("/groups", body).await.is(201)["id"].as_i64().unwrap()
    }

    /// Makes a project; its id.
    pub(crate) async fn project(&self, name: &str, more: Value) -> i64 {
        let body = with(json!({ "name": name }), more);
        self.post("/projects", body).await.is(201)["id"].as_i64().unwrap()
    }

    /// Makes somebody a member of `groups/1` or `projects/1`.
    pub(crate) async fn invite(&self, place: &str, user: &Self, level: i64) {
        let body = json!({ "user_id": user.id, "access_level": level });
        self.post(&format!("/{place}/members"), body).await.is(201);
    }
}

/// The first body with the fields of the second.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Demands this status and this body.
    #[track_caller]
    pub(crate) fn says(self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.body), (status, body));
    }

    /// Demands this status and `{"message": …}`.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, message: &str) {
        self.says(status, &json!({ "message": message }));
    }

    /// Demands 400 and `{"error": …}`.
    #[track_caller]
    pub(crate) fn complains(self, error: &str) {
        self.says(400, &json!({ "error": error }));
    }

    /// The values of one field in a list.
    #[track_caller]
    pub(crate) fn column(self, field: &str) -> Vec<Value> {
        let body = self.is(200);
        body.as_array().unwrap().iter().map(|entity| entity[field].clone()).collect()
    }

    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Demands that each field has a value of the kind named: `int`, `str`, `bool`, `array`, `object`, `time`, `date`
/// or `null`; several are parted by `|`.
#[track_caller]
pub(crate) fn has_shape(entity: &Value, shape: &[(&str, &str)]) {
    for (field, kinds) in shape {
        let value = entity.get(field).unwrap_or_else(|| panic!("{field} is missing in {entity}"));
        let fits = kinds.split('|').any(|kind| match kind {
            "int" => value.is_i64(),
            "str" => value.is_string(),
            "bool" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            "time" => value.as_str().is_some_and(|text| {
                text.len() == 24 && text.ends_with('Z') && text.parse::<Timestamp>().is_ok()
            }),
            "date" => {
                value.as_str().is_some_and(|text| text.len() == 10 && text.parse::<Timestamp>().is_ok())
            }
            other => panic!("no kind {other}"),
        });
        assert!(fits, "{field} is no {kinds} but {value}");
    }
}

/// Demands the headers of page 2 of 3 of a list of `path` (without query) with `per_page=1`.
#[track_caller]
pub(crate) fn is_middle_page(answer: &Answer, path: &str) {
    let headers = ["x-page", "x-per-page", "x-prev-page", "x-next-page", "x-total", "x-total-pages"];
    assert_eq!(headers.map(|name| answer.header(name)), ["2", "1", "1", "3", "3", "3"]);
    assert_eq!(answer.body.as_array().map(Vec::len), Some(1));
    let link = answer.header("link");
    for rel in ["prev", "next", "first", "last"] {
        assert!(link.contains(&format!("rel=\"{rel}\"")), "{link}");
    }
    assert!(link.starts_with(&format!("<{EXTERNAL_URL}/api/v4{path}?")), "{link}");
}
