//! The client and how it is made.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::call::Call;
use crate::error::{Error, Result};

/// The time for a call, unless the builder says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// The pause between two looks at what is waited for, unless the builder says otherwise; as `glab` makes it.
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(3);
/// How often a call is repeated, unless the builder says otherwise.
const DEFAULT_RETRIES: u32 = 4;

/// A client of one GitLab server. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    /// Ends in `/api/v4/`.
    base: Url,
    credentials: HeaderMap,
    timeout: Duration,
    retries: u32,
    poll_interval: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts a client of the server at `url`, `https://gitlab.example.com`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            url: url.into(),
            credentials: Credentials::None,
            timeout: DEFAULT_TIMEOUT,
            retries: DEFAULT_RETRIES,
            poll_interval: DEFAULT_POLL_INTERVAL,
            user_agent: concat!("weir-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            sudo: None,
            certificates: Vec::new(),
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    pub(crate) fn credentials(&self) -> &HeaderMap {
        &self.0.credentials
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        self.0.poll_interval
    }

    pub(crate) fn max_retries(&self) -> u32 {
        self.0.retries
    }

    /// The whole address of a path below `/api/v4/`.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        let url = format!("{}{path}", self.0.base);
        Url::parse(&url).map_err(|error| Error::Address { reason: error.to_string(), url })
    }

    pub(crate) fn call(&self, method: Method, path: impl Into<String>) -> Call {
        Call::new(self, method, path.into())
    }
}

enum Credentials {
    None,
    Token(&'static str, String),
}

/// Makes a [`Client`].
pub struct ClientBuilder {
    url: String,
    credentials: Credentials,
    timeout: Duration,
    retries: u32,
    poll_interval: Duration,
    user_agent: String,
    sudo: Option<String>,
    certificates: Vec<reqwest::Certificate>,
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Signs in with a personal, project or group access token.
    #[must_use]
    pub fn private_token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token("private-token", token.into());
        self
    }

    /// Signs in with an OAuth token.
    #[must_use]
    pub fn oauth_token(mut self, token: impl AsRef<str>) -> Self {
        self.credentials = Credentials::Token("authorization", format!("Bearer {}", token.as_ref()));
        self
    }

    /// Signs in with a job's token, `$CI_JOB_TOKEN`.
    #[must_use]
    pub fn job_token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token("job-token", token.into());
        self
    }

    /// Acts as another user, by name or number; for administrators.
    #[must_use]
    pub fn sudo(mut self, user: impl Into<String>) -> Self {
        self.sudo = Some(user.into());
        self
    }

    /// The time for a whole call; for a stream that comes down, the longest silence.
    /// 60 s unless given. Uploads take as long as they take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call that may be repeated is. 4 unless given; 0 turns it off.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The pause between two looks at a pipeline that is waited for, or a trace that is followed. 3 s unless
    /// given.
    #[must_use]
    pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval;
        self
    }

    /// What the program calls itself.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Trusts a certificate of an own authority, in PEM.
    ///
    /// # Errors
    /// If this is no certificate.
    pub fn certificate(mut self, pem: &[u8]) -> Result<Self> {
        let certificate = reqwest::Certificate::from_pem(pem).map_err(|error| self.unusable(&error))?;
        self.certificates.push(certificate);
        Ok(self)
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// If the address or the token cannot be used.
    pub fn build(self) -> Result<Client> {
        let base = self.base()?;
        let mut credentials = HeaderMap::new();
        let tokens = match &self.credentials {
            Credentials::None => None,
            Credentials::Token(header, token) => Some((*header, token)),
        };
        for (name, value) in tokens.into_iter().chain(self.sudo.as_ref().map(|user| ("sudo", user))) {
            let mut value = HeaderValue::from_str(value).map_err(|_| Error::Token)?;
            value.set_sensitive(true);
            credentials.insert(HeaderName::from_static(name), value);
        }
        let mut http = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.timeout)
            // Calls follow redirects themselves, so that no token reaches another server.
            .redirect(reqwest::redirect::Policy::none());
        for certificate in &self.certificates {
            http = http.add_root_certificate(certificate.clone());
        }
        let http = http.build().map_err(|error| self.unusable(&error))?;
        let Self { timeout, retries, poll_interval, .. } = self;
        Ok(Client(Arc::new(Inner { http, base, credentials, timeout, retries, poll_interval })))
    }

    fn unusable(&self, error: &dyn std::error::Error) -> Error {
        Error::Address { url: self.url.clone(), reason: error.to_string() }
    }

    /// As gitlab-runner reads it: a trailing `/` and `/ci` do not count. Nor does `/api/v4`.
    fn base(&self) -> Result<Url> {
        let text = self.url.trim().trim_end_matches('/');
        let text = text.strip_suffix("/api/v4").or_else(|| text.strip_suffix("/ci")).unwrap_or(text);
        let base = Url::parse(&format!("{text}/api/v4/")).map_err(|error| self.unusable(&error))?;
        if matches!(base.scheme(), "http" | "https") {
            return Ok(base);
        }
        let reason = "it must begin with http:// or https://".to_owned();
        Err(Error::Address { url: self.url.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_as_gitlab_runner_reads_it() {
        for url in [
            "https://ci.example",
            "https://ci.example/",
            "https://ci.example/ci",
            "https://ci.example/api/v4/",
            " https://ci.example ",
        ] {
            let client = Client::builder(url).build().unwrap();
            assert_eq!(client.url("version").unwrap().as_str(), "https://ci.example/api/v4/version");
        }
        let client = Client::builder("http://host/sub/dir/").build().unwrap();
        assert_eq!(client.url("a%2Fb").unwrap().as_str(), "http://host/sub/dir/api/v4/a%2Fb");
    }

    #[test]
    fn what_is_no_address_or_token_is_refused_before_anything_is_sent() {
        assert!(matches!(Client::builder("ftp://ci.example").build(), Err(Error::Address { .. })));
        assert!(matches!(Client::builder("ci.example").build(), Err(Error::Address { .. })));
        let token = Client::builder("https://ci.example").private_token("a\nb").build();
        assert!(matches!(token, Err(Error::Token)));
    }

    #[test]
    fn debug_hides_the_token() {
        let builder = Client::builder("https://ci.example").private_token("glpat-1");
        assert!(!format!("{builder:?}").contains("glpat-1"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("glpat-1"));
    }
}
