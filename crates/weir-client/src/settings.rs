//! What CI/CD runs with: variables, runners, validation of a configuration.

use reqwest::Method;
use weir_api::id::{GroupId, ProjectId, RunnerId};
use weir_api::jobs::JobBasicWithProject;
use weir_api::lint::LintResult;
use weir_api::runners::{Runner, RunnerDetails, RunnerManager, RunnerRegistrationDetails, RunnerStatus};
use weir_api::variables::Variable;
use weir_api::{RunnerAccessLevel, RunnerType, VariableType};

use crate::action::{Action, List, list, request};
use crate::client::Client;
use crate::groups::GroupHandle;
use crate::path::segment;
use crate::projects::ProjectHandle;

list! {
    /// Runners.
    ListRunners<Runner> {
        /// Of this type.
        runner_type("type"): RunnerType,
        /// With this status.
        status("status"): RunnerStatus,
        /// Which are paused, or not.
        paused("paused"): bool,
        /// Which have all these tags.
        tag_list("tag_list"): &[&str],
    }
}

request! {
    /// One variable. Its scope must be told if several have the key.
    GetVariable(Action<Variable>) -> Variable {}

    /// A new variable, or a change of one.
    SetVariable(Action<Variable>) -> Variable {
        /// What a job gets.
        variable_type("variable_type"): VariableType,
        /// Whether only protected refs get it.
        protected("protected"): bool,
        /// Whether traces hide its value.
        masked("masked"): bool,
        /// Whether its value is also never shown again; for new ones.
        masked_and_hidden("masked_and_hidden"): bool,
        /// Whether `$` in its value is left alone.
        raw("raw"): bool,
        /// The environments that get it.
        environment_scope("environment_scope"): &str,
        /// A text for people.
        description("description"): &str,
    }

    /// The end of a variable.
    DeleteVariable(Action<()>) -> () {}

    /// A new runner: `POST /user/runners`. Only this answer has its token.
    CreateRunner(Action<RunnerRegistrationDetails>) -> RunnerRegistrationDetails {
        /// The group that it serves.
        group("group_id"): GroupId,
        /// The project that it serves.
        project("project_id"): ProjectId,
        /// A text for people.
        description("description"): &str,
        /// Whether it starts paused.
        paused("paused"): bool,
        /// Whether it stays with its project.
        locked("locked"): bool,
        /// Whether it takes jobs without tags.
        run_untagged("run_untagged"): bool,
        /// Its tags.
        tag_list("tag_list"): &[&str],
        /// Of which refs it takes jobs.
        access_level("access_level"): RunnerAccessLevel,
        /// The longest time for a job, in seconds.
        maximum_timeout("maximum_timeout"): i64,
    }

    /// Changes of a runner: `PUT /runners/:id`.
    UpdateRunner(Action<RunnerDetails>) -> RunnerDetails {
        /// A text for people.
        description("description"): &str,
        /// Whether it gets no jobs.
        paused("paused"): bool,
        /// Whether it stays with its projects.
        locked("locked"): bool,
        /// Whether it takes jobs without tags.
        run_untagged("run_untagged"): bool,
        /// Its tags.
        tag_list("tag_list"): &[&str],
        /// Of which refs it takes jobs.
        access_level("access_level"): RunnerAccessLevel,
        /// The longest time for a job, in seconds.
        maximum_timeout("maximum_timeout"): i64,
    }

    /// A validation: `POST /projects/:id/ci/lint`.
    Lint(Action<LintResult>) -> LintResult {
        /// Whether to make a pipeline without keeping it, which finds more.
        dry_run("dry_run"): bool,
        /// Whether the answer lists the jobs.
        include_jobs("include_jobs"): bool,
        /// The branch or tag to make the pipeline for.
        ref_("ref"): &str,
    }
}

