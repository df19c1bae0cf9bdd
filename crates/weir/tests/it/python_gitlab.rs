//! The main job through python-gitlab, unmodified.

use std::path::Path;
use std::process::Command;

use weir_store::Engine;
use weir_store::testing::Fresh;

use crate::harness::{Place, text};

async fn on(engine: Engine, place: Place) {
    let Some(python) = std::env::var_os("WEIR_TEST_PYTHON") else {
        println!("skipped: WEIR_TEST_PYTHON names no Python with python-gitlab");
        return;
    };
    let Some(database) = Fresh::on(engine).await.unwrap() else {
        println!("skipped: WEIR_TEST_POSTGRES names no server");
        return;
    };
    let place = place.with(format!("--database={}", database.url()));
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
    on(Engine::Sqlite, Place::new()).await;
}

#[tokio::test]
async fn does_the_main_job_on_postgresql() {
    on(Engine::Postgres, Place::new()).await;
}

/// The bucket is the one of the store's tests, the keys come from `AWS_*`.
#[tokio::test]
async fn does_the_main_job_with_objects_on_s3() {
    let Ok(endpoint) = std::env::var("WEIR_TEST_S3") else {
        println!("skipped: WEIR_TEST_S3 names no endpoint");
        return;
    };
    let prefix = std::process::id();
    let objects = format!("s3://weir-test/e2e-{prefix}?endpoint={endpoint}&region=us-east-1&allow_http=true");
    on(Engine::Sqlite, Place::new().with(format!("--objects={objects}"))).await;
}
