//! Every bound on what comes from outside: from users, from clients, from repositories.

use std::time::Duration;

/// The longest name of a reference, in bytes; the file systems below allow no longer component.
pub const MAX_REF_NAME_BYTES: usize = 1024;
/// The longest path of a file inside a repository, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;
/// What is kept of a process's standard error, in bytes.
pub const MAX_STDERR_BYTES: usize = 8 * 1024;
/// The most that a process may print where the whole output is needed, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 256 * 1024 * 1024;
/// The biggest commit or annotated tag that is read, in bytes.
pub const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;
/// The biggest single tree object that is read, in bytes.
pub const MAX_TREE_BYTES: u64 = 64 * 1024 * 1024;
/// The most entries of one listing of files.
pub const MAX_TREE_ENTRIES: usize = 1_000_000;
/// The most commits of one listing.
pub const MAX_COMMITS_PER_PAGE: usize = 1000;
/// The most references of one listing.
pub const MAX_REFS: usize = 1_000_000;
/// How far a symbolic reference is followed.
pub const MAX_SYMBOLIC_DEPTH: usize = 5;
/// The most actions of one commit.
pub const MAX_ACTIONS: usize = 10_000;
/// The most bytes of a push before its pack: commands, capabilities and options.
pub const MAX_PUSH_HEAD_BYTES: usize = 16 * 1024 * 1024;
/// The most reference updates of one push.
pub const MAX_PUSH_COMMANDS: usize = 50_000;
/// The most push options of one push.
pub const MAX_PUSH_OPTIONS: usize = 1000;
/// The longest line of a push's report that is understood, in bytes; the format allows no longer one.
pub const MAX_PKT_LINE_BYTES: usize = 65_520;
/// How much compressed input is unpacked at once; with deflate's best ratio of 1032 it bounds the output.
pub const GUNZIP_STEP_BYTES: usize = 4 * 1024;
/// The size of the pieces in which packs and blobs travel, in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// The most trailers of one commit message.
pub const MAX_TRAILERS: usize = 1000;
/// The most object readers that wait for work, per repository.
pub const MAX_IDLE_READERS_PER_REPOSITORY: usize = 2;
/// The most object readers that wait for work, of all repositories.
pub const MAX_IDLE_READERS: usize = 64;
/// The most object readers at once; whoever needs one more waits.
pub const MAX_READERS: usize = 128;
/// How long an object reader without work lives.
pub const READER_IDLE: Duration = Duration::from_secs(30);
/// How long a reading or writing process may take.
pub const PROCESS_TIMEOUT: Duration = Duration::from_mins(1);
/// How long housekeeping of one repository may take.
pub const MAINTENANCE_TIMEOUT: Duration = Duration::from_hours(1);
/// How long a push may go on after its client has left.
pub const ABANDONED_PUSH_TIMEOUT: Duration = Duration::from_mins(5);
