//! A world of projects, pipelines, runners and people, decided by a seed, on the real engine and the real store.
//!
//! Time is virtual, everything happens on one thread and one after the other, and chance has one source: so a seed
//! is a whole history, and a failure happens again. The world keeps its own simple picture of what must be, compares
//! each change with the rules as they are written down once more in `rules.rs`, and the rows of the database with
//! the picture. `docs/simulation.md` says what is covered.

mod audit;
mod people;
mod place;
mod plans;
mod random;
mod rules;
mod runners;
mod server;
mod setup;
mod tasks;
mod world;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use place::Template;
use weir_store::Engine;
pub use world::Scale;
use world::World;

/// A world that went well to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lived {
    /// How many changes of pipelines there were.
    pub events: u64,
    /// A digest of everything that happened.
    pub digest: u64,
    /// All pipelines in the end, in a text without ids.
    pub end: String,
}

/// Something that must not be.
#[derive(Debug)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When.
    pub step: u64,
    /// What.
    pub problem: String,
    /// What happened last.
    pub last: Vec<String>,
}

/// Lets the world of a seed live.
///
/// # Errors
/// Something is there that must not be.
pub fn live(
    seed: u64,
    scale: Scale,
    engine: Engine,
    template: &Template,
    verbose: bool,
) -> Result<Lived, Box<Violation>> {
    let violation = |problem: String| Box::new(Violation { seed, step: 0, problem, last: Vec::new() });
    let mut world = World::new(seed, scale, engine, template, verbose)
        .map_err(|error| violation(format!("the world could not be made: {error:#}")))?;
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let problem = match lived {
        Ok(Ok(())) => {
            let (events, digest, end) = (world.journal.events, world.journal.digest, world.dump());
            world.leave().map_err(|error| violation(format!("{error:#}")))?;
            return Ok(Lived { events, digest, end });
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "a panic, told above".to_owned(),
    };
    let last = world.journal.last().cloned().collect();
    Err(Box::new(Violation { seed, step: world.step, problem, last }))
}

/// Lets the worlds of many seeds live, on all processors, until one goes wrong. Gives the number of changes of
/// pipelines in all of them.
///
/// # Errors
/// Something is there that must not be.
pub fn live_all(
    seeds: Range<u64>,
    life: impl Fn(u64) -> Result<Lived, Box<Violation>> + Sync,
) -> Result<u64, Box<Violation>> {
    let (next, events, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(0), Mutex::new(None));
    let work = || {
        while failed.lock().is_ok_and(|failed| failed.is_none()) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match life(seed) {
                Ok(lived) => {
                    events.fetch_add(lived.events, Ordering::Relaxed);
                }
                Err(violation) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(violation),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(violation) => Err(violation),
        None => Ok(events.into_inner()),
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, step {}: {}\n\nthe last that happened:", self.seed, self.step, self.problem)?;
        self.last.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl World {
    /// The whole history.
    fn live(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.scale.steps {
            self.act()?;
        }
        self.come_to_rest()?;
        self.audit()?;
        self.replay()
    }
}
