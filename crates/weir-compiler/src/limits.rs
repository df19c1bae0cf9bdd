//! Every limit on what a configuration may make the compiler do.

/// Tokens of one `rules:if` expression; GitLab refuses the hundredth.
pub const EXPRESSION_TOKENS: usize = 100;
/// Memory of one compiled regular expression in bytes; RE2's default budget.
pub const REGEXP_BYTES: usize = 8 << 20;
/// The largest count in `{n,m}`, also for the product of nested ones; RE2's.
pub const REGEXP_REPEAT: u64 = 1000;
/// Patterns that the braces of one path glob may expand to.
pub const GLOB_ALTERNATIVES: usize = 4096;
/// Bytes of all values of one list of variables after their expansion.
pub const EXPANDED_BYTES: usize = 16 << 20;
/// Bytes of `CI_COMMIT_MESSAGE`, `CI_COMMIT_TITLE` and `CI_COMMIT_DESCRIPTION`.
pub const COMMIT_MESSAGE_BYTES: usize = 100_000;
/// Characters of `CI_MERGE_REQUEST_DESCRIPTION`.
pub const MERGE_REQUEST_DESCRIPTION_CHARS: usize = 2700;
/// Characters of `CI_RELEASE_DESCRIPTION`.
pub const RELEASE_DESCRIPTION_CHARS: usize = 1024;
/// Merge requests that `CI_OPEN_MERGE_REQUESTS` lists.
pub const OPEN_MERGE_REQUESTS: usize = 4;
/// Topics that `CI_PROJECT_TOPICS` lists.
pub const PROJECT_TOPICS: usize = 20;
/// Characters of a slug.
pub const SLUG_CHARS: usize = 63;
