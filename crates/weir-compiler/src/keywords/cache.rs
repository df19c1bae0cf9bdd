//! `cache`. Source: `entry/{cache,caches,key,files,prefix}.rb`.

use weir_yaml::{Node, Value};

use crate::compile::FileId;
use crate::entry::{Entry, Findings};
use crate::keywords::artifacts;
use crate::limits::{CACHE_FALLBACK_KEYS, CACHE_KEY_FILES, CACHE_KEY_FILES_COMMITS, CACHES};
use crate::plan::Cache;

const KEYS: [&str; 7] = ["key", "untracked", "paths", "when", "policy", "unprotect", "fallback_keys"];
const POLICIES: [&str; 3] = ["pull-push", "push", "pull"];

/// A cache whose key may lack the digest of its files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unkeyed {
    /// With the prefix as its key, if there are files.
    pub(crate) cache: Cache,
    /// `key:files` or `key:files_commits`.
    pub(crate) files: Option<(Vec<String>, FileId)>,
}

/// `cache`: one hash or a list of them.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<Unkeyed>> {
    let before = findings.count();
    let parent = entry.location.rsplit_once(':').map_or("", |(parent, _)| parent);
    let named = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}:{name}") };
    let items: Vec<&Node> = match &entry.node.value {
        Value::Mapping(_) => vec![entry.node],
        Value::Sequence(items) => items.iter().filter(|item| !item.is_null()).collect(),
        _ => {
            let caches = Entry { location: named("caches"), ..entry.clone() };
            findings.invalid(&caches, "config", "can only be a hash or an array");
            return None;
        }
    };
    if items.len() > CACHES {
        let caches = Entry { location: named("caches"), ..entry.clone() };
        findings.invalid(&caches, "config", &format!("no more than {CACHES} caches can be created"));
        return None;
    }
    let mut caches = Vec::with_capacity(items.len());
    for (index, node) in items.into_iter().enumerate() {
        let item = Entry { location: named("cache"), node, key: entry.key };
        caches.extend(cache(&item, findings, index));
    }
    (findings.count() == before).then_some(caches)
}

fn cache(entry: &Entry<'_>, findings: &mut Findings, index: usize) -> Option<Unkeyed> {
    let before = findings.count();
    entry.expect_mapping(findings)?;
    entry.allowed_keys(findings, &KEYS);
    let policy = entry.value("policy").map(|node| policy(entry, findings, node));
    let when = artifacts::when(entry, findings);
    let fallback_keys = entry.strings(findings, "fallback_keys").unwrap_or_default();
    if fallback_keys.len() > CACHE_FALLBACK_KEYS {
        let text = format!("has to many entries (maximum {CACHE_FALLBACK_KEYS})");
        findings.invalid(entry, "fallback keys", &text);
    }
    if findings.count() > before {
        return None;
    }
    let key = match entry.child("key") {
        Some(child) => key(&child, findings, index),
        None => Some(("default".to_owned(), None)),
    };
    let unprotect = entry.child("unprotect").and_then(|child| child.as_boolean(findings)).unwrap_or(false);
    let untracked = entry.child("untracked").and_then(|child| child.as_boolean(findings)).unwrap_or(false);
    let paths = entry.child("paths").and_then(|child| child.as_strings(findings)).unwrap_or_default();
    let policy = policy.unwrap_or_else(|| "pull-push".to_owned());
    let (key, files) = key.filter(|_| findings.count() == before)?;
    Some(Unkeyed { cache: Cache { key, paths, untracked, policy, when, unprotect, fallback_keys }, files })
}

fn policy(entry: &Entry<'_>, findings: &mut Findings, node: &Node) -> String {
    match node.as_str() {
        Some(text) if POLICIES.contains(&text) || text.contains('$') => return text.to_owned(),
        _ => findings.invalid(entry, "policy", "should be a variable or one of: pull-push, push, pull"),
    }
    String::new()
}

/// A key, or the prefix of one, and the files whose digest comes after it.
type Key = (String, Option<(Vec<String>, FileId)>);

/// `key`: a text, or a prefix and files.
fn key(entry: &Entry<'_>, findings: &mut Findings, index: usize) -> Option<Key> {
    match &entry.node.value {
        Value::String(text) | Value::Symbol(text) => {
            check_path(entry, findings, "config", text);
            Some((text.clone(), None))
        }
        Value::Mapping(_) => {
            let before = findings.count();
            entry.allowed_keys(findings, &["files", "files_commits", "prefix"]);
            if entry.has("files") == entry.has("files_commits") {
                findings.invalid(entry, "config", "must use exactly one of these keys: files, files_commits");
            }
            if findings.count() > before {
                return None;
            }
            let files = entry.child("files").and_then(|child| files(&child, findings, CACHE_KEY_FILES));
            let commits = entry
                .child("files_commits")
                .and_then(|child| self::files(&child, findings, CACHE_KEY_FILES_COMMITS));
            let prefix = match entry.child("prefix") {
                None => None,
                Some(child) => match &child.node.value {
                    Value::String(text) | Value::Symbol(text) => {
                        check_path(&child, findings, "config", text);
                        Some(text.clone())
                    }
                    _ => {
                        findings.invalid(&child, "config", "should be a string or symbol");
                        None
                    }
                },
            };
            let files = files.map(|files| (files, FileId::Blob));
            let (files, of) = files.or(commits.map(|files| (files, FileId::Commit)))?;
            let prefix = prefix.unwrap_or_else(|| default_prefix(index, &files));
            Some((prefix, Some((files, of))))
        }
        _ => {
            findings.unsupported(entry, "should be a hash, a string or a symbol");
            None
        }
    }
}

