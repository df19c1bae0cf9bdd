//! Worlds of many seeds: as many as `WEIR_SIMULATION_SEEDS` says.

use weir_simulation::{Scale, Template, live, live_all};
use weir_store::Engine;

/// How many worlds a test run has, unless it is told.
const SEEDS: u64 = 20;

#[test]
fn nothing_is_in_any_world_that_must_not_be() {
    let seeds = std::env::var("WEIR_SIMULATION_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let template = Template::new().unwrap();
    let lived = live_all(1..seeds + 1, |seed| live(seed, Scale::SHORT, Engine::Sqlite, &template, false));
    match lived {
        Ok(events) => println!("{seeds} worlds, {events} changes of pipelines"),
        Err(violation) => {
            panic!("{violation}\nit happens again with\n    cargo xtask simulate --seed {}", violation.seed)
        }
    }
}

#[test]
fn a_seed_is_one_history() {
    let template = Template::new().unwrap();
    let lived = |seed| live(seed, Scale::SHORT, Engine::Sqlite, &template, false).unwrap();
    assert_eq!(lived(7), lived(7));
    assert_ne!(lived(7).digest, lived(8).digest);
}

#[test]
fn sqlite_and_postgresql_have_the_same_history() {
    if std::env::var_os(weir_store::testing::POSTGRES_VARIABLE).is_none() {
        println!("skipped: there is no PostgreSQL server to test on");
        return;
    }
    let template = Template::new().unwrap();
    for seed in 1..=3 {
        let lived = |engine| live(seed, Scale::SHORT, engine, &template, false).unwrap();
        assert_eq!(lived(Engine::Sqlite), lived(Engine::Postgres));
    }
}
