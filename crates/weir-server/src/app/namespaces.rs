//! Namespaces: what projects live in.

use weir_api::id::NamespaceId;
use weir_api::{AccessLevel, NamespaceKind, Timestamp};
use weir_store::members::{self, Source};
use weir_store::namespaces::{self, Filter, Namespace};
use weir_store::users::User;
use weir_store::{Tx, users};

use crate::app::access;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// How many paths are tried in search of a free one.
const MAX_SUGGESTIONS: u32 = 100;

/// A namespace with what its entity tells besides.
#[derive(Debug, Clone)]
pub struct View {
    /// The namespace.
    pub namespace: Namespace,
    /// How many members it has with all below it; for those who manage it.
    pub members: Option<i64>,
}

/// One page of the namespaces in which the caller has a part, and how many there are.
pub async fn list(ctx: &Ctx, caller: &User, filter: Filter, page: Page) -> Result<(Vec<View>, u64)> {
    let (caller, now) = (caller.clone(), ctx.now());
    ctx.db
        .read(move |tx| {
            let found = namespaces::list(tx, &filter, page.rows())?;
            let count = namespaces::count(tx, &filter)?.unsigned_abs();
            let views = found.into_iter().map(|it| view(tx, &caller, it, now)).collect::<Result<_>>()?;
            Ok((views, count))
        })
        .await
}

/// A namespace by id or full path, if the caller has a part in it.
///
/// # Errors
/// 404.
pub async fn find(ctx: &Ctx, caller: &User, id_or_path: &str) -> Result<View> {
    let (caller, now, name) = (caller.clone(), ctx.now(), id_or_path.to_owned());
    ctx.db
        .read(move |tx| {
            let found = match name.parse::<NamespaceId>() {
                Ok(id) => namespaces::find(tx, id)?,
                Err(_) => namespaces::find_by_path(tx, &name)?,
            };
            let namespace = found.ok_or(Error::NotFound("Namespace"))?;
            let level = access::level(tx, Some(&caller), Source::Group(namespace.id), now)?;
            if level < AccessLevel::Guest {
                return Err(Error::NotFound("Namespace"));
            }
            view(tx, &caller, namespace, now)
        })
        .await
}

/// Whether a path is taken right below a namespace, or at the top; and a path that is free if it is.
pub async fn exists(ctx: &Ctx, path: &str, parent: Option<NamespaceId>) -> Result<(bool, Option<String>)> {
    let path = path.to_owned();
    ctx.db
        .read(move |tx| {
            let above = match parent {
                None => String::new(),
                Some(id) => match namespaces::find(tx, id)? {
                    Some(parent) => format!("{}/", parent.full_path),
                    None => return Ok((false, None)),
                },
            };
            let mut taken = |path: &str| is_taken(tx, &format!("{above}{path}"));
            if !taken(&path)? {
                return Ok((false, None));
            }
            for number in 1..=MAX_SUGGESTIONS {
                let other = format!("{path}{number}");
                if !taken(&other)? {
                    return Ok((true, Some(other)));
                }
            }
            Ok((true, None))
        })
        .await
}

fn is_taken(tx: &mut Tx<'_>, full_path: &str) -> Result<bool> {
    let by_user = !full_path.contains('/') && users::find_by_username(tx, full_path)?.is_some();
    Ok(by_user || namespaces::find_by_path(tx, full_path)?.is_some())
}

fn view(tx: &mut Tx<'_>, caller: &User, namespace: Namespace, now: Timestamp) -> Result<View> {
    let level = access::level(tx, Some(caller), Source::Group(namespace.id), now)?;
    let manages = namespace.kind == NamespaceKind::Group && level >= AccessLevel::Owner;
    let members = manages.then(|| members::count_with_descendants(tx, namespace.id)).transpose()?;
    Ok(View { namespace, members })
}
