//! Users.

use weir_api::Word;
use weir_api::users::{CurrentUser, User, UserBasic, UserProfile};
use weir_store::users as rows;

use crate::ctx::Ctx;

/// The short form, as others see the user.
pub fn basic(ctx: &Ctx, user: &rows::User) -> UserBasic {
    UserBasic {
        id: user.id,
        username: user.username.clone(),
        public_email: user.public_email.clone(),
        name: user.name.clone(),
        state: Some(Word::Known(user.state)),
        locked: false,
        avatar_url: None,
        web_url: ctx.url(&format!("/{}", user.username)),
    }
}

/// The long form, as others see the user.
pub fn full(ctx: &Ctx, user: &rows::User) -> User {
    let profile = UserProfile { created_at: Some(user.created_at), bot: user.bot, ..UserProfile::default() };
    User { basic: basic(ctx, user), profile }
}

/// The user, as they see themselves.
pub fn current(ctx: &Ctx, user: &rows::User) -> CurrentUser {
    let User { basic, profile } = full(ctx, user);
    CurrentUser {
        basic,
        profile,
        last_sign_in_at: None,
        confirmed_at: Some(user.created_at),
        last_activity_on: user.last_activity_at.and_then(|at| at.date().parse().ok()),
        email: user.email.clone(),
        theme_id: Some(1),
        color_scheme_id: Some(1),
        projects_limit: Some(100_000),
        current_sign_in_at: None,
        identities: Vec::new(),
        can_create_group: true,
        can_create_project: true,
        two_factor_enabled: false,
        external: false,
        private_profile: false,
        commit_email: Some(user.email.clone()),
        is_admin: user.admin.then_some(true),
        namespace_id: None,
        extra: weir_api::Extra::default(),
    }
}
