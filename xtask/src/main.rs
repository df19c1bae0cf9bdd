//! Tasks of this repository. `cargo xtask ci` sets up what the tests need and runs all of them.

mod ci;
mod postgres;
mod s3;
mod setup;
mod step;

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask <task>

Tasks:
  ci      install what the tests need, then check formatting, lints, docs and run every test
  setup   only install what the tests need
  simulate [--seed N] [--seeds COUNT] [--long] [--postgres]
          let random worlds live on engine and store; docs/simulation.md says what it looks for
  bench   build for release and measure; prints the figures of docs/performance.md
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("ci") => ci::run(),
        Some("setup") => setup::run().map(|_| ()),
        Some("simulate") => {
            let run = ["run", "--quiet", "--package", "weir-simulation", "--"];
            let arguments = arguments.iter().skip(1).map(String::as_str);
            step::cargo(&run.into_iter().chain(arguments).collect::<Vec<_>>()).run()
        }
        Some("bench") => {
            step::cargo(&["build", "--release", "--package", "weir"]).run()?;
            step::cargo(&["run", "--release", "--package", "weir-bench"]).run()
        }
        _ => {
            print!("{HELP}");
            bail!("name one of the tasks above")
        }
    }
}
