//! Requests that can be completed and then awaited: one answer, or a list.

use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use weir_api::page::PageInfo;

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;

type Reader<T> = fn(Call) -> BoxFuture<'static, Result<T>>;

/// A request that was not yet sent. Await it, or call [`send`](Self::send).
#[must_use = "nothing is sent before this is awaited"]
#[derive(Clone)]
pub struct Action<T> {
    call: Call,
    read: Reader<T>,
}

impl<T> std::fmt::Debug for Action<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Action({})", self.call.attempt())
    }
}

impl<T: DeserializeOwned + 'static> Action<T> {
    /// Its answer is JSON.
    pub(crate) fn json(client: &Client, method: Method, path: impl Into<String>) -> Self {
        Self { call: client.call(method, path), read: |call| Box::pin(async move { call.json().await }) }
    }
}

impl Action<()> {
    /// Its answer says only that it was done.
    pub(crate) fn done(client: &Client, method: Method, path: impl Into<String>) -> Self {
        let read: Reader<()> = |call| Box::pin(async move { call.accept().await.map(drop) });
        Self { call: client.call(method, path), read }
    }
}

impl<T> Action<T> {
    /// Adds a parameter for which there is no method.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.call.set(name, value.into());
        self
    }

    pub(crate) fn call_mut(&mut self) -> &mut Call {
        &mut self.call
    }

    /// Sends it.
    pub async fn send(self) -> Result<T> {
        (self.read)(self.call).await
    }
}

impl<T: 'static> IntoFuture for Action<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.read)(self.call)
    }
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The records.
    pub items: Vec<T>,
    /// What the headers say: which page this is, how many there are.
    pub info: PageInfo,
}

/// A list that was not yet asked for. Await one page, or take all as a [`stream`](Self::stream).
#[must_use = "nothing is sent before this is awaited"]
#[derive(Clone)]
pub struct List<T> {
    call: Call,
    items: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "List({})", self.call.attempt())
    }
}

impl<T: DeserializeOwned + Send + 'static> List<T> {
    pub(crate) fn new(client: &Client, path: impl Into<String>) -> Self {
        Self { call: client.call(Method::GET, path), items: PhantomData }
    }

    /// Adds a parameter for which there is no method.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.call.set(name, value.into());
        self
    }

    pub(crate) fn call_mut(&mut self) -> &mut Call {
        &mut self.call
    }

    /// Begins at another page than the first.
    pub fn page(self, page: u32) -> Self {
        self.param("page", page)
    }

    /// The size of a page: 20 unless given, at most 100.
    pub fn per_page(self, per_page: u32) -> Self {
        self.param("per_page", per_page)
    }

    /// Goes from page to page by the last record seen instead of by numbers. Faster for long lists, where the
    /// server offers it: projects, a project's jobs.
    pub fn keyset(self) -> Self {
        self.param("pagination", "keyset").param("order_by", "id").param("sort", "desc")
    }

    /// One page.
    pub async fn send(self) -> Result<Page<T>> {
        fetch(&self.call).await
    }

    /// All records from the first page asked for, page after page as they are needed.
    pub fn stream(self) -> BoxStream<'static, Result<T>> {
        let pages = stream::try_unfold(Some(self.call), |call| async move {
            let Some(call) = call else { return Ok(None) };
            let page = fetch::<T>(&call).await?;
            let next = following(call, &page.info);
            Ok(Some((stream::iter(page.items.into_iter().map(Ok)), next)))
        });
        pages.try_flatten().boxed()
    }

    /// All records at once.
    pub async fn all(self) -> Result<Vec<T>> {
        self.stream().try_collect().await
    }
}

async fn fetch<T: DeserializeOwned>(call: &Call) -> Result<Page<T>> {
    let response = call.accept().await?;
    let headers = response.headers();
    let info = PageInfo::read(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    Ok(Page { items: call.decode(response).await?, info })
}

/// The next page. Of a link only the query counts: its host may be one that only the server's proxy knows.
fn following(mut call: Call, info: &PageInfo) -> Option<Call> {
    if let Some(link) = info.next_link.as_deref().and_then(|link| Url::parse(link).ok()) {
        call.raw_query = link.query().map(str::to_owned);
        return Some(call);
    }
    let next = info.next_page?;
    call.set("page", next.into());
    Some(call)
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for List<T> {
    type Output = Result<Page<T>>;
    type IntoFuture = BoxFuture<'static, Result<Page<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Declares a request with its parameters: a struct around an [`Action`] or [`List`] with one method each.
macro_rules! request {
    ($($(#[$doc:meta])* $name:ident($inner:ident<$answer:ty>) -> $output:ty {
        $($(#[$pdoc:meta])* $method:ident($param:literal): $ty:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[must_use = "nothing is sent before this is awaited"]
        #[derive(Debug, Clone)]
        pub struct $name(pub(crate) crate::action::$inner<$answer>);

        impl $name {
            $($(#[$pdoc])*
            pub fn $method(mut self, value: $ty) -> Self {
                self.0.call_mut().set($param, serde_json::json!(value));
                self
            })*

            /// Adds a parameter for which there is no method.
            pub fn param(self, name: &str, value: impl Into<serde_json::Value>) -> Self {
                Self(self.0.param(name, value))
            }

            /// Sends it.
            pub async fn send(self) -> crate::error::Result<$output> {
                self.0.send().await
            }
        }

        impl std::future::IntoFuture for $name {
            type Output = crate::error::Result<$output>;
            type IntoFuture = futures_util::future::BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                self.0.into_future()
            }
        }
    )*};
}
pub(crate) use request;

/// Declares a list with its filters.
macro_rules! list {
    ($($(#[$doc:meta])* $name:ident<$item:ty> { $($params:tt)* })*) => {$(
        crate::action::request! { $(#[$doc])* $name(List<$item>) -> crate::action::Page<$item> { $($params)* } }

        impl $name {
            /// Begins at another page than the first.
            pub fn page(self, page: u32) -> Self {
                Self(self.0.page(page))
            }

            /// The size of a page: 20 unless given, at most 100.
            pub fn per_page(self, per_page: u32) -> Self {
                Self(self.0.per_page(per_page))
            }

            /// Goes on by the last record seen instead of by page numbers; see [`List::keyset`](crate::List::keyset).
            pub fn keyset(self) -> Self {
                Self(self.0.keyset())
            }

            /// All records, page after page as they are needed.
            pub fn stream(self) -> futures_util::stream::BoxStream<'static, crate::error::Result<$item>> {
                self.0.stream()
            }

            /// All records at once.
            pub async fn all(self) -> crate::error::Result<Vec<$item>> {
                self.0.all().await
            }
        }
    )*};
}
pub(crate) use list;
