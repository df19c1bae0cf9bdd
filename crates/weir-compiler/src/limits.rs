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
/// Ancestors that a job may have through `extends`.
pub const EXTENDS_LEVELS: usize = 10;
/// Nodes that resolving every `!reference` may visit.
pub const REFERENCE_NODES: usize = 500_000;
/// Nested lists in `script`, `rules` and `stages`.
pub const LIST_LEVELS: usize = 10;
/// Files that a configuration may include, nested ones counted.
pub const INCLUDES: usize = 150;
/// Bytes of all files of a configuration; GitLab's default for `ci_max_total_yaml_size_bytes`.
pub const TOTAL_BYTES: usize = 314_572_800;
/// Characters of the name of a job, stage, workflow or environment.
pub const NAME_CHARS: usize = 255;
/// Jobs that a job may need.
pub const NEEDS: usize = 50;
/// Jobs of other pipelines that a job may need.
pub const CROSS_PIPELINE_NEEDS: usize = 5;
/// Jobs that `parallel` may make of one.
pub const PARALLEL: usize = 200;
/// Jobs of a pipeline; beyond it the compiler gives up.
pub const JOBS: usize = 10_000;
/// Variables of all jobs together.
pub const PLAN_VARIABLES: usize = 1_000_000;
/// Nodes that all `extends` together may copy.
pub const EXTENDS_NODES: usize = 1_000_000;
/// Caches of a job.
pub const CACHES: usize = 4;
/// Files of `cache:key:files`.
pub const CACHE_KEY_FILES: usize = 10;
/// Files of `cache:key:files_commits`.
pub const CACHE_KEY_FILES_COMMITS: usize = 2;
/// Fallback keys of a cache.
pub const CACHE_FALLBACK_KEYS: usize = 5;
/// `tags` of a job must be fewer.
pub const TAGS: usize = 50;
/// Globs of one `changes` or `exists`.
pub const RULE_GLOBS: usize = 50;
/// Pairs of a path and a glob that are compared; beyond it a clause holds.
pub const GLOB_COMPARISONS: usize = 50_000;
/// Items of `trigger:include`.
pub const TRIGGER_INCLUDES: usize = 3;
/// Characters of `artifacts:expose_as`.
pub const EXPOSE_AS_CHARS: usize = 100;
/// Seconds of `timeout`: a month.
pub const TIMEOUT_SECONDS: u64 = 2_592_000;
/// Seconds of `start_in`: a week.
pub const START_IN_SECONDS: u64 = 604_800;
/// Options of one input.
pub const INPUT_OPTIONS: usize = 50;
/// Inputs given to one pipeline.
pub const INPUTS: usize = 20;
/// Functions in one interpolation block.
pub const BLOCK_FUNCTIONS: usize = 3;
/// Segments of a path in an interpolation block.
pub const BLOCK_SEGMENTS: usize = 5;
/// Bytes of a path in an interpolation block.
pub const BLOCK_BYTES: usize = 1024;
/// Indices of a path in an interpolation block.
pub const BLOCK_INDICES: usize = 5;
/// Distinct interpolation blocks of a file.
pub const BLOCKS: usize = 10_000;
/// Nodes of a file with inputs.
pub const INTERPOLATED_NODES: usize = 500_000;
/// Bytes of one text of a file with inputs, before and after its blocks are replaced.
pub const INTERPOLATED_BYTES: usize = 1 << 20;
/// Retries of a job.
pub const RETRIES: u8 = 2;
