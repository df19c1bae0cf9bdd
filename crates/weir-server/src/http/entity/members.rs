//! Members.

use weir_api::members::Member;

use super::users;
use crate::app::members::View;
use crate::ctx::Ctx;

/// A member.
pub fn member(ctx: &Ctx, view: &View) -> Member {
    let row = &view.member;
    let user = users::basic(ctx, &row.user);
    Member {
        id: user.id,
        username: user.username,
        name: user.name,
        state: user.state,
        locked: user.locked,
        avatar_url: user.avatar_url,
        web_url: user.web_url,
        access_level: row.access_level,
        created_at: Some(row.created_at),
        created_by: view.created_by.as_ref().map(|creator| users::basic(ctx, creator)),
        expires_at: row.expires_on.as_deref().and_then(|day| day.parse().ok()),
        membership_state: "active".to_owned(),
    }
}
