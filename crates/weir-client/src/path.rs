//! Paths below `/api/v4`, encoded as python-gitlab encodes them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use weir_api::id::{GroupId, ProjectId};

/// What RFC 3986 calls unreserved stays as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');
/// The same for a path whose slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A text as one segment of a path: slashes become `%2F`.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A text as the rest of a path: slashes stay.
pub(crate) fn rest(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_PATH).to_string()
}

macro_rules! references {
    ($($(#[$doc:meta])* $name:ident($id:ty),)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub(crate) String);

        impl From<$id> for $name {
            fn from(id: $id) -> Self {
                Self(id.to_string())
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id.to_string())
            }
        }

        impl From<&str> for $name {
            fn from(path: &str) -> Self {
                Self(segment(path))
            }
        }

        impl From<&String> for $name {
            fn from(path: &String) -> Self {
                Self(segment(path))
            }
        }

        impl From<String> for $name {
            fn from(path: String) -> Self {
                Self(segment(&path))
            }
        }
    )*};
}

references! {
    /// A project by its number or its whole path, `group/project`.
    ProjectRef(ProjectId),
    /// A group by its number or its whole path.
    GroupRef(GroupId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_as_python_gitlab_does() {
        for (path, encoded) in [
            ("group/project", "group%2Fproject"),
            ("a.b_c-d~e", "a.b_c-d~e"),
            ("über uns", "%C3%BCber%20uns"),
            ("feature/a+b", "feature%2Fa%2Bb"),
        ] {
            assert_eq!(ProjectRef::from(path).0, encoded);
        }
        assert_eq!(rest("docs/a b.html"), "docs/a%20b.html");
        assert_eq!(ProjectRef::from(ProjectId(5)).0, "5");
    }
}
