//! The one way in which the server calls other servers at a user's word: included files, hooks.
//!
//! Who may write an address into a file could reach whatever the server reaches. So addresses of this machine and of
//! local networks are refused, as numbers in the URL and as what a name resolves to, on each redirect again; unless
//! the instance allows them. Source of rules and messages: `lib/gitlab/url_blocker.rb`, `lib/gitlab/http.rb`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::{Method, redirect};
use url::{Host, Url};

pub use reqwest::StatusCode;
pub use reqwest::header::HeaderMap;

/// Redirects that a read follows.
const MAX_REDIRECTS: usize = 5;
/// The time to reach a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls other servers. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    verified: reqwest::Client,
    unverified: reqwest::Client,
    allow_local: bool,
}

/// How far a call may go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The time for everything, redirects and body included.
    pub timeout: Duration,
    /// The bytes of the answer that are read.
    pub max_body: usize,
}

/// What the other server said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
    /// Whether the body was longer than [`Limits::max_body`].
    pub cut: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The instance does not call this address; why, in GitLab's words.
    #[error("URL is blocked: {0}")]
    Blocked(&'static str),
    /// The time is over.
    #[error("no answer in time")]
    Timeout,
    /// More redirects than are followed.
    #[error("too many redirects")]
    Redirects,
    /// No connection, or it broke; why.
    #[error("{0}")]
    Broken(String),
}

impl Client {
    /// A client; `allow_local` lets it reach this machine and local networks.
    pub fn new(allow_local: bool) -> Result<Self, Error> {
        let build = |verify: bool| {
            reqwest::Client::builder()
                .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none())
                // A proxy would resolve names behind the guard's back.
                .no_proxy()
                .dns_resolver(Arc::new(Guard { allow_local }))
                .tls_danger_accept_invalid_certs(!verify)
                .build()
                .map_err(|error| Error::Broken(chain(&error)))
        };
        Ok(Self { verified: build(true)?, unverified: build(false)?, allow_local })
    }

    /// Whether an address may be called, as far as it says itself: where its name leads is seen when it is.
    pub fn check(&self, url: &str) -> Result<(), Error> {
        self.checked(url).map(drop)
    }

    /// Reads; redirects are followed.
    pub async fn get(&self, url: &str, limits: Limits) -> Result<Answer, Error> {
        let follow = async {
            let mut url = self.checked(url)?;
            for _ in 0..=MAX_REDIRECTS {
                let response = self.verified.request(Method::GET, url.clone()).send().await;
                let response = response.map_err(|error| broken(&error))?;
                let next = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
                match next.map(|location| location.to_str().ok().and_then(|text| url.join(text).ok())) {
                    None => return answer(response, limits.max_body).await,
                    Some(Some(next)) => url = self.checked(next.as_str())?,
                    Some(None) => return Err(Error::Broken("a redirect to no address".to_owned())),
                }
            }
            Err(Error::Redirects)
        };
        tokio::time::timeout(limits.timeout, follow).await.unwrap_or(Err(Error::Timeout))
    }

    /// Sends; redirects are answers. Without `verify` any certificate will do.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        verify: bool,
        limits: Limits,
    ) -> Result<Answer, Error> {
        let client = if verify { &self.verified } else { &self.unverified };
        let send = async {
            let request = client.request(Method::POST, self.checked(url)?).headers(headers).body(body);
            answer(request.send().await.map_err(|error| broken(&error))?, limits.max_body).await
        };
        tokio::time::timeout(limits.timeout, send).await.unwrap_or(Err(Error::Timeout))
    }

    /// The address, if it may be called as far as it says: what a name resolves to is the resolver's to check.
    fn checked(&self, url: &str) -> Result<Url, Error> {
        let url = Url::parse(url).map_err(|_| Error::Blocked("URI is invalid"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Blocked("Only allowed schemes are http, https"));
        }
        let number = match url.host() {
            None => return Err(Error::Blocked("URI is invalid")),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(number)) => Some(IpAddr::V4(number)),
            Some(Host::Ipv6(number)) => Some(IpAddr::V6(number)),
        };
        match number.and_then(refusal).filter(|_| !self.allow_local) {
            Some(why) => Err(Error::Blocked(why)),
            None => Ok(url),
        }
    }
}

/// Reads an answer as far as the limit goes.
async fn answer(mut response: reqwest::Response, max_body: usize) -> Result<Answer, Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        let room = max_body - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok(Answer { status, headers, body, cut: true });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body, cut: false })
}

/// Resolves names, and refuses those that lead where nobody may go.
#[derive(Debug)]
struct Guard {
    allow_local: bool,
}

