//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::setup;
use crate::step::{cargo, root};

/// Sets up, then checks and tests all.
pub(crate) fn run() -> Result<()> {
    let tools = setup::run()?;
    cargo(&["fmt", "--all", "--check"]).run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()?;
    let postgres = Postgres::start()?;
    let conformance =
        std::env::var_os("WEIR_CONFORMANCE").unwrap_or_else(|| root().join("../shared/conformance").into());
    cargo(&["test", "--workspace", "--locked"])
        .env("WEIR_TEST_POSTGRES", postgres.url())
        .env("WEIR_TEST_PYTHON", tools.python_bin.join("python"))
        .env("WEIR_CONFORMANCE", conformance)
        .env("INSTA_UPDATE", "no")
        .run()?;
    cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings").run()?;
    demo()
}

/// The README's first command, on the debug binary.
fn demo() -> Result<()> {
    cargo(&["run", "--locked", "--", "demo", "--exit"]).env("NO_COLOR", "1").run()
}
