//! Every bound on what a user, a runner or a pipeline file can make the engine do.

/// The greatest exit code that is stored; greater ones are stored as this, negative ones as 0.
pub const EXIT_CODE: i32 = 32_767;

/// Characters of an environment's name, and of its URL.
pub const ENVIRONMENT_CHARS: usize = 255;

/// Characters of an environment's slug.
pub const SLUG_CHARS: usize = 24;

/// Characters of the suffix of a slug that is not its name.
pub const SLUG_SUFFIX_CHARS: usize = 6;

/// Automatic retries of a job that the scheduler, not its script, failed.
pub const SCHEDULER_RETRIES: u8 = 2;

/// Bytes of the name of a section in a trace.
pub const SECTION_NAME_BYTES: usize = 255;

/// Bytes of the options of a section in a trace.
pub const SECTION_OPTIONS_BYTES: usize = 1024;

/// Bytes of a line of a trace that are searched for coverage.
pub const COVERAGE_LINE_BYTES: usize = 65_536;
