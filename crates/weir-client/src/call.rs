//! One call: from parameters to an answer, with retries and redirects.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;
use weir_api::error::ErrorBody;

use crate::client::Client;
use crate::error::{Attempt, Error, Result};

/// The first pause before a retry; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How many redirects are followed.
const MAX_REDIRECTS: u32 = 5;
/// How much of a refusal's body is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// When a call that failed is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// If sending it twice is like sending it once.
    IfIdempotent,
    /// Always: the server copes with a repetition.
    Always,
    /// Never: the caller does so.
    Never,
}

/// A call that was not yet sent.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) client: Client,
    pub(crate) method: Method,
    /// Below `/api/v4/`, encoded.
    pub(crate) path: String,
    pub(crate) params: Map<String, Value>,
    /// Whether the parameters stand in the query; else in the body.
    pub(crate) in_query: bool,
    /// A query as it came in a link; it replaces `params`.
    pub(crate) raw_query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) retry: Retry,
    /// The time for the whole answer; none for streams.
    pub(crate) timeout: Option<Duration>,
}

/// Parameters may be passwords, and are not shown.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({})", self.attempt())
    }
}

impl Call {
    pub(crate) fn new(client: &Client, method: Method, path: String) -> Self {
        Self {
            in_query: matches!(method, Method::GET | Method::HEAD | Method::DELETE),
            method,
            path,
            params: Map::new(),
            raw_query: None,
            headers: HeaderMap::new(),
            retry: Retry::IfIdempotent,
            timeout: Some(client.timeout()),
            client: client.clone(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.params.insert(name.to_owned(), value);
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Result<Self> {
        let mut value = HeaderValue::from_str(value).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { method: self.method.clone(), path: format!("/api/v4/{}", self.path) }
    }

    pub(crate) fn url(&self) -> Result<Url> {
        let mut url = self.client.url(&self.path)?;
        if let Some(query) = &self.raw_query {
            url.set_query(Some(query));
        } else if self.in_query && !self.params.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &self.params {
                flatten(name, value, &mut |name, value| {
                    pairs.append_pair(name, value);
                });
            }
            drop(pairs);
        }
        Ok(url)
    }

    /// Sends the parameters, again if that may help, and gives whatever answer comes.
    pub(crate) async fn respond(&self) -> Result<Response> {
        let body = if self.in_query {
            None
        } else {
            Some(Bytes::from(Value::Object(self.params.clone()).to_string()))
        };
        let mut retries = 0;
        loop {
            let outcome = self.follow(body.clone()).await;
            let pause = match &outcome {
                Ok(response) if self.may_retry(response.status()) => {
                    asked_pause(response.headers()).unwrap_or_else(|| pause(retries))
                }
                Err(Error::Transport { source, .. }) if self.may_retry_after(source) => pause(retries),
                _ => return outcome,
            };
            if retries >= self.client.max_retries() {
                return outcome;
            }
            retries += 1;
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    fn may_repeat(&self) -> bool {
        match self.retry {
            Retry::Never => false,
            Retry::Always => true,
            Retry::IfIdempotent => self.method.is_idempotent(),
        }
    }

    /// 429 means that nothing was done, so that any call may be repeated.
    fn may_retry(&self, status: StatusCode) -> bool {
        match status.as_u16() {
            429 => self.retry != Retry::Never,
            408 | 500 | 502 | 503 | 504 => self.may_repeat(),
            other => other >= 512 && self.may_repeat(),
        }
    }

    /// A connection that never stood carried nothing.
    fn may_retry_after(&self, error: &reqwest::Error) -> bool {
        self.may_repeat() || (self.retry != Retry::Never && error.is_connect())
    }

    /// Sends once, and after the redirects. To another server no token goes along.
    async fn follow(&self, body: Option<Bytes>) -> Result<Response> {
        let first = self.url()?;
        let mut url = first.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_home = url.origin() == first.origin();
            let mut request = self.client.http().request(self.method.clone(), url.clone());
            request = request.header(ACCEPT, "application/json, */*;q=0.5");
            if is_home {
                request = request.headers(self.client.credentials().clone()).headers(self.headers.clone());
            }
            if let Some(timeout) = self.timeout {
                request = request.timeout(timeout);
            }
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let response =
                self.within_silence(request.send()).await?.map_err(|source| self.transport(source))?;
            let status = response.status();
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Ok(response);
            };
            let next = url.join(location).ok();
            let keeps_body = matches!(status.as_u16(), 307 | 308);
            let may_follow = match &next {
                Some(next) if body.is_some() => keeps_body && next.origin() == first.origin(),
                Some(_) => self.method.is_safe() || keeps_body,
                None => false,
            };
            match next {
                Some(next) if may_follow => url = next,
                _ => {
                    return Err(Error::Redirected { attempt: self.attempt(), location: location.to_owned() });
                }
            }
        }
        Err(Error::Redirected { attempt: self.attempt(), location: url.to_string() })
    }

    /// A stream may take its time, but must begin.
    async fn within_silence<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        if self.timeout.is_some() {
            return Ok(answer.await);
        }
        let after = self.client.timeout();
        let silent = |_| Error::Silent { attempt: self.attempt(), after };
        tokio::time::timeout(after, answer).await.map_err(silent)
    }

    pub(crate) fn transport(&self, source: reqwest::Error) -> Error {
        Error::Transport { attempt: self.attempt(), source: source.without_url() }
    }

    /// Sends; a refusal becomes an error.
    pub(crate) async fn accept(&self) -> Result<Response> {
        let response = self.respond().await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// What the server says about its refusal.
    pub(crate) async fn refusal(&self, mut response: Response) -> Error {
        let status = response.status();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BODY {
                break;
            }
        }
        let said = serde_json::from_slice::<ErrorBody>(&body).ok().and_then(|body| body.text());
        let message = said.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&body);
            let line = text.trim().lines().next().unwrap_or_default();
            let is_markup = line.starts_with('<');
            if line.is_empty() || is_markup {
                status.canonical_reason().unwrap_or("no reason given").to_owned()
            } else {
                line.chars().take(500).collect()
            }
        });
        let attempt = self.attempt();
        if status == StatusCode::UNAUTHORIZED {
            Error::Unauthorized { attempt, message }
        } else {
            Error::Refused { attempt, status, message }
        }
    }

    /// Sends, and reads JSON of the type wanted.
    pub(crate) async fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let response = self.accept().await?;
        self.decode(response).await
    }

    pub(crate) async fn decode<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        if !content_type.contains("json") {
            return Err(Error::NotJson { attempt: self.attempt(), content_type });
        }
        let body = response.bytes().await.map_err(|source| self.transport(source))?;
        serde_json::from_slice(&body).map_err(|source| Error::Decode { attempt: self.attempt(), source })
    }
}

