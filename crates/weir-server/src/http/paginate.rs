//! Offset pagination with GitLab's headers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::{Error, Result};
use crate::http::params::Params;

/// The largest page.
const MAX_PER_PAGE: i64 = 100;
/// Above this many records totals are left out. Source: `lib/gitlab/pagination/offset_header_builder.rb`.
const MAX_COUNTED: u64 = 10_000;
/// The last row that an offset may reach. Source: plan limit `offset_pagination_limit`.
const MAX_OFFSET: i64 = 50_000;

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: i64,
    /// 1 to 100.
    pub per_page: i64,
}

impl Page {
    /// Reads `page` and `per_page`.
    pub fn read(params: &Params) -> Result<Self> {
        let mut fields = params.fields();
        let page = fields.integer("page").unwrap_or(1);
        let per_page = fields.integer("per_page").unwrap_or(20);
        if per_page == 0 {
            fields.refuse("per_page has a value not allowed");
        } else if per_page < 0 {
            fields.refuse("per_page does not have a valid value");
        }
        if page < 1 {
            fields.refuse("page does not have a valid value");
        }
        fields.check()?;
        let read = Self { page, per_page: per_page.min(MAX_PER_PAGE) };
        if page.saturating_sub(1).saturating_mul(read.per_page) > MAX_OFFSET {
            return Err(Error::parameter(format!(
                "Offset pagination has a maximum allowed offset of {MAX_OFFSET}. Remaining records can be \
                 retrieved using keyset pagination."
            )));
        }
        Ok(read)
    }

    /// Rows to skip.
    pub fn offset(self) -> i64 {
        (self.page - 1) * self.per_page
    }

    /// The page's part of a list that is at hand as a whole.
    pub fn slice<T>(self, all: &[T]) -> &[T] {
        let at = |row: i64| usize::try_from(row).unwrap_or(usize::MAX).min(all.len());
        &all[at(self.offset())..at(self.offset() + self.per_page)]
    }

    /// The same for a query.
    pub fn rows(self) -> weir_store::Page {
        weir_store::Page { limit: self.per_page, offset: self.offset() }
    }

    /// The same for a query that also tells whether another page follows: one row more.
    pub fn rows_and_one(self) -> weir_store::Page {
        weir_store::Page { limit: self.per_page + 1, offset: self.offset() }
    }

    /// Rows up to the end of this page.
    pub fn end(self) -> u64 {
        (self.offset() + self.per_page).unsigned_abs()
    }

    /// The page's part of a whole list.
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let number = |count: i64| usize::try_from(count).unwrap_or_default();
        all.into_iter().skip(number(self.offset())).take(number(self.per_page)).collect()
    }

    /// The `X-…` and `Link` headers.
    ///
    /// `url` is the request's URL without its query, on the external host. `total` is left out for lists that
    /// GitLab does not count; `more` says whether another page exists.
    pub fn headers(self, url: &str, params: &Params, total: Option<u64>, more: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let total = total.filter(|total| *total <= MAX_COUNTED);
        #[expect(clippy::cast_sign_loss, reason = "per_page is 1 to 100")]
        let pages = total.map(|total| total.div_ceil(self.per_page as u64).max(1));
        set("x-per-page", self.per_page.to_string());
        set("x-page", self.page.to_string());
        set("x-next-page", if more { (self.page + 1).to_string() } else { String::new() });
        set("x-prev-page", if self.page > 1 { (self.page - 1).to_string() } else { String::new() });
        if let (Some(total), Some(pages)) = (total, pages) {
            set("x-total", total.to_string());
            set("x-total-pages", pages.to_string());
        }
        let mut links = Vec::new();
        let mut link = |page: i64, rel: &str| {
            links.push(format!("<{}>; rel=\"{rel}\"", self.page_url(url, params, page)));
        };
        if self.page > 1 {
            link(self.page - 1, "prev");
        }
        if more {
            link(self.page + 1, "next");
        }
        link(1, "first");
        if let Some(pages) = pages.and_then(|pages| i64::try_from(pages).ok()) {
            link(pages, "last");
        }
        if let Ok(value) = HeaderValue::from_str(&links.join(", ")) {
            headers.insert(header::LINK, value);
        }
        headers
    }

    /// The `Link` header of keyset pagination.
    pub fn keyset_headers(self, url: &str, params: &Params, next: Option<(&str, String)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some((key, value)) = next else { return headers };
        let mut pairs = params.flattened();
        pairs.retain(|(other, _)| other != key && other != "page" && !is_credential(other));
        pairs.push((key.to_owned(), value));
        pairs.sort();
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if let Ok(value) = HeaderValue::from_str(&format!("<{url}?{query}>; rel=\"next\"")) {
            headers.insert(header::LINK, value);
        }
        headers
    }

    fn page_url(self, url: &str, params: &Params, page: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let mut pairs = params.flattened();
        pairs.retain(|(key, _)| key != "page" && key != "per_page" && !is_credential(key));
        pairs.push(("page".to_owned(), page.to_string()));
        pairs.push(("per_page".to_owned(), self.per_page.to_string()));
        pairs.sort();
        query.extend_pairs(pairs);
        format!("{url}?{}", query.finish())
    }
}

/// Links must not carry tokens: they are logged and shared.
fn is_credential(key: &str) -> bool {
    matches!(key, "private_token" | "job_token" | "access_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page> {
        let mut params = Params::default();
        params.add_form(query.as_bytes())?;
        Page::read(&params)
    }

    #[test]
    fn a_page_is_20_long_unless_asked_and_100_at_most() {
        assert_eq!(page("").unwrap(), Page { page: 1, per_page: 20 });
        assert_eq!(page("page=3&per_page=500").unwrap(), Page { page: 3, per_page: 100 });
        for wrong in ["per_page=0", "page=x", "page=0", "per_page=-1", "page=100000000000"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_carry_all_parameters_but_credentials() {
        let mut params = Params::default();
        params.add_form(b"scope[]=failed&page=2&per_page=2&private_token=secret").unwrap();
        let page = Page::read(&params).unwrap();
        let headers = page.headers("http://ci.example/api/v4/projects/1/jobs", &params, Some(5), true);
        let link = headers[header::LINK].to_str().unwrap();
        assert_eq!(
            link,
            "<http://ci.example/api/v4/projects/1/jobs?page=1&per_page=2&scope%5B%5D=failed>; rel=\"prev\", \
             <http://ci.example/api/v4/projects/1/jobs?page=3&per_page=2&scope%5B%5D=failed>; rel=\"next\", \
             <http://ci.example/api/v4/projects/1/jobs?page=1&per_page=2&scope%5B%5D=failed>; rel=\"first\", \
             <http://ci.example/api/v4/projects/1/jobs?page=3&per_page=2&scope%5B%5D=failed>; rel=\"last\""
        );
        assert_eq!(headers["x-total"], "5");
        assert_eq!(headers["x-total-pages"], "3");
        assert_eq!(headers["x-next-page"], "3");
    }

    #[test]
    fn a_list_without_a_count_has_no_totals() {
        let headers = page("").unwrap().headers("http://h/x", &Params::default(), None, false);
        assert!(headers.get("x-total").is_none());
        assert_eq!(headers["x-next-page"], "");
        assert!(!headers[header::LINK].to_str().unwrap().contains("last"));
    }
}
