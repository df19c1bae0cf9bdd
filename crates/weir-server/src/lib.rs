//! The server: REST, runner protocol and Git over HTTP, use cases, background work.
