//! Pages of branches and tags.

use std::ops::Range;

use weir_git::{Error as GitError, RefName, RefOrder, Repository};

use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// At the page's number.
    Offset,
    /// After this name, or at the beginning.
    After(Option<&'a str>),
}

/// The places of a page in a list; none if there is no repository yet.
///
/// # Errors
/// 422 if the page shall begin after what is not in the list.
pub(super) async fn range(
    repository: &Repository,
    search: Option<&str>,
    order: RefOrder,
    at: At<'_>,
    page: Page,
    full_name: impl FnOnce(&str) -> Option<RefName>,
) -> Result<Option<Range<usize>>> {
    if !repository.exists().await {
        return Ok(None);
    }
    let number = |count: i64| usize::try_from(count).unwrap_or_default();
    let start = match at {
        At::Offset => number(page.offset()),
        At::After(None) => 0,
        At::After(Some(token)) => {
            let name = full_name(token);
            let position = match &name {
                Some(name) => repository
                    .ref_position(name, search, order)
                    .await
                    .map_err(|error: GitError| Error::from(error))?,
                None => None,
            };
            position.ok_or_else(|| Error::Unprocessable(format!("Invalid page token: {token}")))? + 1
        }
    };
    Ok(Some(start..start + number(page.per_page)))
}
