//! From `git push` to what a job writes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use weir_api::id::JobId;
use weir_client::ProjectHandle;

use crate::ROUNDS;
use crate::figures::Table;
use crate::instance::Instance;
use crate::project::Project;

const GOAL: Duration = Duration::from_millis(150);
/// Between two looks at the trace.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);
/// The job runs on after its output, so that only a trace that is sent while the job runs can show it in time. The
/// trace also holds the command, which therefore is spelled unlike its output.
const CONFIGURATION: &str = "
greet:
  script:
    - echo first''-output
    - sleep 1
";
const OUTPUT: &[u8] = b"first-output";

/// Moments after the start of a push.
#[derive(Debug, Clone, Copy)]
struct Moments {
    /// `git push` has ended.
    pushed: Duration,
    /// The trace has its first byte.
    trace: Duration,
    /// The script's own output is in the trace.
    output: Duration,
}

pub(crate) async fn measure(table: &mut Table, binary: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let instance = Instance::start(binary, &data, None)?;
    let project = Project::create(&instance, folder.path(), "push").await?;
    // The first push makes the branch, and its job the work tree.
    let mut job = push_and_watch(&project, JobId(1)).await?.1;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (moments, next) = push_and_watch(&project, job).await?;
        job = next;
        rounds.push(moments);
    }
    let of = |moment: fn(&Moments) -> Duration| rounds.iter().map(moment).collect::<Vec<_>>();
    table.duration("`git push` itself", &of(|it| it.pushed), None);
    table.duration("start of a push to the job's trace", &of(|it| it.trace), Some(GOAL));
    table.duration("start of a push to the script's output", &of(|it| it.output), Some(GOAL));
    table.duration("end of a push to the job's trace", &of(|it| it.trace.saturating_sub(it.pushed)), None);
    table.duration(
        "end of a push to the script's output",
        &of(|it| it.output.saturating_sub(it.pushed)),
        None,
    );
    Ok(())
}

/// Pushes a commit and watches its job, whose number is the next one; gives the number after that.
async fn push_and_watch(project: &Project, job: JobId) -> Result<(Moments, JobId)> {
    project.commit(CONFIGURATION).await?;
    let begin = Instant::now();
    let push = async {
        project.push().await?;
        anyhow::Ok(begin.elapsed())
    };
    let (pushed, watched) = tokio::join!(push, watch(&project.handle, job, begin));
    let ((trace, output), pushed) = (watched?, pushed?);
    let pipeline = project
        .handle
        .job(job)
        .get()
        .await?
        .pipeline
        .as_ref()
        .map(|it| it.id)
        .context("the job has no pipeline")?;
    project.handle.pipeline(pipeline).wait(PATIENCE).await.context("the job does not end")?;
    Ok((Moments { pushed, trace, output }, JobId(job.0 + 1)))
}

/// Looks at the trace of a job, which need not exist yet, until the script's output is there.
async fn watch(project: &ProjectHandle, job: JobId, begin: Instant) -> Result<(Duration, Duration)> {
    let mut first = None;
    while begin.elapsed() < PATIENCE {
        match project.job(job).trace().bytes().await {
            Ok(trace) if !trace.is_empty() => {
                let now = begin.elapsed();
                let first = *first.get_or_insert(now);
                if trace.windows(OUTPUT.len()).any(|window| window == OUTPUT) {
                    return Ok((first, now));
                }
            }
            Ok(_) => {}
            Err(error) if error.status().is_some_and(|status| status == 404) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("no output within {PATIENCE:?}")
}
