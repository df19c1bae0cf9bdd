//! The variables of a schedule.

use weir_api::VariableType;
use weir_api::id::PipelineScheduleId;
use weir_api::pipelines::PipelineVariable;
use weir_store::pipeline_schedules::{self, PipelineSchedule};
use weir_store::users::User;
use weir_store::variables::GivenVariable;

use super::{demand, demand_update, may_administer, row};
use crate::app::access::Access;
use crate::app::facts;
use crate::app::pipelines::may_set_variables;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Characters of a key.
const MAX_KEY: usize = 255;

fn entity(ctx: &Ctx, row: &GivenVariable) -> Result<PipelineVariable> {
    let variable = facts::given(ctx, row)?;
    Ok(PipelineVariable {
        variable_type: row.variable_type,
        key: variable.key,
        value: variable.value.unwrap_or_default(),
        raw: Some(row.raw),
    })
}

/// All variables of a schedule.
///
/// # Errors
/// 404; 403 for others than its owner and Maintainers.
pub async fn read_variables(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
) -> Result<Vec<PipelineVariable>> {
    let schedule = row(ctx, access, id).await?;
    demand(may_administer(access, user, &schedule))?;
    let rows = ctx.db.read(move |tx| pipeline_schedules::variables(tx, id)).await?;
    rows.iter().map(|row| entity(ctx, row)).collect()
}

/// One variable of a schedule.
///
/// # Errors
/// 404; 403 for others than its owner and Maintainers.
pub async fn variable(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    key: &str,
) -> Result<PipelineVariable> {
    let all = read_variables(ctx, access, user, id).await?;
    all.into_iter().find(|it| it.key == key).ok_or(Error::NotFound("Pipeline Schedule Variable"))
}

async fn demand_change(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
) -> Result<PipelineSchedule> {
    demand(may_set_variables(access))?;
    let schedule = row(ctx, access, id).await?;
    demand_update(ctx, access, user, &schedule).await?;
    Ok(schedule)
}

/// Adds a variable.
///
/// # Errors
/// 404; 403 for others than its owner and administrators; 400 for a key that is taken or none.
pub async fn add_variable(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    new: PipelineVariable,
) -> Result<PipelineVariable> {
    demand_change(ctx, access, user, id).await?;
    if new.key.chars().count() > MAX_KEY {
        return Err(Error::field("key", "is too long (maximum is 255 characters)"));
    }
    if !new.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::field("key", "can contain only letters, digits and '_'."));
    }
    let row = GivenVariable {
        key: new.key.clone(),
        value: ctx.keys.seal(facts::GIVEN, new.value.as_bytes())?,
        variable_type: new.variable_type,
        raw: false,
    };
    ctx.db
        .write(move |tx| {
            pipeline_schedules::insert_variable(tx, id, &row).map_err(|error| match error {
                weir_store::Error::Conflict { .. } => Error::field("key", "has already been taken"),
                other => other.into(),
            })
        })
        .await?;
    variable(ctx, access, user, id, &new.key).await
}

/// Changes a variable; what is not given stays.
///
/// # Errors
/// 404; 403 for others than its owner and administrators.
pub async fn change_variable(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    key: &str,
    (value, variable_type): (Option<String>, Option<VariableType>),
) -> Result<PipelineVariable> {
    demand_change(ctx, access, user, id).await?;
    let old = variable(ctx, access, user, id, key).await?;
    let sealed = ctx.keys.seal(facts::GIVEN, value.unwrap_or(old.value).as_bytes())?;
    let (name, variable_type) = (key.to_owned(), variable_type.unwrap_or(old.variable_type));
    ctx.db
        .write(move |tx| pipeline_schedules::update_variable(tx, id, &name, &sealed, variable_type))
        .await?;
    variable(ctx, access, user, id, key).await
}

/// Removes a variable; it is told once more.
///
/// # Errors
/// 404; 403 for others than its owner and Maintainers.
pub async fn remove_variable(
    ctx: &Ctx,
    access: &Access,
    user: &User,
    id: PipelineScheduleId,
    key: &str,
) -> Result<PipelineVariable> {
    demand(may_set_variables(access))?;
    let old = variable(ctx, access, user, id, key).await?;
    let name = key.to_owned();
    ctx.db.write(move |tx| pipeline_schedules::delete_variable(tx, id, &name)).await?;
    Ok(old)
}
