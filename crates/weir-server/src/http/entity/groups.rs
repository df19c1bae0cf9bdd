//! Groups.

use serde_json::json;
use weir_api::Extra;
use weir_api::groups::{BasicGroupDetails, Group};
use weir_api::id::GroupId;
use weir_store::namespaces::Namespace;

use super::namespaces::web_url;
use crate::ctx::Ctx;

/// A group. Groups share their ids with namespaces.
pub fn group(ctx: &Ctx, group: &Namespace) -> Group {
    let runners = if group.shared_runners_enabled { "enabled" } else { "disabled_and_overridable" };
    Group {
        basic: BasicGroupDetails {
            id: GroupId(group.id.0),
            web_url: web_url(ctx, group),
            name: group.name.clone(),
        },
        path: group.path.clone(),
        description: group.description.clone(),
        visibility: group.visibility,
        share_with_group_lock: false,
        subgroup_creation_level: Some("maintainer".to_owned()),
        project_creation_level: Some("developer".to_owned()),
        shared_runners_setting: Some(runners.to_owned()),
        default_branch: None,
        avatar_url: None,
        full_name: group.full_name.clone(),
        full_path: group.full_path.clone(),
        created_at: Some(group.created_at),
        parent_id: group.parent_id.map(|id| GroupId(id.0)),
        runners_token: None,
        extra: constants(),
    }
}

/// What is the same for every group here.
fn constants() -> Extra {
    let constants = json!({
        "require_two_factor_authentication": false,
        "two_factor_grace_period": 48,
        "auto_devops_enabled": false,
        "emails_disabled": false,
        "emails_enabled": true,
        "mentions_disabled": false,
        "lfs_enabled": false,
        "request_access_enabled": false,
        "default_branch_protection": 2,
        "ldap_cn": null,
        "ldap_access": null,
    });
    match constants {
        serde_json::Value::Object(map) => map,
        _ => Extra::default(),
    }
}
