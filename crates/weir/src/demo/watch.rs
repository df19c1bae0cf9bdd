//! Reads what the picture shows, through the API as anybody would.

use std::collections::HashMap;

use anyhow::Result;
use weir_api::id::JobId;
use weir_api::jobs::Job;
use weir_api::pipelines::PipelineBasic;
use weir_api::{JobStatus, Timestamp};
use weir_client::{PipelineHandle, ProjectHandle};

use super::picture::{JobView, StageView, View};

/// How many lines of a failed job's trace are kept.
const LOG_LINES: usize = 4;

/// Looks at one pipeline.
#[derive(Debug)]
pub(super) struct Watch {
    project: ProjectHandle,
    pipeline: PipelineHandle,
    title: String,
    created_at: Option<Timestamp>,
    /// What each job needs, where it names that.
    needs: HashMap<String, Vec<String>>,
    /// The last lines of jobs that failed.
    logs: HashMap<JobId, Vec<String>>,
}

impl Watch {
    pub(super) async fn new(project: ProjectHandle, pipeline: PipelineBasic) -> Result<Self> {
        let described = project.get().await?;
        let short_sha = pipeline.sha.get(..8).unwrap_or(&pipeline.sha);
        Ok(Self {
            title: format!("{} · {} · {short_sha}", described.path_with_namespace, pipeline.ref_name),
            created_at: pipeline.created_at,
            needs: needs(&project).await,
            logs: HashMap::new(),
            pipeline: project.pipeline(pipeline.id),
            project,
        })
    }

    /// The state now.
    pub(super) async fn look(&mut self) -> Result<View> {
        // The pipeline is read first: when it has ended, so have the jobs that are read after it.
        let pipeline = self.pipeline.get().await?;
        let mut jobs = self.pipeline.jobs().per_page(100).all().await?;
        jobs.sort_by_key(|job| job.id);
        let mut stages: Vec<StageView> = Vec::new();
        for job in jobs {
            let view = self.job(&job).await?;
            match stages.iter_mut().find(|stage| stage.name == job.stage) {
                Some(stage) => stage.jobs.push(view),
                None => stages.push(StageView { name: job.basic.stage, jobs: vec![view] }),
            }
        }
        let status = pipeline.status.known().unwrap_or(JobStatus::Running);
        Ok(View { title: self.title.clone(), status, stages, footer: Vec::new() })
    }

    async fn job(&mut self, job: &Job) -> Result<JobView> {
        let status = job.status.known().unwrap_or(JobStatus::Running);
        if status == JobStatus::Failed && !self.logs.contains_key(&job.id) {
            let trace = self.project.job(job.id).trace().bytes().await?;
            self.logs.insert(job.id, last_lines(&String::from_utf8_lossy(&trace)));
        }
        let started = job.started_at.zip(self.created_at);
        Ok(JobView {
            id: job.id.0,
            name: job.name.clone(),
            status,
            allow_failure: job.allow_failure,
            started: started.map(|(start, created)| start.secs_since(created).max(0.0)),
            duration: job.duration,
            needs: self.needs.get(&job.name).cloned(),
            reason: job.failure_reason.as_ref().map(ToString::to_string),
            log: self.logs.get(&job.id).cloned().unwrap_or_default(),
        })
    }
}

/// What the jobs need. Only the linter tells; should it not, the picture has no hints.
async fn needs(project: &ProjectHandle) -> HashMap<String, Vec<String>> {
    let Ok(lint) = project.lint_committed().param("include_jobs", true).await else { return HashMap::new() };
    let named = |need: &serde_json::Value| match need {
        serde_json::Value::String(name) => Some(name.clone()),
        need => need.get("name").or_else(|| need.get("job"))?.as_str().map(str::to_owned),
    };
    let of_job = |needs: &serde_json::Value| {
        let list = needs.as_array().or_else(|| needs.get("job")?.as_array())?;
        Some(list.iter().filter_map(named).collect())
    };
    let jobs = lint.jobs.unwrap_or_default();
    jobs.into_iter().filter_map(|job| Some((job.name, of_job(job.needs.as_ref()?)?))).collect()
}

/// The last lines of a trace as a terminal would show them.
fn last_lines(trace: &str) -> Vec<String> {
    let plain = anstream::adapter::strip_str(trace).to_string();
    let shown = |line: &str| {
        // What stands before a carriage return is overwritten; the trace hides its section marks so.
        let line = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
        line.replace('\t', "    ").trim_end().to_owned()
    };
    let lines: Vec<String> = plain
        .lines()
        .filter(|line| !line.starts_with("section_") || line.contains('\r'))
        .map(|line| shown(line.trim_end_matches('\r')))
        .filter(|line| !line.is_empty() && !line.starts_with("section_"))
        .collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_as_a_terminal_shows_them() {
        let trace = "one\n\u{1b}[32;1mtwo\u{1b}[0;m\n\nsection_start:1:step_script\r\u{1b}[0Kthree\n\tfour\r\n\
                     section_end:2:step_script\r\u{1b}[0K\nfive\n";
        assert_eq!(last_lines(trace), ["two", "three", "    four", "five"]);
        assert!(last_lines("").is_empty());
    }
}
