//! The first rows of an instance: `root`, its namespace, its token.

use weir_api::id::ProjectId;
use weir_api::{AccessLevel, Secret, TokenScope};
use weir_git::BranchName;
use weir_store::protected_refs::ProtectedBranch;
use weir_store::tokens::NewToken;
use weir_store::users::NewUser;
use weir_store::{TokenDigest, TokenKind};
use weir_store::{namespaces, projects, protected_refs, tokens, users};

use crate::ctx::Ctx;
use crate::error::Result;

/// Makes `root` and a token on the first start.
///
/// Returns the token if this call made it. With [`crate::Config::root_token`] that text becomes the token; it is
/// made sure of at every start, so that it can be changed there.
pub async fn bootstrap(ctx: &Ctx) -> Result<Option<Secret>> {
    let given = ctx.config.root_token.clone();
    let token = match &given {
        Some(token) => Secret::from(token.as_str()),
        None => Secret::from(TokenKind::PersonalAccess.generate()?.into_exposed()),
    };
    let (digest, now) = (TokenDigest::of(token.expose()), ctx.now());
    let wanted = given.is_some();
    let made = ctx
        .db
        .write(move |tx| -> Result<bool> {
            let root = match users::find_by_username(tx, "root")? {
                Some(root) if !wanted || tokens::find_by_digest(tx, &digest)?.is_some() => {
                    let _ = root;
                    return Ok(false);
                }
                Some(root) => root,
                None => {
                    let root = NewUser {
                        username: "root".to_owned(),
                        name: "Administrator".to_owned(),
                        email: "admin@example.com".to_owned(),
                        admin: true,
                        bot: false,
                    };
                    let root = users::insert(tx, &root, now)?;
                    namespaces::insert_user(tx, &root, now)?;
                    root
                }
            };
            let token = NewToken {
                user_id: root.id,
                name: "First token".to_owned(),
                description: None,
                digest,
                scopes: TokenScope::ALL.to_vec(),
                expires_on: None,
            };
            tokens::insert(tx, &token, now)?;
            Ok(true)
        })
        .await?;
    Ok(made.then_some(token))
}

/// Maintainers push to it and merge into it; nobody rewrites it.
/// Source: `lib/gitlab/access/branch_protection.rb`, full protection.
pub fn protection_of_default(name: &str) -> ProtectedBranch {
    ProtectedBranch {
        id: 0,
        name: name.to_owned(),
        push_access_level: AccessLevel::Maintainer,
        merge_access_level: AccessLevel::Maintainer,
        allow_force_push: false,
    }
}

/// A project without a default branch takes the first branch pushed, and protects it.
/// Source: `app/services/git/branch_hooks_service.rb`, `app/services/projects/protect_default_branch_service.rb`.
pub async fn adopt_default_branch(ctx: &Ctx, id: ProjectId, branch: BranchName) -> Result<()> {
    let found = ctx.db.read(move |tx| projects::find(tx, id)).await?;
    let Some(project) = found.filter(|project| project.default_branch.is_none()) else { return Ok(()) };
    let (now, name) = (ctx.now(), branch.to_string());
    ctx.db
        .write(move |tx| {
            let mut project = project.clone();
            project.default_branch = Some(name.clone());
            projects::update(tx, &project, now)?;
            if protected_refs::branches(tx, id)?.is_empty() {
                protected_refs::insert_branch(tx, id, &protection_of_default(&name))?;
            }
            Ok::<_, weir_store::Error>(())
        })
        .await?;
    ctx.repositories.repository(id.0).set_default_branch(&branch).await?;
    Ok(())
}
