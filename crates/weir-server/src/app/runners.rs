//! Runners by their own tokens, and the one that comes with the server.

use weir_api::id::RunnerId;
use weir_api::runner::{RunnerRegistrationDetails, VerifyRequest, VersionInfo};
use weir_api::{RunnerAccessLevel, RunnerType, Secret, Timestamp};
use weir_store::runners::{self, ManagerInfo, NewRunner, Runner};
use weir_store::secrets::TokenDigest;
use weir_store::{TokenKind, Tx};

use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// The runner of a token.
pub fn authenticate(tx: &mut Tx<'_>, token: &TokenDigest, now: Timestamp) -> Result<Runner> {
    let runner = runners::find_by_digest(tx, token)?.ok_or(Error::Forbidden(None))?;
    if runner.token_expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(Error::Forbidden(None));
    }
    Ok(runner)
}

/// What a runner's process says of itself, as a row.
pub fn manager_info(info: &VersionInfo) -> ManagerInfo {
    ManagerInfo {
        version: info.version.clone(),
        revision: info.revision.clone(),
        platform: info.platform.clone(),
        architecture: info.architecture.clone(),
        executor: info.executor.clone(),
        ip_address: None,
        features: serde_json::to_string(&info.features).unwrap_or_default(),
    }
}

/// `POST /runners/verify`: the token is good; its process is remembered.
pub async fn verify(ctx: &Ctx, request: VerifyRequest) -> Result<RunnerRegistrationDetails> {
    let (digest, now) = (TokenDigest::of(request.token.expose()), ctx.now());
    let info = request.info.unwrap_or_default();
    let system_id = request.system_id.filter(|id| !id.is_empty());
    let runner = ctx
        .db
        .write(move |tx| {
            let runner = authenticate(tx, &digest, now)?;
            if let Some(system_id) = &system_id {
                runners::manager_contacted(tx, runner.id, system_id, &manager_info(&info), now)?;
            }
            runners::contacted(tx, runner.id, now)?;
            Ok::<_, Error>(runner)
        })
        .await?;
    Ok(RunnerRegistrationDetails {
        id: runner.id,
        token: request.token,
        token_expires_at: runner.token_expires_at,
    })
}

/// `DELETE /runners`: the runner goes with its token.
pub async fn unregister(ctx: &Ctx, token: &Secret) -> Result<()> {
    let (digest, now) = (TokenDigest::of(token.expose()), ctx.now());
    ctx.db
        .write(move |tx| {
            let runner = authenticate(tx, &digest, now)?;
            runners::delete(tx, runner.id)?;
            Ok(())
        })
        .await
}

/// `DELETE /runners/managers`: one process of the runner goes.
pub async fn unregister_manager(ctx: &Ctx, token: &Secret, system_id: String) -> Result<()> {
    let (digest, now) = (TokenDigest::of(token.expose()), ctx.now());
    ctx.db
        .write(move |tx| {
            let runner = authenticate(tx, &digest, now)?;
            if runners::delete_manager(tx, runner.id, &system_id)? {
                Ok(())
            } else {
                Err(Error::NotFound("Runner manager not found"))
            }
        })
        .await
}

/// Makes sure of the instance runner that comes with this process, and gives it a new token: only digests are
/// kept, so nobody knows the last one. Which one it is stands in the data folder, for each replica has its own.
///
/// Jobs that it had when the process died will never be finished by anybody, so they fail.
pub async fn embed(ctx: &Ctx) -> Result<Secret> {
    let token = Secret::from(TokenKind::Runner.generate()?.into_exposed());
    let (digest, now) = (TokenDigest::of(token.expose()), ctx.now());
    let file = ctx.config.data.join("runner");
    let known: Option<RunnerId> =
        std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let id = ctx
        .db
        .write(move |tx| -> Result<_> {
            if let Some(runner) = known.map(|id| runners::find(tx, id)).transpose()?.flatten() {
                runners::set_token(tx, runner.id, &digest, None)?;
                return Ok(runner.id);
            }
            let new = NewRunner {
                runner_type: RunnerType::Instance,
                digest,
                group_id: None,
                project_id: None,
                description: Some("The runner of this server".to_owned()),
                maintenance_note: None,
                tags: Vec::new(),
                run_untagged: true,
                locked: false,
                paused: false,
                access_level: RunnerAccessLevel::NotProtected,
                maximum_timeout: None,
                token_expires_at: None,
                created_by: None,
            };
            Ok(runners::insert(tx, &new, now)?.id)
        })
        .await?;
    if known != Some(id) {
        std::fs::write(&file, id.to_string())
            .map_err(|error| Error::internal(format!("cannot write {}: {error}", file.display())))?;
    }
    super::overdue::fail_jobs_of(ctx, id).await?;
    Ok(token)
}
