//! The instance itself.

use serde_json::{Value, json};
use weir_api::metadata::{Kas, Metadata};

use crate::config::Config;

/// The version of GitLab whose API this is. Clients choose by it what they send.
pub const GITLAB_VERSION: &str = "18.5.0";

/// What the server is. The revision names this program, since it was not built from a commit of GitLab's.
pub fn metadata() -> Metadata {
    Metadata {
        version: GITLAB_VERSION.to_owned(),
        revision: concat!("weir-", env!("CARGO_PKG_VERSION")).to_owned(),
        kas: Kas::default(),
        enterprise: false,
    }
}

/// The settings that mean something here. Sizes are in MB, as in GitLab.
pub fn settings(config: &Config) -> Value {
    const MB: u64 = 1 << 20;
    json!({
        "id": 1,
        "default_branch_name": "main",
        "default_ci_config_path": null,
        "default_group_visibility": "private",
        "default_project_visibility": "private",
        "default_project_creation": 2,
        "default_branch_protection": 2,
        "default_branch_protection_defaults": {
            "allowed_to_push": [{ "access_level": 40 }],
            "allow_force_push": false,
            "allowed_to_merge": [{ "access_level": 40 }],
        },
        "restricted_visibility_levels": [],
        "signup_enabled": false,
        "password_authentication_enabled_for_web": false,
        "password_authentication_enabled_for_git": false,
        "shared_runners_enabled": true,
        "allow_runner_registration_token": false,
        "auto_devops_enabled": false,
        "max_artifacts_size": config.max_artifact_size / MB,
        "ci_job_live_trace_enabled": true,
        "keep_latest_artifact": true,
        "require_personal_access_token_expiry": true,
        "import_sources": [],
        "gravatar_enabled": false,
        "container_registry_token_expire_delay": 5,
    })
}
