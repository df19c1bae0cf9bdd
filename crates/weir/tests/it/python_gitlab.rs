//! The main job through python-gitlab, unmodified.

use std::path::Path;
use std::process::Command;

use weir_store::Engine;
use weir_store::testing::Fresh;

use crate::harness::{Place, text};

async fn on(engine: Engine) {
    let Some(python) = std::env::var_os("WEIR_TEST_PYTHON") else {
        println!("skipped: WEIR_TEST_PYTHON names no Python with python-gitlab");
        return;
    };
    let Some(database) = Fresh::on(engine).await.unwrap() else {
        println!("skipped: WEIR_TEST_POSTGRES names no server");
        return;
    };
    let place = Place::new().with(format!("--database={}", database.url()));
    let server = place.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/python_gitlab.py");
    let output = Command::new(python).arg(script).args([&server.url, &server.token]).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}");
    drop(server);
    database.remove().await.unwrap();
}

#[tokio::test]
async fn does_the_main_job_on_sqlite() {
    on(Engine::Sqlite).await;
}

#[tokio::test]
async fn does_the_main_job_on_postgresql() {
    on(Engine::Postgres).await;
}
