//! Compiling in tests, with the facts of a small project.

use weir_api::PipelineSource;

use crate::plan::{Action, Plan, Run};
use crate::vars::{Level, Variable};
use crate::{Answer, Compilation, Compiled, Context, Request, Step};

/// The pipeline and project that a test compiles for.
pub(crate) struct Facts<'f> {
    pub(crate) source: PipelineSource,
    pub(crate) ref_name: &'f str,
    pub(crate) tag: bool,
    pub(crate) files: &'f [(&'f str, &'f str)],
    pub(crate) changed: Option<Vec<&'f str>>,
    pub(crate) paths: Option<Vec<&'f str>>,
    pub(crate) inputs: Vec<(String, serde_json::Value)>,
    pub(crate) variables: Vec<(Level, Variable)>,
}

impl Default for Facts<'_> {
    fn default() -> Self {
        Self {
            source: PipelineSource::Push,
            ref_name: "main",
            tag: false,
            files: &[],
            changed: None,
            paths: None,
            inputs: Vec::new(),
            variables: Vec::new(),
        }
    }
}

pub(crate) fn compile_with(text: &str, facts: &Facts<'_>) -> Compiled {
    let mut context = Context::new(facts.source, facts.ref_name, "group/project");
    context.tag = facts.tag;
    let key = if facts.tag { "CI_COMMIT_TAG" } else { "CI_COMMIT_BRANCH" };
    context.variables.push(Level::Predefined, Variable::public(key, facts.ref_name));
    for (level, variable) in &facts.variables {
        context.variables.push(*level, variable.clone());
    }
    context.inputs.clone_from(&facts.inputs);
    let mut compilation = Compilation::new(".gitlab-ci.yml", Some(text), context);
    let paths = |paths: &Option<Vec<&str>>| {
        Answer::Paths(paths.as_ref().map(|paths| paths.iter().map(|&path| path.to_owned()).collect()))
    };
    loop {
        let requests = match compilation.step() {
            Step::Done(compiled) => return *compiled,
            Step::Need(requests) => requests,
        };
        let answers = requests.iter().map(|request| match request {
            Request::LocalFile { path } => {
                let file = facts.files.iter().find(|(name, _)| name == path);
                Answer::File(file.map(|(_, text)| (*text).to_owned()))
            }
            Request::ChangedPaths { .. } => paths(&facts.changed),
            Request::RepositoryPaths | Request::ProjectPaths { .. } => paths(&facts.paths),
            Request::FileIds { paths, of } => {
                let known = facts.files.iter().filter(|(name, _)| paths.iter().any(|path| path == name));
                Answer::Ids(known.map(|(name, text)| format!("{of:?} {name} {text}")).collect())
            }
            _ => Answer::File(None),
        });
        compilation.supply(answers.collect());
    }
}

pub(crate) fn compiled(text: &str) -> Compiled {
    compile_with(text, &Facts::default())
}

pub(crate) fn compiled_with(text: &str, files: &[(&str, &str)]) -> Compiled {
    let paths = files.iter().map(|(path, _)| *path).collect();
    compile_with(text, &Facts { files, paths: Some(paths), ..Facts::default() })
}

/// The plan of a text that must compile.
pub(crate) fn compile(text: &str) -> Plan {
    let compiled = compiled(text);
    let errors: Vec<&str> = compiled.errors().collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    compiled.plan.unwrap_or_else(|| panic!("refused: {:?}\n{text}", compiled.refusal))
}

/// The script part of the one job `rspec` with this body.
pub(crate) fn job(body: &str) -> Run {
    let plan = compile(&rspec(body));
    match plan.jobs.into_iter().next().map(|job| job.action) {
        Some(Action::Run(run)) => *run,
        other => panic!("{other:?} is no job"),
    }
}

/// The errors of one job `rspec` with this body.
pub(crate) fn errors(body: &str) -> Vec<String> {
    errors_of(&rspec(body))
}

pub(crate) fn errors_of(text: &str) -> Vec<String> {
    compiled(text).errors().map(str::to_owned).collect()
}

pub(crate) fn job_names(compiled: &Compiled) -> Vec<String> {
    let errors: Vec<&str> = compiled.errors().collect();
    assert!(errors.is_empty(), "{errors:?}");
    let jobs = compiled.plan.iter().flat_map(|plan| &plan.jobs);
    jobs.map(|job| job.name.clone()).filter(|name| name != "other").collect()
}

/// The `when` of a job, none if it is not in the pipeline.
pub(crate) fn when_of(text: &str, name: &str) -> Option<String> {
    let plan = compiled(text).plan?;
    let job = plan.jobs.iter().find(|job| job.name == name)?;
    serde_json::to_value(job.when).ok()?.as_str().map(str::to_owned)
}

fn rspec(body: &str) -> String {
    format!("rspec:\n  {}\n", body.replace('\n', "\n  "))
}
