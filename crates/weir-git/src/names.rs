//! Names, valid by construction: of references, objects and files.

use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_PATH_BYTES, MAX_REF_NAME_BYTES};

/// The text is no name that Git or GitLab allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a reference's full name.
    #[error("`{0}` is not a valid reference name")]
    Ref(String),
    /// Not a branch's name.
    #[error("Branch name is invalid")]
    Branch(String),
    /// Not a tag's name.
    #[error("Tag name invalid")]
    Tag(String),
    /// Not an object's name.
    #[error("`{0}` is not an object name of 40 or 64 hexadecimal digits")]
    Object(String),
    /// No path of a file.
    #[error("You must provide a file path")]
    EmptyPath,
    /// A path that leaves the repository or reaches into Git's own files.
    #[error("Path cannot include directory traversal")]
    PathTraversal(String),
    /// A path that no file may have.
    #[error("invalid path: '{0}'")]
    Path(String),
}

/// A reference's full name, `refs/heads/main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

/// A branch's short name, `main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(String);

/// A tag's short name, `v1.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(String);

/// An object's name: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(String);

/// A file's path inside a repository, `docs/index.md`: relative, without empty, `.`, `..` or `.git` components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(String);

impl RefName {
    /// Checks a full name by the rules of `git check-ref-format`; it must begin with `refs/`.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        if name.starts_with("refs/") && is_ref_format(&name) {
            Ok(Self(name))
        } else {
            Err(InvalidName::Ref(name))
        }
    }

    /// The reference that keeps an object from being pruned.
    pub fn keep_around(id: &ObjectId) -> Self {
        Self(format!("refs/keep-around/{id}"))
    }

    /// The reference that runners fetch for a pipeline.
    pub fn pipeline(id: i64) -> Self {
        Self(format!("refs/pipelines/{id}"))
    }

    /// The reference that holds the newest commit of a merge request.
    pub fn merge_request_head(iid: i64) -> Self {
        Self(format!("refs/merge-requests/{iid}/head"))
    }

    /// The reference that holds what merging a merge request would make.
    pub fn merge_request_merge(iid: i64) -> Self {
        Self(format!("refs/merge-requests/{iid}/merge"))
    }

    /// The branch's short name, if it is a branch.
    pub fn branch(&self) -> Option<BranchName> {
        self.0.strip_prefix("refs/heads/").map(|name| BranchName(name.to_owned()))
    }

    /// The tag's short name, if it is a tag.
    pub fn tag(&self) -> Option<TagName> {
        self.0.strip_prefix("refs/tags/").map(|name| TagName(name.to_owned()))
    }

    /// A full name that Git itself printed.
    pub(crate) fn trusted(name: String) -> Self {
        Self(name)
    }
}

impl BranchName {
    /// Checks a short name as GitLab does (`lib/gitlab/git_ref_validator.rb`).
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        if is_short_name(&name, "refs/heads/") { Ok(Self(name)) } else { Err(InvalidName::Branch(name)) }
    }

    /// The full name.
    pub fn to_ref(&self) -> RefName {
        RefName(format!("refs/heads/{}", self.0))
    }
}

impl TagName {
    /// Checks a short name as GitLab does (`lib/gitlab/git_ref_validator.rb`).
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        if is_short_name(&name, "refs/tags/") { Ok(Self(name)) } else { Err(InvalidName::Tag(name)) }
    }

    /// The full name.
    pub fn to_ref(&self) -> RefName {
        RefName(format!("refs/tags/{}", self.0))
    }
}

impl ObjectId {
    /// Checks the digits; upper case is folded.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidName> {
        let mut id = id.into();
        if !matches!(id.len(), 40 | 64) || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidName::Object(id));
        }
        id.make_ascii_lowercase();
        Ok(Self(id))
    }

    /// The name that stands for "no object", as `before` of a new branch.
    pub fn zero() -> Self {
        Self("0".repeat(40))
    }

    /// Whether it stands for "no object".
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }

    /// The first eight digits, GitLab's `short_id`.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }

    /// From the bytes in a tree object.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let mut id = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(id, "{byte:02x}");
        }
        Self(id)
    }
}