/// A name that leads where nobody may go.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_local = self.allow_local;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find_map(|address| refusal(address.ip())).filter(|_| !allow_local) {
                Some(why) => Err(Refused(why).into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Why an address is not called; none if it is a public one.
fn refusal(address: IpAddr) -> Option<&'static str> {
    const LOCAL_NETWORK: &str = "Requests to the local network are not allowed";
    match inner(address) {
        ip if ip.is_loopback() || ip.is_unspecified() => Some("Requests to localhost are not allowed"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("Requests to the link local network are not allowed"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            Some("Requests to the link local network are not allowed")
        }
        IpAddr::V4(ip) if ip == Ipv4Addr::BROADCAST => {
            Some("Requests to the limited broadcast address are not allowed")
        }
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // "This network", and the addresses that providers share.
            let special = a == 0 || (a == 100 && (64..128).contains(&b)) || ip.is_multicast() || a >= 240;
            (special || ip.is_private()).then_some(LOCAL_NETWORK)
        }
        IpAddr::V6(ip) => (ip.is_unique_local() || ip.is_multicast()).then_some(LOCAL_NETWORK),
    }
}

/// The IPv4 address within an IPv6 one that only carries it: mapped, compatible, NAT64, 6to4.
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(ip) = address else { return address };
    let of = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match ip.segments() {
        _ if ip == Ipv6Addr::LOCALHOST || ip == Ipv6Addr::UNSPECIFIED => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => address,
    }
}

/// What went wrong with a call.
fn broken(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(Refused(why)) = inner.downcast_ref() {
            return Error::Blocked(why);
        }
        cause = inner.source();
    }
    Error::Broken(chain(error))
}

/// An error with its causes; without the URL, which may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut text = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push(inner.to_string());
        cause = inner.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 10 };

    /// A server that answers what the path says; its address.
    async fn server() -> String {
        use axum::Router;
        use axum::response::Redirect;
        use axum::routing::{get, post};
        let router = Router::new()
            .route("/short", get(|| async { "short" }))
            .route("/long", get(|| async { "0123456789 and more" }))
            .route("/moved", get(|| async { Redirect::temporary("/short") }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
            .route("/never", get(std::future::pending::<()>))
            .route("/echo", post(|body: String| async move { (StatusCode::ACCEPTED, body) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn answers_come_within_limits_and_through_redirects() {
        let (server, client) = (server().await, Client::new(true).unwrap());
        let get = |path: &str| {
            let (client, url) = (client.clone(), format!("{server}{path}"));
            async move { client.get(&url, LIMITS).await }
        };
        for (path, status, body, cut) in [
            ("/short", 200, "short", false),
            ("/moved", 200, "short", false),
            ("/long", 200, "0123456789", true),
        ] {
            let answer = get(path).await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.body.as_slice(), answer.cut),
                (status, body.as_bytes(), cut)
            );
        }
        assert_eq!(get("/gone").await.unwrap().status, StatusCode::NOT_FOUND);
        assert!(matches!(get("/loop").await, Err(Error::Redirects)));
        assert!(matches!(get("/file").await, Err(Error::Blocked("Only allowed schemes are http, https"))));
        let short = Limits { timeout: Duration::from_millis(50), ..LIMITS };
        assert!(matches!(client.get(&format!("{server}/never"), short).await, Err(Error::Timeout)));
        assert!(matches!(client.get("http://127.0.0.1:1/", LIMITS).await, Err(Error::Broken(_))));
        let url = format!("{server}/echo");
        let echo =
            client.post(&url, HeaderMap::new(), Bytes::from_static(b"hello"), true, LIMITS).await.unwrap();
        assert_eq!((echo.status, echo.body.as_slice()), (StatusCode::ACCEPTED, b"hello".as_slice()));
    }

    #[tokio::test]
    async fn neither_numbers_nor_names_lead_to_this_machine() {
        let (server, client) = (server().await, Client::new(false).unwrap());
        let port = server.rsplit(':').next().unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "0"] {
            let url = format!("http://{host}:{port}/short");
            let refused = client.get(&url, LIMITS).await.unwrap_err().to_string();
            assert_eq!(refused, "URL is blocked: Requests to localhost are not allowed", "{host}");
            let sent = client.post(&url, HeaderMap::new(), Bytes::new(), true, LIMITS).await;
            assert!(matches!(sent, Err(Error::Blocked(_))), "{host}");
        }
        for url in ["ftp://example.com/a", "example.com", "http://"] {
            assert!(matches!(client.get(url, LIMITS).await, Err(Error::Blocked(_))), "{url}");
        }
    }

    #[test]
    fn only_public_addresses_are_called() {
        for (address, public) in [
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.1.2.3", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("ff02::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
        ] {
            assert_eq!(refusal(address.parse().unwrap()).is_none(), public, "{address}");
        }
    }
}