/// The index of the cache and the names of its files up to their first dots.
fn default_prefix(index: usize, files: &[String]) -> String {
    let names = files.iter().map(|file| file.split('.').next().unwrap_or_default().to_owned());
    std::iter::once(index.to_string()).chain(names).collect::<Vec<_>>().join("_")
}

fn files(entry: &Entry<'_>, findings: &mut Findings, limit: usize) -> Option<Vec<String>> {
    let files = entry.as_strings(findings)?;
    if files.is_empty() {
        findings.invalid(entry, "config", "requires at least 1 item");
    } else if files.len() > limit {
        findings.invalid(entry, "config", &format!("has too many items (maximum is {limit})"));
    }
    Some(files.into_iter().map(|file| file.trim_start_matches('/').to_owned()).collect())
}

fn check_path(entry: &Entry<'_>, findings: &mut Findings, attribute: &str, text: &str) {
    let plain = text.replace("%2F", "/").replace("%2f", "/").replace("%2E", ".").replace("%2e", ".");
    if plain.contains('/') {
        findings.invalid(entry, attribute, "cannot contain the \"/\" character");
    } else if plain == "." || plain == ".." {
        findings.invalid(entry, attribute, "cannot be \".\" or \"..\"");
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Action;
    use crate::testing::{compiled_with, errors, job};

    #[test]
    fn one_cache_or_several() {
        let caches = job("script: x\ncache: {paths: [a]}").cache;
        assert_eq!((caches[0].key.as_str(), caches[0].policy.as_str()), ("default", "pull-push"));
        let caches = job("script: x\ncache: [{key: a}, {key: {files: [Gemfile.lock]}, policy: $P}]").cache;
        let keys: Vec<&str> = caches.iter().map(|cache| cache.key.as_str()).collect();
        assert_eq!(keys, ["a", "1_Gemfile-default"]);
        assert_eq!(job("script: x\ncache: {}").cache.len(), 1);
        assert!(job("script: x\ncache: []").cache.is_empty());
    }

    #[test]
    fn a_key_of_files_is_the_digest_of_what_they_hold() {
        let digest = crate::seed::sha1;
        let files = [("Gemfile.lock", "1"), ("web/package.json", "2"), ("web/yarn.lock", "3")];
        for (key, expected) in [
            ("{files: [Gemfile.lock]}", format!("0_Gemfile-{}", digest("Blob Gemfile.lock 1"))),
            ("{files: [/Gemfile.lock], prefix: $CI_JOB_NAME}", {
                format!("$CI_JOB_NAME-{}", digest("Blob Gemfile.lock 1"))
            }),
            ("{files: [web/*], prefix: p}", {
                format!("p-{}", digest("Blob web/package.json 2-Blob web/yarn.lock 3"))
            }),
            (
                "{files_commits: [web/yarn.lock], prefix: p}",
                format!("p-{}", digest("Commit web/yarn.lock 3")),
            ),
            ("{files: [gone, gone/*]}", "0_gone_gone/*-default".to_owned()),
        ] {
            let compiled = compiled_with(&format!("rspec: {{script: x, cache: {{key: {key}}}}}"), &files);
            let Action::Run(run) = &compiled.plan.unwrap().jobs[0].action else { panic!("a bridge") };
            assert_eq!(run.cache[0].key, expected, "{key}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        let at = "jobs:rspec:cache";
        for (cache, expected) in [
            ("x", "s config can only be a hash or an array"),
            ("[{}, {}, {}, {}, {}]", "s config no more than 4 caches can be created"),
            ("{x: y}", " config contains unknown keys: x"),
            ("{paths: x}", ":paths config should be an array of strings"),
            ("{untracked: x}", ":untracked config should be a boolean value"),
            ("{policy: x}", " policy should be a variable or one of: pull-push, push, pull"),
            ("{when: never}", " when should be one of: on_success, on_failure, always"),
            ("{fallback_keys: [a, b, c, d, e, f]}", " fallback keys has to many entries (maximum 5)"),
            ("{key: 1}", ":key should be a hash, a string or a symbol"),
            ("{key: a/b}", ":key config cannot contain the \"/\" character"),
            ("{key: '..'}", ":key config cannot be \".\" or \"..\""),
            ("{key: {prefix: a}}", ":key config must use exactly one of these keys: files, files_commits"),
            ("{key: {files: []}}", ":key:files config requires at least 1 item"),
            ("{key: {files: a}}", ":key:files config should be an array of strings"),
            (
                "{key: {files_commits: [a, b, c]}}",
                ":key:files_commits config has too many items (maximum is 2)",
            ),
            ("{key: {files: [a], prefix: 1}}", ":key:prefix config should be a string or symbol"),
        ] {
            assert_eq!(errors(&format!("script: x\ncache: {cache}")), [format!("{at}{expected}")], "{cache}");
        }
    }
}
