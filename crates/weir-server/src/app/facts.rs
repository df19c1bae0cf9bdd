//! Facts of this server as the predefined variables want them.

use weir_api::Timestamp;
use weir_api::commits::Commit;
use weir_compiler::vars::predefined::{
    CommitFacts, PipelineFacts, ProjectFacts, RefKind, ServerFacts, UpstreamFacts, UserFacts,
};
use weir_compiler::vars::{StoredVariable, Variable};
use weir_store::Tx;
use weir_store::pipelines::Upstream;
use weir_store::projects::Project;
use weir_store::users::User;
use weir_store::variables::{self, GivenVariable, Owner};

use super::merge_requests::RequestFacts;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The version that the server says it is: the GitLab whose API it speaks.
pub const VERSION: &str = "18.5.0";
/// The default path of the configuration.
pub const CONFIG_PATH: &str = ".gitlab-ci.yml";

/// Where the project keeps its configuration.
pub fn config_path(project: &Project) -> &str {
    project.settings.ci_config_path.as_deref().filter(|path| !path.trim().is_empty()).unwrap_or(CONFIG_PATH)
}

/// The server.
pub fn server(ctx: &Ctx) -> ServerFacts {
    ServerFacts {
        url: ctx.url(""),
        name: "GitLab".to_owned(),
        version: VERSION.to_owned(),
        revision: revision().to_owned(),
        ssh_host: ctx.external_url.host_str().unwrap_or_default().to_owned(),
        ssh_port: 22,
        features: Vec::new(),
        registry: None,
        pages_domain: None,
        dependency_proxy: false,
        template_registry_host: "registry.gitlab.com".to_owned(),
    }
}

/// The revision that the server says it is: its own version, for GitLab's is not its.
pub const fn revision() -> &'static str {
    concat!("weir-", env!("CARGO_PKG_VERSION"))
}

/// The project.
pub fn project(project: &Project) -> ProjectFacts {
    ProjectFacts {
        id: project.id,
        path: project.full_path.clone(),
        title: project.name.clone(),
        description: project.description.clone(),
        topics: Vec::new(),
        namespace_id: project.namespace_id,
        visibility: project.visibility,
        languages: Vec::new(),
        classification_label: None,
        default_branch: project.default_branch.clone(),
        config_path: config_path(project).to_owned(),
        registry: false,
    }
}

/// A user.
pub fn user(user: &User) -> UserFacts {
    UserFacts {
        id: user.id,
        email: user.email.clone(),
        login: user.username.clone(),
        name: user.name.clone(),
    }
}

/// A pipeline that is about to be made, or one that was.
#[derive(Debug, Clone)]
pub struct PipelineOf<'a> {
    /// Its number in the project, once it has one.
    pub iid: Option<i64>,
    /// When it was made, once it was.
    pub created_at: Option<Timestamp>,
    /// Its name, once it has one.
    pub name: Option<&'a str>,
    /// Where it comes from.
    pub source: weir_api::PipelineSource,
    /// The short name of its branch or tag.
    pub ref_name: &'a str,
    /// Whether that is a tag.
    pub tag: bool,
    /// Whether that is protected.
    pub protected: bool,
    /// The commit before the push.
    pub before_sha: Option<&'a str>,
    /// The description of the schedule that makes it.
    pub schedule_description: Option<&'a str>,
    /// The commit.
    pub commit: &'a Commit,
    /// The bridge that starts it.
    pub upstream: Option<Upstream>,
    /// Its merge request, and the open ones of its branch.
    pub requests: RequestFacts,
}

impl PipelineOf<'_> {
    /// The same, as the predefined variables want it.
    pub fn facts(&self) -> PipelineFacts {
        const ZEROS: &str = "0000000000000000000000000000000000000000";
        let of = self;
        PipelineFacts {
            iid: of.iid,
            source: of.source,
            created_at: of.created_at,
            name: of.name.map(str::to_owned),
            schedule_description: of.schedule_description.map(str::to_owned),
            commit: CommitFacts {
                sha: of.commit.id.clone(),
                before_sha: of.before_sha.unwrap_or(ZEROS).to_owned(),
                ref_name: of.ref_name.to_owned(),
                ref_kind: match (&of.requests.merge_request, of.tag) {
                    (Some(_), _) => RefKind::MergeRequest,
                    (None, true) => RefKind::Tag,
                    (None, false) => RefKind::Branch,
                },
                ref_protected: of.protected,
                message: of.commit.message.clone(),
                author: format!("{} <{}>", of.commit.author_name, of.commit.author_email),
                user_login: None,
                timestamp: of.commit.committed_date.as_ref().map(ToString::to_string).unwrap_or_default(),
                tag_message: None,
            },
            merge_request: of.requests.merge_request.clone(),
            upstream: of.upstream.map(|upstream| UpstreamFacts {
                pipeline_id: upstream.pipeline_id,
                project_id: upstream.project_id,
                job_id: upstream.job_id,
            }),
            open_merge_requests: of.requests.open.clone(),
            kubernetes_active: false,
            deploy_freeze: false,
            external_pull_request: None,
        }
    }
}

/// A variable of the settings, opened.
pub fn stored(ctx: &Ctx, owner: Owner, row: &variables::Variable) -> Result<StoredVariable> {
    let value = ctx.keys.open_sealed(&sealed_for(owner, &row.key), &row.value)?;
    let text = String::from_utf8(value.into_exposed())
        .map_err(|_| Error::internal(format!("the value of variable {} is not UTF-8", row.key)))?;
    Ok(StoredVariable {
        variable: Variable {
            key: row.key.clone(),
            value: Some(text),
            public: false,
            file: row.variable_type == weir_api::VariableType::File,
            masked: row.masked,
            raw: row.raw,
        },
        environment_scope: row.environment_scope.clone(),
        protected: row.protected,
    })
}

/// What the sealed value of a setting belongs to.
pub fn sealed_for(owner: Owner, key: &str) -> String {
    match owner {
        Owner::Instance => format!("variables/instance/{key}"),
        Owner::Group(id) => format!("variables/group/{id}/{key}"),
        Owner::Project(id) => format!("variables/project/{id}/{key}"),
    }
}

/// What the sealed value of a given variable belongs to.
pub const GIVEN: &str = "given-variables";

/// A given variable, opened.
pub fn given(ctx: &Ctx, row: &GivenVariable) -> Result<Variable> {
    let value = ctx.keys.open_sealed(GIVEN, &row.value)?;
    let text = String::from_utf8(value.into_exposed())
        .map_err(|_| Error::internal(format!("the value of variable {} is not UTF-8", row.key)))?;
    Ok(Variable {
        key: row.key.clone(),
        value: Some(text),
        public: false,
        file: row.variable_type == weir_api::VariableType::File,
        masked: false,
        raw: row.raw,
    })
}

/// The settings' variables of a project, opened, with their owners, weakest first.
pub fn settings_of(ctx: &Ctx, tx: &mut Tx<'_>, project: &Project) -> Result<Vec<(Owner, StoredVariable)>> {
    variables::for_project(tx, project.id)?
        .into_iter()
        .map(|(owner, row)| Ok((owner, stored(ctx, owner, &row)?)))
        .collect()
}
