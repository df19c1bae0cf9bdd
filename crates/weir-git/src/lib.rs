//! Repositories by the git program: reads, diffs, commits, and the two pack services.
