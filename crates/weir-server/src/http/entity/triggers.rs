//! Trigger tokens.

use weir_api::triggers::Trigger;

use super::users;
use crate::app::triggers::TriggerDetails;
use crate::ctx::Ctx;

/// The whole.
pub fn full(ctx: &Ctx, details: &TriggerDetails) -> Trigger {
    let trigger = &details.trigger;
    Trigger {
        id: trigger.id.0,
        token: details.token.clone(),
        description: trigger.description.clone(),
        created_at: Some(trigger.created_at),
        updated_at: Some(trigger.updated_at),
        last_used: trigger.last_used_at,
        expires_at: trigger.expires_at,
        owner: details.owner.as_ref().map(|user| users::basic(ctx, user)),
    }
}
