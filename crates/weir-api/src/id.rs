//! Identities. Each is a number of its own type, so that a job's id cannot stand where a pipeline's is due.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A user.
    UserId,
    /// A namespace: a user's own or a group's.
    NamespaceId,
    /// A group. Groups share their numbers with namespaces, as in GitLab.
    GroupId,
    /// A project.
    ProjectId,
    /// A personal access token.
    TokenId,
    /// A pipeline, numbered over the whole instance.
    PipelineId,
    /// A job or bridge, numbered over the whole instance.
    JobId,
    /// A stage of one pipeline.
    StageId,
    /// A runner.
    RunnerId,
    /// A runner manager: one process that uses a runner's token.
    RunnerManagerId,
    /// A stored artifact file.
    ArtifactId,
    /// A CI/CD variable of a project, a group or the instance.
    VariableId,
    /// A distinct set of job tags.
    TagSetId,
    /// A ref update whose pipelines are to be created.
    PushId,
    /// A pipeline trigger token.
    TriggerId,
    /// A pipeline schedule.
    PipelineScheduleId,
    /// A merge request, numbered over the whole instance.
    MergeRequestId,
    /// An environment.
    EnvironmentId,
    /// A deployment, numbered over the whole instance.
    DeploymentId,
    /// A resource group.
    ResourceGroupId,
    /// A webhook.
    HookId,
    /// A task of the outbox.
    TaskId,
}
