//! What the compiler must know of the pipeline that is to be made.

use weir_api::PipelineSource;

/// Facts about a pipeline, given by whoever creates it.
#[derive(Debug, Clone, PartialEq)]
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
    /// All variables from outside the file. Among equal keys the higher [`Level`] wins, within one level the
    /// later entry.
    pub variables: Vec<ContextVariable>,
}

/// A variable from outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextVariable {
    /// The name.
    pub key: String,
    /// The text, unexpanded.
    pub value: String,
    /// Whether references in the value stay as they are.
    pub raw: bool,
    /// Where it comes from.
    pub level: Level,
}

/// Where a variable comes from, weakest first. Variables of the file stand between [`Level::Job`] and
/// [`Level::User`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Predefined and known before the pipeline exists (`CI_COMMIT_SHA`): `include` and `workflow` see it.
    Predefined,
    /// Predefined and known with the pipeline (`CI_PIPELINE_TRIGGERED`): job rules see it. The compiler adds
    /// those that depend on the job itself, such as `CI_JOB_NAME`.
    Job,
    /// `GITLAB_USER_*`: job and workflow rules see it, `include` does not.
    User,
    /// Of the instance.
    Instance,
    /// Of a group; outer groups first.
    Group,
    /// Of the project.
    Project,
    /// Given to this pipeline: by schedule, trigger, API or by hand.
    Pipeline,
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
            variables: Vec::new(),
        }
    }
}
