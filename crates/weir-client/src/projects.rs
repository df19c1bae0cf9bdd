//! Projects.

use reqwest::Method;
use weir_api::Visibility;
use weir_api::id::NamespaceId;
use weir_api::projects::Project;

use crate::action::{Action, List, list, request};
use crate::client::Client;
use crate::path::ProjectRef;

list! {
    /// Projects that the caller sees: `GET /projects`.
    ListProjects<Project> {
        /// Whose name or path has this text.
        search("search"): &str,
        /// Of which the caller is a member.
        membership("membership"): bool,
        /// Which the caller owns.
        owned("owned"): bool,
        /// Which are read-only, or not.
        archived("archived"): bool,
        /// Which are visible to these.
        visibility("visibility"): Visibility,
        /// In which the caller has this level at least, 30 for Developer.
        min_access_level("min_access_level"): i64,
    }
}

request! {
    /// A new project: `POST /projects`.
    CreateProject(Action<Project>) -> Project {
        /// The last part of the path; made from the name unless given.
        path("path"): &str,
        /// Where it lives; with the caller unless given.
        namespace("namespace_id"): NamespaceId,
        /// A text for people.
        description("description"): &str,
        /// Who sees it.
        visibility("visibility"): Visibility,
        /// The default branch.
        default_branch("default_branch"): &str,
        /// Whether it begins with a commit of a README.
        initialize_with_readme("initialize_with_readme"): bool,
        /// Where the configuration is, if not in `.gitlab-ci.yml`.
        ci_config_path("ci_config_path"): &str,
    }

    /// Changes of a project: `PUT /projects/:id`.
    UpdateProject(Action<Project>) -> Project {
        /// The name.
        name("name"): &str,
        /// The last part of the path.
        path("path"): &str,
        /// A text for people.
        description("description"): &str,
        /// Who sees it.
        visibility("visibility"): Visibility,
        /// The default branch.
        default_branch("default_branch"): &str,
        /// Where the configuration is, if not in `.gitlab-ci.yml`.
        ci_config_path("ci_config_path"): &str,
        /// The longest time for a job, in seconds.
        build_timeout("build_timeout"): i64,
        /// Whether jobs and their artifacts are as visible as the project.
        public_jobs("public_jobs"): bool,
        /// Whether instance runners may run jobs.
        shared_runners_enabled("shared_runners_enabled"): bool,
    }
}

impl Client {
    /// Projects that the caller sees.
    pub fn projects(&self) -> ListProjects {
        ListProjects(List::new(self, "projects"))
    }

    /// Makes a project.
    pub fn create_project(&self, name: &str) -> CreateProject {
        CreateProject(Action::json(self, Method::POST, "projects")).param("name", name)
    }

    /// A project by its number or whole path. Nothing is sent yet, and the project need not be visible to
    /// the caller for what its parts allow.
    pub fn project(&self, project: impl Into<ProjectRef>) -> ProjectHandle {
        ProjectHandle { client: self.clone(), path: format!("projects/{}", project.into().0) }
    }
}

/// A project and what it has.
#[derive(Debug, Clone)]
pub struct ProjectHandle {
    pub(crate) client: Client,
    pub(crate) path: String,
}

impl ProjectHandle {
    pub(crate) fn under(&self, rest: impl std::fmt::Display) -> String {
        format!("{}/{rest}", self.path)
    }

    /// The project.
    pub fn get(&self) -> Action<Project> {
        Action::json(&self.client, Method::GET, self.path.as_str())
    }

    /// Changes it.
    pub fn update(&self) -> UpdateProject {
        UpdateProject(Action::json(&self.client, Method::PUT, self.path.as_str()))
    }

    /// Deletes it with all that it has.
    pub fn delete(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.path.as_str())
    }

    /// Makes it read-only.
    pub fn archive(&self) -> Action<Project> {
        Action::json(&self.client, Method::POST, self.under("archive"))
    }

    /// Makes it writable again.
    pub fn unarchive(&self) -> Action<Project> {
        Action::json(&self.client, Method::POST, self.under("unarchive"))
    }
}