macro_rules! of_environment {
    ($($name:ident)*) => {$(
        impl $name {
            /// Means the one with exactly this environment scope.
            pub fn of_environment(self, scope: &str) -> Self {
                self.param("filter", serde_json::json!({ "environment_scope": scope }))
            }
        }
    )*};
}
of_environment! { GetVariable SetVariable DeleteVariable }

macro_rules! variables {
    ($($handle:ident)*) => {$(
        impl $handle {
            /// Its variables.
            pub fn variables(&self) -> List<Variable> {
                List::new(&self.client, self.under("variables"))
            }

            /// One variable.
            pub fn variable(&self, key: &str) -> GetVariable {
                let path = self.under(format_args!("variables/{}", segment(key)));
                GetVariable(Action::json(&self.client, Method::GET, path))
            }

            /// Makes a variable.
            pub fn create_variable(&self, key: &str, value: &str) -> SetVariable {
                let action = Action::json(&self.client, Method::POST, self.under("variables"));
                SetVariable(action.param("key", key).param("value", value))
            }

            /// Gives a variable another value.
            pub fn update_variable(&self, key: &str, value: &str) -> SetVariable {
                let path = self.under(format_args!("variables/{}", segment(key)));
                SetVariable(Action::json(&self.client, Method::PUT, path).param("value", value))
            }

            /// Deletes a variable.
            pub fn delete_variable(&self, key: &str) -> DeleteVariable {
                let path = self.under(format_args!("variables/{}", segment(key)));
                DeleteVariable(Action::done(&self.client, Method::DELETE, path))
            }

            /// Its runners.
            pub fn runners(&self) -> ListRunners {
                ListRunners(List::new(&self.client, self.under("runners")))
            }
        }
    )*};
}
variables! { ProjectHandle GroupHandle }

impl ProjectHandle {
    /// Validates a configuration.
    pub fn lint(&self, content: &str) -> Lint {
        let action = Action::json(&self.client, Method::POST, self.under("ci/lint"));
        Lint(action).param("content", content)
    }

    /// Validates the configuration in the repository.
    pub fn lint_committed(&self) -> Action<LintResult> {
        Action::json(&self.client, Method::GET, self.under("ci/lint"))
    }

    /// Lets a runner serve the project.
    pub fn enable_runner(&self, runner: RunnerId) -> Action<Runner> {
        Action::json(&self.client, Method::POST, self.under("runners")).param("runner_id", runner.0)
    }

    /// Lets a runner no longer serve the project.
    pub fn disable_runner(&self, runner: RunnerId) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.under(format_args!("runners/{runner}")))
    }
}

impl Client {
    /// Runners that the caller may manage.
    pub fn runners(&self) -> ListRunners {
        ListRunners(List::new(self, "runners"))
    }

    /// All runners; for administrators.
    pub fn all_runners(&self) -> ListRunners {
        ListRunners(List::new(self, "runners/all"))
    }

    /// One runner.
    pub fn runner(&self, id: RunnerId) -> Action<RunnerDetails> {
        Action::json(self, Method::GET, format!("runners/{id}"))
    }

    /// The processes that use a runner's token.
    pub fn runner_managers(&self, id: RunnerId) -> List<RunnerManager> {
        List::new(self, format!("runners/{id}/managers"))
    }

    /// The jobs that a runner has or had.
    pub fn runner_jobs(&self, id: RunnerId) -> List<JobBasicWithProject> {
        List::new(self, format!("runners/{id}/jobs"))
    }

    /// Makes a runner.
    pub fn create_runner(&self, runner_type: RunnerType) -> CreateRunner {
        let action = Action::json(self, Method::POST, "user/runners");
        CreateRunner(action.param("runner_type", runner_type.as_str()))
    }

    /// Changes a runner.
    pub fn update_runner(&self, id: RunnerId) -> UpdateRunner {
        UpdateRunner(Action::json(self, Method::PUT, format!("runners/{id}")))
    }

    /// Deletes a runner.
    pub fn delete_runner(&self, id: RunnerId) -> Action<()> {
        Action::done(self, Method::DELETE, format!("runners/{id}"))
    }
}
