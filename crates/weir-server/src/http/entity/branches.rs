//! Branches.

use weir_api::AccessLevel;
use weir_api::branches::Branch;
use weir_store::projects::Project;

use crate::app::branches::BranchDetails;
use crate::app::commits;
use crate::ctx::Ctx;

/// A branch.
pub fn full(ctx: &Ctx, project: &Project, found: &BranchDetails) -> Branch {
    let name = found.branch.name.to_string();
    let developers = |level: AccessLevel| level == AccessLevel::Developer;
    Branch {
        commit: commits::entity(ctx, project, &found.branch.commit),
        merged: found.merged,
        protected: found.protection.is_some(),
        developers_can_push: found.protection.is_some_and(|it| developers(it.push)),
        developers_can_merge: found.protection.is_some_and(|it| developers(it.merge)),
        can_push: found.can_push,
        default: found.default,
        web_url: ctx.url(&format!("/{}/-/tree/{name}", project.full_path)),
        name,
    }
}
