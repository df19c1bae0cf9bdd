//! The stages around caches, which lie as `cache.zip` in a folder on this machine.
//!
//! Source: `cacheExtractor` and `archiveCache` in `shells/abstract.go`, `cache/cachekey` of gitlab-runner.

use std::path::{Path, PathBuf};

use weir_api::runner::Cache;
use weir_api::status::CachePolicy;

use crate::archive;
use crate::artifacts::{Transfer, blocking, is_due};
use crate::error::JobError;
use crate::trace::Level;

/// A project's caches.
pub(crate) struct Caches<'a> {
    pub(crate) transfer: &'a Transfer<'a>,
    /// The project's own folder for caches.
    pub(crate) folder: &'a Path,
    /// The key of a cache that has none.
    pub(crate) default_key: String,
}

/// Whether the cache names any files.
pub(crate) fn names_files(cache: &Cache) -> bool {
    !cache.paths.is_empty() || cache.untracked == Some(true)
}

impl Caches<'_> {
    /// Extracts the first archive that is there, for each cache. A cache that is not there is no failure.
    pub(crate) async fn restore(&self, caches: &[Cache]) -> Result<(), JobError> {
        let trace = self.transfer.trace;
        for cache in caches.iter().filter(|cache| names_files(cache)) {
            let Some(key) = self.key(&cache.key, "extraction") else { continue };
            if self.policy(cache, &key)? == CachePolicy::Push {
                trace.notice(format_args!("Not downloading cache {key} due to policy"));
                continue;
            }
            let variables = self.transfer.variables;
            let mut keys = vec![key];
            let fallback = cache.fallback_keys.iter().map(|key| variables.expand(key));
            keys.extend(
                fallback.filter(|key| !key.is_empty()).filter_map(|key| self.key(&key, "extraction")),
            );
            let last = variables.get("CACHE_FALLBACK_KEY");
            if last.trim_end_matches(['.', ' ']).ends_with("-protected") {
                trace.warning(format_args!(
                    "CACHE_FALLBACK_KEY {last:?} not allowed to end in \"-protected\""
                ));
            } else if !last.is_empty() {
                keys.extend(self.key(&last, "extraction"));
            }
            for key in keys {
                trace.notice(format_args!("Checking cache for {key}..."));
                if self.extract(&key).await {
                    trace.notice("Successfully extracted cache");
                    break;
                }
                trace.warning("Failed to extract cache");
            }
        }
        Ok(())
    }

    async fn extract(&self, key: &str) -> bool {
        let trace = self.transfer.trace;
        let archive = self.archive(key);
        if !archive.is_file() {
            trace.report(Level::Fatal, "file does not exist");
            return false;
        }
        let root = self.transfer.place.project_dir.to_path_buf();
        let extracted = blocking(move || archive::extract_zip(&archive, &root)).await;
        if let Err(error) = &extracted {
            trace.report(Level::Fatal, error);
        }
        extracted.is_ok()
    }

    /// Saves each cache that is due after a job that went `is_success`. A cache that cannot be saved is no failure.
    pub(crate) async fn save(&self, caches: &[Cache], is_success: bool) -> Result<(), JobError> {
        let trace = self.transfer.trace;
        for cache in caches {
            if !is_due(cache.when.known(), is_success) || !names_files(cache) {
                continue;
            }
            let Some(key) = self.key(&cache.key, "archiving") else { continue };
            if self.policy(cache, &key)? == CachePolicy::Pull {
                trace.notice(format_args!("Not uploading cache {key} due to policy"));
                continue;
            }
            trace.notice(format_args!("Creating cache {key}..."));
            let files = self.transfer.collect(&cache.paths, &[], cache.untracked == Some(true)).await;
            if files.is_empty() {
                trace.report(Level::Warning, "No files to cache.");
                trace.notice("Created cache");
                continue;
            }
            let archive = self.archive(&key);
            let root = self.transfer.place.project_dir.to_path_buf();
            let created = blocking(move || {
                let folder = archive.parent().unwrap_or(&archive);
                std::fs::create_dir_all(folder)?;
                // Another job may read the archive while this one replaces it, or write it as well.
                let draft =
                    folder.join(format!("archive_{}_{:?}", std::process::id(), std::thread::current().id()));
                let written = archive::write_zip(&draft, &root, &files);
                if written.is_err() {
                    let _ = std::fs::remove_file(&draft);
                }
                written?;
                Ok(std::fs::rename(&draft, &archive)?)
            })
            .await;
            match created {
                Ok(()) => trace.notice("Created cache"),
                Err(error) => {
                    trace.report(Level::Fatal, error);
                    trace.warning("Failed to create cache");
                }
            }
        }
        Ok(())
    }

    fn policy(&self, cache: &Cache, key: &str) -> Result<CachePolicy, JobError> {
        let word = self.transfer.variables.expand(&cache.policy.to_string());
        match word.as_str() {
            "" => Ok(CachePolicy::default()),
            word => word
                .parse()
                .map_err(|_| JobError::Configuration(format!("unknown cache policy {word} for {key}"))),
        }
    }

    /// The key that the text stands for, or none with the reason in the trace.
    fn key(&self, text: &str, doing: &str) -> Option<String> {
        let raw =
            if text.is_empty() { self.default_key.clone() } else { self.transfer.variables.expand(text) };
        let key = sanitized(&raw);
        if key.is_empty() {
            self.transfer.trace.notice(format_args!("Skipping cache {doing} due to empty cache key"));
            return None;
        }
        if key != raw {
            self.transfer.trace.warning(format_args!("cache key {raw:?} sanitized to {key:?}"));
        }
        Some(key)
    }

    fn archive(&self, key: &str) -> PathBuf {
        self.folder.join(key).join("cache.zip")
    }
}

/// `key` as a path that cannot lead upwards.
fn sanitized(key: &str) -> String {
    let key = key
        .replace("%2f", "/")
        .replace("%2F", "/")
        .replace("%2e", ".")
        .replace("%2E", ".")
        .replace('\\', "/");
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    while let Some(last) = parts.pop() {
        let trimmed = last.trim_end();
        if !trimmed.is_empty() {
            parts.push(trimmed);
            break;
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_the_folder() {
        for (key, clean) in [
            ("default-non_protected", "default-non_protected"),
            ("a/b", "a/b"),
            ("../../etc", "etc"),
            ("..%2F..%2Fetc", "etc"),
            ("a\\..\\b", "b"),
            ("/abs", "abs"),
            ("a/ ", "a"),
            ("..", ""),
            ("x ", "x"),
        ] {
            assert_eq!(sanitized(key), clean, "{key}");
        }
    }
}