/// Writes a parameter as GitLab reads it from a query: lists as `name[]`, objects as `name[key]`.
fn flatten(name: &str, value: &Value, add: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Null => {}
        Value::String(text) => add(name, text),
        Value::Array(items) => items.iter().for_each(|item| flatten(&format!("{name}[]"), item, add)),
        Value::Object(members) => {
            members.iter().for_each(|(key, item)| flatten(&format!("{name}[{key}]"), item, add));
        }
        other => add(name, &other.to_string()),
    }
}

/// The pause before the retry number `retries`, spread so that clients do not return together.
fn pause(retries: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << retries.min(10)).min(LONGEST_PAUSE);
    let percent = u32::try_from(RandomState::new().hash_one(0) % 51).unwrap_or(0);
    pause * (75 + percent) / 100
}

/// The pause that the server asks for: `Retry-After` in seconds, else `RateLimit-Reset` as a point in time.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        number("ratelimit-reset").map(|at| at.saturating_sub(now))
    };
    number(RETRY_AFTER.as_str()).or_else(reset).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_objects_are_written_with_brackets() {
        let params = json!({
            "scope": ["failed", "success"], "include_retried": true, "page": 2, "none": null,
            "filter": {"environment_scope": "production"},
        });
        let mut pairs = Vec::new();
        for (name, value) in params.as_object().unwrap() {
            flatten(name, value, &mut |name, value| pairs.push(format!("{name}={value}")));
        }
        assert_eq!(
            pairs,
            [
                "scope[]=failed",
                "scope[]=success",
                "include_retried=true",
                "page=2",
                "filter[environment_scope]=production"
            ]
        );
    }

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        for retries in 0..40 {
            let pause = pause(retries);
            assert!(pause >= FIRST_PAUSE * 3 / 4 && pause <= LONGEST_PAUSE * 5 / 4, "{pause:?}");
        }
        assert!(pause(6) > pause(0));
    }
}