impl RepoPath {
    /// Checks a path. One leading slash is dropped, as GitLab does.
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidName> {
        let mut path = path.into();
        if path.starts_with('/') {
            path.remove(0);
        }
        if path.is_empty() {
            return Err(InvalidName::EmptyPath);
        }
        if path.len() > MAX_PATH_BYTES || path.contains('\0') {
            return Err(InvalidName::Path(path));
        }
        let mut problem = None;
        for component in path.split('/') {
            match component {
                ".." => return Err(InvalidName::PathTraversal(path)),
                "" | "." => problem = Some(component),
                _ if component.eq_ignore_ascii_case(".git") => problem = Some(component),
                _ => {}
            }
        }
        if problem.is_some() { Err(InvalidName::Path(path)) } else { Ok(Self(path)) }
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that holds it; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<std::ffi::OsStr> for $name {
            fn as_ref(&self) -> &std::ffi::OsStr {
                self.0.as_ref()
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}
text!(RefName, BranchName, TagName, ObjectId, RepoPath);

/// GitLab refuses names that look like an option, like a path or like another reference's full name.
fn is_short_name(name: &str, prefix: &str) -> bool {
    const EXPANDED: [&str; 4] = ["refs/heads/", "refs/remotes/", "refs/tags/", "refs/keep-around/"];
    name != "HEAD"
        && name != "@"
        && !name.starts_with(['-', '/'])
        && !EXPANDED.iter().any(|expanded| name.starts_with(expanded))
        && is_ref_format(&format!("{prefix}{name}"))
}

/// The rules of `git check-ref-format`.
fn is_ref_format(name: &str) -> bool {
    name.len() <= MAX_REF_NAME_BYTES
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.bytes().any(|byte| byte <= b' ' || byte == 0x7f || b"~^:?*[\\".contains(&byte))
        && name.split('/').all(|component| {
            !component.is_empty() && !component.starts_with('.') && component.strip_suffix(".lock").is_none()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_follow_git_and_gitlab() {
        for name in ["main", "feature/a", "feature.x", "ünï", "a@b", "1", "a-", "deadbeef", "{a}", "a{", "@a"]
        {
            assert!(BranchName::new(name).is_ok(), "{name} is refused");
        }
        for name in [
            "",
            "-a",
            "--upload-pack=x",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a..b",
            "a.",
            "a.lock",
            "a.lock/b",
            "a b",
            "a\nb",
            "a\tb",
            "a~b",
            "a^b",
            "a:b",
            "a?b",
            "a*b",
            "a[b",
            "a\\b",
            "a@{b",
            "HEAD",
            "@",
            "refs/heads/a",
            "refs/tags/a",
            "refs/remotes/a",
            "a\u{7f}b",
            "a\0b",
        ] {
            assert!(BranchName::new(name).is_err(), "{name:?} is allowed");
            assert!(TagName::new(name).is_err(), "{name:?} is allowed");
        }
        assert!(BranchName::new("a".repeat(MAX_REF_NAME_BYTES)).is_err());
    }

    #[test]
    fn full_names_know_their_kind() {
        let name = RefName::new("refs/heads/feature/a").unwrap();
        assert_eq!(name.branch().unwrap().as_str(), "feature/a");
        assert_eq!(name.tag(), None);
        assert!(RefName::new("heads/a").is_err());
        assert!(RefName::new("refs/").is_err());
    }

    #[test]
    fn object_ids_have_40_or_64_digits() {
        let id = ObjectId::new("ABCDEF0123456789abcdef0123456789abcdef01").unwrap();
        assert_eq!(id.as_str(), "abcdef0123456789abcdef0123456789abcdef01");
        assert_eq!(id.short(), "abcdef01");
        assert!(ObjectId::zero().is_zero() && !id.is_zero());
        for id in ["", "abc", &"g".repeat(40), &"a".repeat(41)] {
            assert!(ObjectId::new(id).is_err());
        }
    }

    #[test]
    fn paths_stay_inside_the_repository() {
        for path in ["a", "a/b.c", "-a", "--x", "a b", "a\nb", ".gitignore", "a/.gitlab-ci.yml", "...", "ü"]
        {
            assert!(RepoPath::new(path).is_ok(), "{path:?} is refused");
        }
        assert_eq!(RepoPath::new("/a/b").unwrap().as_str(), "a/b");
        for path in
            ["", "/", "//a", "a/", "a//b", "./a", "a/./b", "../a", "a/..", ".git/config", "a/.GIT/x", "a\0b"]
        {
            assert!(RepoPath::new(path).is_err(), "{path:?} is allowed");
        }
        assert!(RepoPath::new("a".repeat(MAX_PATH_BYTES + 1)).is_err());
    }

    #[test]
    fn git_agrees_about_reference_names() {
        for name in ["a", "a/b", "a..b", ".a", "a.lock", "a@{b", "a b", "a.", "a\\b", "@", "a/@", "a~", "-a"]
        {
            let full = format!("refs/heads/{name}");
            let status =
                std::process::Command::new("git").args(["check-ref-format", &full]).status().unwrap();
            assert_eq!(RefName::new(full).is_ok(), status.success(), "{name}");
        }
    }
}
