//! A typed, asynchronous client of GitLab's CI/CD API and of its runner protocol.
