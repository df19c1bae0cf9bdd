//! Webhooks.

use weir_api::hooks::{HookEvent, HookLog, ProjectHook};
use weir_store::webhooks::Attempt;

use crate::app::webhooks::{self, HookDetails};
use crate::ctx::Ctx;

/// A hook; its token is never shown.
pub fn full(ctx: &Ctx, details: &HookDetails) -> ProjectHook {
    let hook = &details.hook;
    ProjectHook {
        id: hook.id,
        url: details.url.clone(),
        name: hook.name.clone(),
        description: hook.description.clone(),
        created_at: hook.created_at,
        events: HookEvent::ALL.iter().map(|event| (*event, hook.events.contains(event))).collect(),
        repository_update_events: false,
        enable_ssl_verification: hook.ssl_verification,
        alert_status: webhooks::alert_status(hook, ctx.now()),
        disabled_until: hook.disabled_until,
        url_variables: Vec::new(),
        push_events_branch_filter: hook.branch_filter.clone(),
        branch_filter_strategy: hook.branch_filter_strategy.clone(),
        custom_webhook_template: None,
        custom_headers: Vec::new(),
        project_id: hook.project_id,
    }
}

/// An attempt to tell a hook something.
pub fn log(attempt: &Attempt) -> HookLog {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
    HookLog {
        id: attempt.id,
        url: attempt.url.clone(),
        trigger: attempt.kind.clone(),
        request_headers: json(&attempt.request_headers),
        request_data: json(&attempt.request_data),
        response_headers: json(&attempt.response_headers),
        response_body: attempt.response_body.clone(),
        execution_duration: attempt.duration,
        response_status: attempt.response_status.clone(),
    }
}
