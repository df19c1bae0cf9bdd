//! Verification and removal of runners by their own tokens.

use axum::response::Response;
use weir_api::runner::{RunnerTokenRequest, VerifyRequest};

use crate::app::runners;
use crate::error::{Error, Result};
use crate::http::request::RunnerCall;
use crate::http::respond;

/// `POST /runners/verify`
pub async fn verify(call: RunnerCall) -> Result<Response> {
    let request: VerifyRequest = call.params.typed()?;
    Ok(respond::ok(runners::verify(&call.ctx, request).await?))
}

/// `DELETE /runners`
pub async fn unregister(call: RunnerCall) -> Result<Response> {
    let request: RunnerTokenRequest = call.params.typed()?;
    runners::unregister(&call.ctx, &request.token).await?;
    Ok(respond::no_content())
}

/// `DELETE /runners/managers`
pub async fn unregister_manager(call: RunnerCall) -> Result<Response> {
    let request: RunnerTokenRequest = call.params.typed()?;
    let system_id = request.system_id.ok_or_else(|| Error::parameter("system_id is missing"))?;
    if system_id.trim().is_empty() {
        return Err(Error::parameter("system_id is empty"));
    }
    runners::unregister_manager(&call.ctx, &request.token, system_id).await?;
    Ok(respond::no_content())
}
