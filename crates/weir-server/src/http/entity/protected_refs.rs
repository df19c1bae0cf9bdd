//! Protected branches and tags.

use weir_api::AccessLevel;
use weir_api::branches::{ProtectedBranch, ProtectedRefAccess};
use weir_api::tags::ProtectedTag;
use weir_store::protected_refs as rows;

/// A protected branch.
pub fn branch(row: &rows::ProtectedBranch) -> ProtectedBranch {
    ProtectedBranch {
        id: row.id,
        name: row.name.clone(),
        push_access_levels: vec![access(row.id, row.push_access_level)],
        merge_access_levels: vec![access(row.id, row.merge_access_level)],
        allow_force_push: row.allow_force_push,
    }
}

/// A protected tag.
pub fn tag(row: &rows::ProtectedTag) -> ProtectedTag {
    ProtectedTag {
        name: row.name.clone(),
        create_access_levels: vec![access(row.id, row.create_access_level)],
    }
}

/// Each ref has one rule of each kind, which has the ref's number.
fn access(id: i64, level: AccessLevel) -> ProtectedRefAccess {
    ProtectedRefAccess {
        id,
        access_level: level,
        access_level_description: description(level).to_owned(),
        deploy_key_id: None,
        user_id: None,
        group_id: None,
    }
}

/// Source: `ProtectedRefAccess.human_access_levels`.
fn description(level: AccessLevel) -> &'static str {
    match level {
        AccessLevel::NoAccess => "No one",
        AccessLevel::Developer => "Developers + Maintainers",
        AccessLevel::Maintainer => "Maintainers",
        other => crate::app::members::human(other),
    }
}
