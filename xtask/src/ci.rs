//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::s3::S3;
use crate::setup;
use crate::step::{cargo, root};

/// How many worlds are simulated.
const SEEDS: &str = "1000";

/// Sets up, then checks and tests all.
pub(crate) fn run() -> Result<()> {
    let tools = setup::run()?;
    cargo(&["fmt", "--all", "--check"]).run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()?;
    dependencies()?;
    let postgres = Postgres::start()?;
    let s3 = S3::start(&tools.python_bin)?;
    let conformance =
        std::env::var_os("WEIR_CONFORMANCE").unwrap_or_else(|| root().join("../shared/conformance").into());
    cargo(&["test", "--workspace", "--locked"])
        .env("WEIR_TEST_POSTGRES", postgres.url())
        .env("WEIR_TEST_S3", s3.endpoint())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("WEIR_TEST_PYTHON", tools.python_bin.join("python"))
        .env("WEIR_CONFORMANCE", conformance)
        .env("INSTA_UPDATE", "no")
        .run()?;
    // Of the whole workspace, like the tests, so that nothing is built once more.
    cargo(&["test", "--workspace", "--locked", "--test", "worlds", "--", "--nocapture", "any_world"])
        .env("WEIR_SIMULATION_SEEDS", SEEDS)
        .run()?;
    cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings").run()?;
    demo()
}

/// Licences, sources and banned crates. cargo-deny takes minutes to install, so it is used where it is.
fn dependencies() -> Result<()> {
    if cargo(&["deny", "--version"]).succeeds() {
        cargo(&["deny", "check", "bans", "licenses", "sources"]).run()
    } else {
        println!("\n==> skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        Ok(())
    }
}

/// The README's first command, on the debug binary.
fn demo() -> Result<()> {
    cargo(&["run", "--locked", "--", "demo", "--exit"]).env("NO_COLOR", "1").run()
}
