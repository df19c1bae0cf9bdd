//! `cargo xtask simulate`: worlds from seeds, one after the other, on all processors.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use weir_simulation::{Lived, Scale, Template, Violation, live, live_all};
use weir_store::Engine;

/// Lets random worlds live on the real engine and the real store, and looks for what must not be.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// Let only the world of this seed live, and tell everything that happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// How many worlds there are.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Worlds of a thousand projects and thousands of pipelines, which take half an hour and more.
    #[arg(long)]
    long: bool,
    /// Let each world live on the PostgreSQL server that `WEIR_TEST_POSTGRES` names, too: both must end alike.
    #[arg(long)]
    postgres: bool,
}

impl Arguments {
    const fn scale(&self) -> Scale {
        if self.long { Scale::LONG } else { Scale::SHORT }
    }

    /// The command that lets a seed live again.
    fn again(&self, seed: u64) -> String {
        let long = if self.long { " --long" } else { "" };
        let postgres = if self.postgres { " --postgres" } else { "" };
        format!("cargo xtask simulate --seed {seed}{long}{postgres}")
    }

    /// One seed, on every database that was asked for.
    fn live(&self, seed: u64, template: &Template, verbose: bool) -> Result<Lived, Box<Violation>> {
        let lived = live(seed, self.scale(), Engine::Sqlite, template, verbose)?;
        if self.postgres {
            let other = live(seed, self.scale(), Engine::Postgres, template, false)?;
            if other != lived {
                let problem = "PostgreSQL does not end as SQLite does".to_owned();
                return Err(Box::new(Violation { seed, step: 0, problem, last: Vec::new() }));
            }
        }
        Ok(lived)
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let template = Template::new()?;
    let start = Instant::now();
    let (seeds, verbose) = match arguments.seed {
        Some(seed) => (seed..seed + 1, true),
        None => (arguments.first..arguments.first + arguments.seeds, false),
    };
    let count = seeds.end - seeds.start;
    match live_all(seeds, |seed| arguments.live(seed, &template, verbose)) {
        Ok(events) => {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{count} worlds, {events} changes of pipelines, {seconds:.1} s: nothing that must not be"
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(violation) => {
            eprintln!("{violation}\nit happens again with\n    {}", arguments.again(violation.seed));
            Ok(ExitCode::FAILURE)
        }
    }
}
