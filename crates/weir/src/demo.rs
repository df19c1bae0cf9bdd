//! `weir demo`: a fresh server, a real push, and the pipeline drawn while it runs.

mod picture;
mod sample;
mod screen;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use weir_api::{JobStatus, Secret};
use weir_client::{Client, ProjectHandle};

use self::picture::View;
use self::screen::Screen;
use self::watch::Watch;
use crate::cli::{DemoArgs, LogArgs};
use crate::instance::{Instance, RunnerSettings};
use crate::logging;
use crate::settings::Log;
use crate::signals::Signals;

/// How many jobs run at a time: as many as the sample has side by side, which mostly sleep.
const CONCURRENT: usize = 8;
/// The pause between two looks at a pipeline that moves.
const LOOK_EVERY: Duration = Duration::from_millis(80);
/// The pause between two looks at one that waits for somebody.
const LOOK_EVERY_SETTLED: Duration = Duration::from_millis(400);
/// How long a push may take to become a pipeline.
const PIPELINE_WITHIN: Duration = Duration::from_secs(30);
/// How long jobs may still run after Ctrl-C.
const GRACE: Duration = Duration::from_secs(1);

/// Runs the demonstration.
pub(crate) async fn run(arguments: DemoArgs, log: &LogArgs) -> Result<ExitCode> {
    // Lines of the log would tear the picture, so there are none unless somebody wants them.
    logging::start(&Log::of(log, "off"))?;
    let mut signals = Signals::listen()?;
    let mut folder = tempfile::Builder::new()
        .prefix("weir-demo-")
        .tempdir()
        .context("cannot make a temporary folder; set TMPDIR to one that you may write")?;
    folder.disable_cleanup(arguments.keep);
    let mut config = weir_server::Config::new(folder.path().join("data"));
    config.listen = arguments.listen;
    let runner = RunnerSettings { concurrent: CONCURRENT, grace: GRACE };
    let mut instance = Instance::start(config, Some(runner)).await?;

    let (url, token) = (instance.local_url.clone(), instance.root_token.take());
    let ended = tokio::select! {
        ended = show(&url, token, folder.path(), arguments.exit) => Some(ended),
        error = instance.ended() => return Err(error),
        _ = signals.next() => {
            // The terminal has shown `^C`.
            println!();
            None
        }
    };
    tokio::select! {
        stopped = instance.stop() => stopped?,
        signal = signals.next() => return Ok(ExitCode::from(signal.exit_code())),
    }
    if arguments.keep {
        let data = folder.path().join("data");
        println!("The server's data stays there: weir serve --data {}", data.display());
    }
    match ended.transpose()? {
        // Stopped by Ctrl-C, as it should be, unless the pipeline's end was waited for.
        None if arguments.exit => bail!("stopped before the pipeline ended"),
        Some(status) if status != JobStatus::Success => Ok(ExitCode::FAILURE),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Pushes the sample and shows its pipeline. With `exit` this returns the pipeline's status when it ended, otherwise
/// it does not return.
async fn show(
    url: &url::Url,
    token: Option<Secret>,
    folder: &std::path::Path,
    exit: bool,
) -> Result<JobStatus> {
    let token = token.context("the new server made no token")?;
    let client = Client::builder(url.as_str()).private_token(token.expose()).build()?;
    let made = client.create_project(sample::NAME).await?;
    let project = client.project(made.id);
    let remote = url.join(&format!("root/{}.git", sample::NAME))?;
    sample::push(&folder.join(sample::NAME), &remote, &token).await?;
    let mut watch = watch_first_pipeline(project).await?;

    let mut screen = Screen::open();
    for tick in 0.. {
        let mut view = watch.look().await?;
        let settled = view.is_settled();
        if settled && !exit {
            view.footer = footer(url, &token, made.id.0, &view);
        }
        screen.show(&view, tick)?;
        if settled && exit {
            return Ok(view.status);
        }
        tokio::time::sleep(if settled { LOOK_EVERY_SETTLED } else { LOOK_EVERY }).await;
    }
    Ok(JobStatus::Success)
}

/// Waits for the pipeline of the push.
async fn watch_first_pipeline(project: ProjectHandle) -> Result<Watch> {
    let wait = async {
        loop {
            if let Some(pipeline) = project.pipelines().send().await?.items.into_iter().next() {
                return Watch::new(project.clone(), pipeline.basic).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PIPELINE_WITHIN, wait).await.context("the push made no pipeline")?
}

/// What to do with the server now. Lines are short, so that they can be copied out of most terminals.
fn footer(url: &url::Url, token: &Secret, project: i64, view: &View) -> Vec<String> {
    let api = format!("{url}api/v4/projects/{project}");
    let header = r#"--header "PRIVATE-TOKEN: $TOKEN""#;
    let mut lines = vec![
        "The server stays up until Ctrl-C:".to_owned(),
        String::new(),
        format!("  TOKEN={}", token.expose()),
        format!("  curl {header} {api}/pipelines"),
        format!(
            "  git clone http://root:$TOKEN@{}/root/{}.git",
            &url[url::Position::BeforeHost..url::Position::AfterPort],
            sample::NAME
        ),
    ];
    if let Some(job) = view.jobs().find(|job| job.status == JobStatus::Manual) {
        lines.extend([
            String::new(),
            format!("Play the manual job `{}`, and see it run above:", job.name),
            String::new(),
            format!("  curl --request POST {header} \\"),
            format!("    {api}/jobs/{}/play", job.id),
        ]);
    }
    lines
}
