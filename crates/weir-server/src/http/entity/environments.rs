//! Environments and deployments.

use weir_api::environments::{Deployment, Environment, EnvironmentBasic};
use weir_api::{Extra, Word};
use weir_store::environments as rows;

use super::{jobs, projects, users};
use crate::app::deployments::DeploymentDetails;
use crate::app::projects::View;
use crate::ctx::Ctx;

/// An environment as part of a deployment.
pub fn basic(row: &rows::Environment) -> EnvironmentBasic {
    EnvironmentBasic {
        id: row.id,
        name: row.name.clone(),
        slug: row.slug.clone(),
        external_url: row.external_url.clone(),
        created_at: Some(row.created_at),
        updated_at: Some(row.updated_at),
    }
}

/// An environment with its project, as lists have it.
pub fn listed(ctx: &Ctx, project: &View, row: &rows::Environment) -> Environment {
    Environment { project: Some(projects::basic(ctx, project)), ..bare(row) }
}

/// An environment with what was last deployed to it.
pub fn single(ctx: &Ctx, row: &rows::Environment, last: Option<&DeploymentDetails>) -> Environment {
    let last = last.map(|last| Deployment { environment: None, ..deployment(ctx, last) });
    Environment { last_deployment: Some(last), ..bare(row) }
}

fn bare(row: &rows::Environment) -> Environment {
    Environment {
        basic: basic(row),
        tier: Word::Known(row.tier),
        project: None,
        last_deployment: None,
        state: Word::Known(row.state),
        auto_stop_at: row.auto_stop_at,
        description: row.description.clone(),
        auto_stop_setting: Some(Word::Known(row.auto_stop_setting)),
        extra: Extra::default(),
    }
}

/// A deployment.
pub fn deployment(ctx: &Ctx, details: &DeploymentDetails) -> Deployment {
    let row = &details.deployment;
    Deployment {
        id: row.id,
        iid: row.iid,
        ref_name: row.ref_name.clone(),
        sha: row.sha.clone(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        user: details.user.as_ref().map(|user| users::basic(ctx, user)),
        environment: Some(basic(&details.environment)),
        deployable: details.job.as_ref().map(|job| Box::new(jobs::full(ctx, job))),
        status: Word::Known(row.status),
        extra: Extra::default(),
    }
}
