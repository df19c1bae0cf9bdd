//! What can be a part of a path: of a user, a group or a project. Source: `lib/gitlab/path_regex.rb`.

/// Why a username or a group's path is refused.
pub const NAMESPACE_COMPLAINT: &str = "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or end in '.', '.git' or '.atom'.";
/// Why a project's path is refused.
pub const PROJECT_COMPLAINT: &str = "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'";
/// Why a path is refused that stands for something else in a URL.
pub const RESERVED_COMPLAINT: &str = "is a reserved name";

/// The longest part of a path, in bytes: what a folder's name can hold.
const MAX_LENGTH: usize = 255;

/// Ends of a path that stand for something else in a URL.
const RESERVED_ENDS: [&str; 2] = [".git", ".atom"];

/// First parts of a URL's path that are pages of the server.
const TOP_LEVEL: &[&str] = &[
    "-",
    ".well-known",
    "admin",
    "api",
    "assets",
    "dashboard",
    "deploy.html",
    "explore",
    "favicon.ico",
    "favicon.png",
    "files",
    "groups",
    "health_check",
    "help",
    "import",
    "jwt",
    "login",
    "oauth",
    "profile",
    "projects",
    "public",
    "robots.txt",
    "s",
    "search",
    "sitemap",
    "snippets",
    "unsubscribes",
    "uploads",
    "users",
    "v2",
];

/// Parts below a project that are its pages.
const BELOW_A_PROJECT: &[&str] = &[
    "-",
    "badges",
    "blame",
    "blob",
    "builds",
    "commits",
    "create",
    "create_dir",
    "edit",
    "files",
    "find_file",
    "new",
    "preview",
    "raw",
    "refs",
    "tree",
    "update",
    "wikis",
];

/// Whether a text can be one part of a path.
pub fn is_path(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty()
        && text.len() <= MAX_LENGTH
        && text.bytes().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with('.')
        && !RESERVED_ENDS.iter().any(|end| text.ends_with(end))
}

/// Why a text cannot be the path of a user or group; `top_level` if it would be a path's first part.
pub fn refuse_namespace(text: &str, top_level: bool) -> Option<&'static str> {
    let reserved = if top_level { TOP_LEVEL } else { BELOW_A_PROJECT };
    refuse(text, reserved, NAMESPACE_COMPLAINT)
}

/// Why a text cannot be the path of a project.
pub fn refuse_project(text: &str) -> Option<&'static str> {
    refuse(text, BELOW_A_PROJECT, PROJECT_COMPLAINT)
}

fn refuse(text: &str, reserved: &[&str], complaint: &'static str) -> Option<&'static str> {
    if !is_path(text) {
        Some(complaint)
    } else if reserved.contains(&text.to_ascii_lowercase().as_str()) {
        Some(RESERVED_COMPLAINT)
    } else {
        None
    }
}

/// The path that a name gives: the name itself if it can be one, otherwise its letters and digits in lower case with
/// a dash for what is between. Source: `app/services/projects/create_service.rb`.
pub fn from_name(name: &str) -> String {
    if is_path(name) {
        return name.to_owned();
    }
    let mut path = String::with_capacity(name.len());
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '_' => path.push(c),
            _ if path.is_empty() || path.ends_with('-') => {}
            _ => path.push('-'),
        }
    }
    path.truncate(path.trim_end_matches('-').len());
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_a_url_and_a_folder_can_hold() {
        for good in ["root", "a", "a.b", "_x", "A-1"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a.", "a.git", "a.atom", "a/b", "a b", "ä", "a\0"] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn what_a_url_means_otherwise_is_reserved() {
        assert_eq!(refuse_namespace("API", true), Some(RESERVED_COMPLAINT));
        assert_eq!(refuse_namespace("api", false), None);
        assert_eq!(refuse_namespace("tree", false), Some(RESERVED_COMPLAINT));
        assert_eq!(refuse_project("builds"), Some(RESERVED_COMPLAINT));
        assert_eq!(refuse_project("a b"), Some(PROJECT_COMPLAINT));
        assert_eq!(refuse_project("weir"), None);
    }

    #[test]
    fn a_name_gives_a_path() {
        for (name, path) in [
            ("weir", "weir"),
            ("My Project", "my-project"),
            ("  A -- b! ", "a-b"),
            ("ß", ""),
            ("C++ 20", "c-20"),
        ] {
            assert_eq!(from_name(name), path, "{name}");
        }
    }
}
