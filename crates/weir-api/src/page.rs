//! Pages of lists: what is asked for and what the headers answer.

use serde::{Deserialize, Serialize};

/// Names of the headers, in lower case as HTTP/2 writes them.
pub mod header {
    /// Addresses of neighbouring pages.
    pub const LINK: &str = "link";
    /// The number of this page.
    pub const PAGE: &str = "x-page";
    /// The size of a page.
    pub const PER_PAGE: &str = "x-per-page";
    /// The number of the next page; empty on the last.
    pub const NEXT_PAGE: &str = "x-next-page";
    /// The number of the previous page; empty on the first.
    pub const PREV_PAGE: &str = "x-prev-page";
    /// How many records there are; left out above 10,000.
    pub const TOTAL: &str = "x-total";
    /// How many pages there are; left out with the total.
    pub const TOTAL_PAGES: &str = "x-total-pages";
}

/// The size of a page if none is asked for.
pub const DEFAULT_PER_PAGE: u32 = 20;
/// The largest size of a page; more is cut to it.
pub const MAX_PER_PAGE: u32 = 100;

/// Which page of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PageRequest {
    /// `keyset`, or none for offsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<String>,
    /// The number of the page, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The size of a page, 1 to [`MAX_PER_PAGE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_page: Option<u32>,
    /// The order; keyset pages need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// `asc` or `desc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
}

/// What the headers of a page say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageInfo {
    /// The number of this page.
    pub page: Option<u64>,
    /// The size of a page.
    pub per_page: Option<u64>,
    /// The number of the next page.
    pub next_page: Option<u64>,
    /// How many records there are.
    pub total: Option<u64>,
    /// How many pages there are.
    pub total_pages: Option<u64>,
    /// The address of the next page.
    pub next_link: Option<String>,
}

impl PageInfo {
    /// Reads the headers; `get` finds one by its name in lower case.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let number = |name| get(name).and_then(|text| text.trim().parse().ok());
        Self {
            page: number(header::PAGE),
            per_page: number(header::PER_PAGE),
            next_page: number(header::NEXT_PAGE),
            total: number(header::TOTAL),
            total_pages: number(header::TOTAL_PAGES),
            next_link: get(header::LINK).and_then(|link| find_rel(link, "next")),
        }
    }

    /// Whether there is another page.
    pub fn has_next(&self) -> bool {
        self.next_link.is_some() || self.next_page.is_some()
    }
}

/// The address with the relation `rel` in a `Link` header (RFC 8288).
fn find_rel(header: &str, rel: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, next) = after.split_at(end);
        let is_wanted = parameters.split([';', ',']).any(|parameter| {
            parameter.trim().strip_prefix("rel=").is_some_and(|value| value.trim_matches('"') == rel)
        });
        if is_wanted {
            return Some(address.to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = r#"<https://ci.example/a?page=1>; rel="prev", <https://ci.example/a?x=1,2;3&page=3>; rel="next", <https://ci.example/a>; rel="first""#;
        assert_eq!(find_rel(link, "next").as_deref(), Some("https://ci.example/a?x=1,2;3&page=3"));
        assert_eq!(find_rel(link, "last"), None);
        assert_eq!(find_rel("<broken", "next"), None);
    }

    #[test]
    fn an_empty_next_page_ends_the_list() {
        let headers = |name: &str| match name {
            header::PAGE => Some("2"),
            header::NEXT_PAGE => Some(""),
            header::TOTAL => Some("21"),
            _ => None,
        };
        let info = PageInfo::read(headers);
        assert_eq!(
            (info.page, info.next_page, info.total, info.total_pages),
            (Some(2), None, Some(21), None)
        );
        assert!(!info.has_next());
    }

    proptest::proptest! {
        #[test]
        fn a_link_is_found_whatever_stands_around_it(before in ".*", after in ".*") {
            let wanted = "https://ci.example/?cursor=1";
            let link = format!("<https://ci.example/>; rel=\"first\", <{wanted}>; rel=\"next\", <{after}");
            proptest::prop_assert_eq!(find_rel(&link, "next"), Some(wanted.to_owned()));
            // Garbage is read without harm.
            let _ = find_rel(&before, "next");
        }
    }
}
