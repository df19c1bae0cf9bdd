//! One pipeline of many jobs that do nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use weir_api::JobStatus;
use weir_api::id::PipelineId;

use crate::figures::Table;
use crate::instance::Instance;
use crate::project::Project;
use crate::{ROUNDS, limits, memory};

/// Jobs of the pipeline.
pub(crate) const JOBS: usize = 500;
const GOAL: Duration = Duration::from_secs(5);
/// Between two looks at the pipeline.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn measure(table: &mut Table, binary: &Path) -> Result<()> {
    on(table, binary, "SQLite", None).await?;
    if let Ok(server) = std::env::var("WEIR_TEST_POSTGRES") {
        on(table, binary, "PostgreSQL", Some(&server)).await?;
    }
    Ok(())
}

async fn on(table: &mut Table, binary: &Path, name: &str, database: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let instance = Instance::start(binary, &data, database)?;
    // A database that was measured on before has a project of an earlier process.
    let project = Project::create(&instance, folder.path(), &format!("jobs-{}", std::process::id())).await?;
    project.commit(&configuration()).await?;
    project.push().await?;
    until_done(&project, first_pipeline(&project).await?).await?;

    let (mut rounds, mut ratios, mut creation) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = limits::processes_at_a_time(2).await?;
        let begin = Instant::now();
        let pipeline = project.handle.create_pipeline("main").send().await?;
        creation.push(begin.elapsed());
        until_done(&project, pipeline.id).await?;
        let taken = begin.elapsed();
        rounds.push(taken);
        ratios.push(taken.as_secs_f64() / bare.as_secs_f64());
    }
    let label = format!("{JOBS} `true` jobs, {name}");
    table.duration(format!("{label}: creating the pipeline"), &creation, None);
    table.duration(format!("{label}: until all are done"), &rounds, Some(GOAL));
    table.figure(format!("{label}: times the bare processes"), &ratios, "x", None);
    table.figure(
        format!("{label}: memory (RSS) afterwards"),
        &[memory::resident(instance.pid())?],
        "MB",
        None,
    );
    Ok(())
}

fn configuration() -> String {
    let mut text = "variables:\n  GIT_STRATEGY: none\n".to_owned();
    for number in 0..JOBS {
        // Writing to a string cannot fail.
        let _ = write!(text, "job {number}:\n  script: 'true'\n");
    }
    text
}

/// The pipeline of the first push, which is there soon.
async fn first_pipeline(project: &Project) -> Result<PipelineId> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Ok(pipeline) = project.handle.latest_pipeline("main").await {
            return Ok(pipeline.id);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("the push has no pipeline within {PATIENCE:?}")
}

async fn until_done(project: &Project, pipeline: PipelineId) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let now = project.handle.pipeline(pipeline).get().await?;
        match now.status.known() {
            Some(JobStatus::Success) => return Ok(()),
            Some(JobStatus::Failed | JobStatus::Canceled | JobStatus::Skipped) => {
                bail!("the pipeline failed")
            }
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
    bail!("the pipeline is not done within {PATIENCE:?}")
}
