//! Namespaces.

use weir_api::NamespaceKind;
use weir_api::namespaces::{Namespace, NamespaceBasic};
use weir_store::namespaces as rows;

use crate::app::namespaces::View;
use crate::ctx::Ctx;

/// A namespace as projects name it.
pub fn basic(ctx: &Ctx, namespace: &rows::Namespace) -> NamespaceBasic {
    NamespaceBasic {
        id: namespace.id,
        name: namespace.name.clone(),
        path: namespace.path.clone(),
        kind: namespace.kind,
        full_path: namespace.full_path.clone(),
        parent_id: namespace.parent_id,
        avatar_url: None,
        web_url: web_url(ctx, namespace),
    }
}

/// A namespace.
pub fn full(ctx: &Ctx, view: &View) -> Namespace {
    Namespace {
        basic: basic(ctx, &view.namespace),
        members_count_with_descendants: view.members,
        root_repository_size: None,
    }
}

/// The page of a namespace.
pub fn web_url(ctx: &Ctx, namespace: &rows::Namespace) -> String {
    match namespace.kind {
        NamespaceKind::User => ctx.url(&format!("/{}", namespace.full_path)),
        NamespaceKind::Group => ctx.url(&format!("/groups/{}", namespace.full_path)),
    }
}
