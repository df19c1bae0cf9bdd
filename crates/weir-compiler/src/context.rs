//! What the compiler must know of the pipeline that is to be made.

use weir_api::PipelineSource;

use crate::vars::{Level, StoredVariable, Variables, applicable};

/// Facts about a pipeline, given by whoever creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// `CI_PIPELINE_SOURCE`.
    pub source: PipelineSource,
    /// The branch or tag, without `refs/heads/`; in a merge request's pipeline its source branch.
    pub ref_name: String,
    /// Whether `ref_name` is a tag.
    pub tag: bool,
    /// The project's full path (`group/project`).
    pub project_path: String,
    /// The default branch, if the repository has one.
    pub default_branch: Option<String>,
    /// All variables from outside the file, with their levels. The compiler adds those of the file and, per
    /// job, those that follow from the job, such as `CI_JOB_NAME`.
    pub variables: Variables,
    /// Values for the `spec:inputs` of the file, given with the pipeline.
    pub inputs: Vec<(String, serde_json::Value)>,
    /// Whether it is a child pipeline, whose configuration may include artifacts of its parent.
    pub child: bool,
    /// The variables of the settings, those of each owner together, the weakest owner first; protected ones only if
    /// the ref may have them. Only needed if some are for certain environments: a job that names one gets these
    /// in place of the settings' variables among `variables`.
    pub settings: Vec<(Level, Vec<StoredVariable>)>,
}

impl Context {
    /// A context without variables.
    pub fn new(source: PipelineSource, ref_name: &str, project_path: &str) -> Self {
        Self {
            source,
            ref_name: ref_name.to_owned(),
            tag: false,
            project_path: project_path.to_owned(),
            default_branch: None,
            variables: Variables::new(),
            inputs: Vec::new(),
            child: false,
            settings: Vec::new(),
        }
    }

    /// What a job sees that names an environment; none if that is what all see.
    pub(crate) fn variables_for(&self, environment: &str) -> Option<Variables> {
        let stored = || self.settings.iter().flat_map(|(_, stored)| stored);
        if stored().all(|stored| stored.environment_scope == "*") {
            return None;
        }
        let mut variables =
            self.only(|level| !matches!(level, Level::Instance | Level::Group | Level::Project));
        for (level, stored) in &self.settings {
            variables.extend(*level, applicable(stored.iter().cloned(), Some(environment), true));
        }
        Some(variables)
    }

    /// What `include` sees: no variables of jobs, of the user or of the file.
    pub(crate) fn include_variables(&self) -> Variables {
        self.only(|level| !matches!(level, Level::Started | Level::Job | Level::User))
    }

    /// What `workflow` sees: no variables of jobs.
    pub(crate) fn workflow_variables(&self) -> Variables {
        self.only(|level| !matches!(level, Level::Started | Level::Job))
    }

    fn only(&self, keep: impl Fn(Level) -> bool) -> Variables {
        let mut kept = Variables::new();
        for (level, variable) in self.variables.levels().filter(|(level, _)| keep(*level)) {
            kept.push(level, variable.clone());
        }
        kept
    }
}
