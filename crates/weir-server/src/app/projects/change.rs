//! What is asked to change of a project's settings.

use weir_api::{AccessLevel, FeatureAccess, GitStrategy, MergeMethod, ProcessMode};
use weir_store::projects::Project;

use crate::error::{Error, Result};

/// Seconds that a job may take at least and at most. Source: `app/models/project.rb`.
const BUILD_TIMEOUT: std::ops::Range<u64> = 600..2_629_746;
/// The deepest `GIT_DEPTH`. Source: `ProjectCiCdSetting::MAX_DEFAULT_GIT_DEPTH` and its column.
const MAX_GIT_DEPTH: u32 = 1_000;
/// Seconds after which pipelines are deleted, at least and at most: a day and a year.
const DELETE_PIPELINES: std::ops::RangeInclusive<u64> = 86_400..=31_556_952;
/// What the subject of an ID token may be made of. Source: `ProjectCiCdSetting::ALLOWED_SUB_CLAIM_COMPONENTS`.
const SUB_CLAIM_COMPONENTS: [&str; 3] = ["project_path", "ref_type", "ref"];

/// What is asked to change of a project's settings; none leaves a setting as it is. A setting that may be unset has
/// two layers: `Some(None)` unsets it.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the setting of its name, as `weir_store::projects` tells")]
pub struct Change {
    pub description: Option<Option<String>>,
    pub builds_access_level: Option<FeatureAccess>,
    pub public_jobs: Option<bool>,
    pub shared_runners_enabled: Option<bool>,
    pub group_runners_enabled: Option<bool>,
    pub build_timeout: Option<u64>,
    pub ci_config_path: Option<Option<String>>,
    pub ci_default_git_depth: Option<Option<u32>>,
    pub build_git_strategy: Option<GitStrategy>,
    pub auto_cancel_pending_pipelines: Option<bool>,
    pub keep_latest_artifact: Option<bool>,
    pub ci_forward_deployment_enabled: Option<bool>,
    pub ci_forward_deployment_rollback_allowed: Option<bool>,
    pub ci_separated_caches: Option<bool>,
    pub ci_job_token_scope_enabled: Option<bool>,
    pub ci_push_repository_for_job_token_allowed: Option<bool>,
    pub ci_allow_fork_pipelines_to_run_in_parent_project: Option<bool>,
    pub ci_pipeline_variables_minimum_override_role: Option<Option<AccessLevel>>,
    pub ci_delete_pipelines_in_seconds: Option<Option<u64>>,
    pub ci_id_token_sub_claim_components: Option<Vec<String>>,
    pub ci_restrict_pipeline_cancellation_role: Option<String>,
    pub runner_token_expiration_interval: Option<Option<u64>>,
    pub environments_access_level: Option<FeatureAccess>,
    pub restrict_user_defined_variables: Option<bool>,
    pub only_allow_merge_if_pipeline_succeeds: Option<bool>,
    pub allow_merge_on_skipped_pipeline: Option<bool>,
    pub resource_group_default_process_mode: Option<ProcessMode>,
    pub merge_method: Option<MergeMethod>,
    pub merge_pipelines_enabled: Option<bool>,
    pub protect_merge_request_pipelines: Option<bool>,
    pub remove_source_branch_after_merge: Option<bool>,
}

/// Sets what is given.
macro_rules! set {
    ($change:expr, $row:expr, $($field:ident),* $(,)?) => {$(
        if let Some(value) = &$change.$field {
            $row.$field.clone_from(value);
        }
    )*};
}

impl Change {
    /// Changes the row.
    ///
    /// # Errors
    /// 400 if a value cannot be.
    pub(super) fn apply(&self, project: &mut Project) -> Result<()> {
        self.check()?;
        set!(
            self,
            project,
            description,
            builds_access_level,
            public_jobs,
            shared_runners_enabled,
            group_runners_enabled,
        );
        let settings = &mut project.settings;
        set!(
            self,
            settings,
            build_timeout,
            ci_config_path,
            ci_default_git_depth,
            build_git_strategy,
            auto_cancel_pending_pipelines,
            keep_latest_artifact,
            ci_forward_deployment_enabled,
            ci_forward_deployment_rollback_allowed,
            ci_separated_caches,
            ci_job_token_scope_enabled,
            ci_push_repository_for_job_token_allowed,
            ci_allow_fork_pipelines_to_run_in_parent_project,
            ci_delete_pipelines_in_seconds,
            ci_id_token_sub_claim_components,
            runner_token_expiration_interval,
            environments_access_level,
            only_allow_merge_if_pipeline_succeeds,
            allow_merge_on_skipped_pipeline,
            resource_group_default_process_mode,
            merge_method,
            merge_pipelines_enabled,
            protect_merge_request_pipelines,
            remove_source_branch_after_merge,
        );
        if let Some(role) = &self.ci_restrict_pipeline_cancellation_role {
            settings.ci_restrict_pipeline_cancellation_role = Some(role.clone());
        }
        // Two names for one setting; the newer one, which says more, counts.
        // Source: `ProjectCiCdSetting#restrict_user_defined_variables=`.
        if let Some(restrict) = self.restrict_user_defined_variables {
            let role = &mut settings.ci_pipeline_variables_minimum_override_role;
            match (restrict, *role) {
                (true, Some(AccessLevel::Developer)) => *role = Some(AccessLevel::Maintainer),
                (false, _) => *role = Some(AccessLevel::Developer),
                _ => {}
            }
        }
        if let Some(role) = self.ci_pipeline_variables_minimum_override_role {
            settings.ci_pipeline_variables_minimum_override_role = role;
        }
        settings.restrict_user_defined_variables =
            settings.ci_pipeline_variables_minimum_override_role != Some(AccessLevel::Developer);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.build_timeout.is_some_and(|secs| !BUILD_TIMEOUT.contains(&secs)) {
            return Err(Error::field("build_timeout", "needs to be between 10 minutes and 1 month"));
        }
        if self.ci_default_git_depth.flatten().is_some_and(|depth| depth > MAX_GIT_DEPTH) {
            let complaint = format!("must be less than or equal to {MAX_GIT_DEPTH}");
            return Err(Error::field("ci_cd_settings.default_git_depth", complaint));
        }
        if self.ci_delete_pipelines_in_seconds.flatten().is_some_and(|secs| !DELETE_PIPELINES.contains(&secs))
        {
            let complaint = "must be between 1 day and 1 year";
            return Err(Error::field("ci_cd_settings.delete_pipelines_in_seconds", complaint));
        }
        if let Some(components) = &self.ci_id_token_sub_claim_components {
            let field = "ci_cd_settings.id_token_sub_claim_components";
            if components.first().is_none_or(|first| first != SUB_CLAIM_COMPONENTS[0]) {
                return Err(Error::field(field, "project_path must be the first element of the sub claim"));
            }
            let odd = components.iter().find(|it| !SUB_CLAIM_COMPONENTS.contains(&it.as_str()));
            if let Some(odd) = odd {
                return Err(Error::field(field, format!("{odd} is not an allowed sub claim component")));
            }
        }
        Ok(())
    }
}
