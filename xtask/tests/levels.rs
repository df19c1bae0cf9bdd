//! The rule of levels: a crate knows only crates below it, and the pure ones do no I/O.

use std::collections::BTreeSet;
use std::process::Command;

/// Every crate with its level. A crate may depend on crates of lower levels only.
const LEVELS: &[(&str, u8)] = &[
    ("weir-yaml", 0),
    ("weir-api", 0),
    ("weir-compiler", 1),
    ("weir-client", 1),
    ("weir-engine", 2),
    ("weir-store", 3),
    ("weir-git", 3),
    ("weir-runner", 3),
    ("weir-server", 4),
    ("weir-simulation", 4),
    ("weir", 5),
];

/// Crates that are pure.
const PURE: &[&str] = &["weir-yaml", "weir-api", "weir-compiler", "weir-engine"];

/// What a pure crate must not contain, not even below other crates: run-times, databases, HTTP, randomness.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "async-io",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "postgres",
    "sqlx",
    "axum",
    "hyper",
    "reqwest",
    "rustls",
    "rand",
    "getrandom",
    "fastrand",
    "chrono",
    "time",
    "tempfile",
    "object_store",
    "aws-lc-rs",
    "ring",
];

/// The names of all crates that a crate is built with.
fn tree(name: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--format", "{lib}|{p}"])
        .args(["--offline", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output();
    let Ok(output) = run else { panic!("cargo tree does not start") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once('|')?.1.split(' ').next().map(str::to_owned))
        .filter(|other| other != name)
        .collect()
}

#[test]
fn a_crate_knows_only_crates_of_lower_levels() {
    for (name, level) in LEVELS {
        for other in tree(name) {
            if let Some((_, below)) = LEVELS.iter().find(|(known, _)| *known == other) {
                assert!(below < level, "{name} (level {level}) must not use {other} (level {below})");
            }
        }
    }
}

#[test]
fn pure_crates_do_no_io_and_know_no_clock() {
    for name in PURE {
        let tree = tree(name);
        assert!(tree.len() > 1, "the tree of {name} was not read");
        for impure in IMPURE {
            assert!(!tree.contains(*impure), "{name} must not contain {impure}");
        }
    }
}

#[test]
fn every_crate_of_the_workspace_has_a_level() {
    let known: BTreeSet<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    for entry in std::fs::read_dir(folder).expect("the folder of the crates is there") {
        let name = entry.expect("an entry is read").file_name().into_string().expect("names are UTF-8");
        assert!(known.contains(name.as_str()), "{name} has no level");
    }
}
