//! Users, personal access tokens, and the server itself.

use reqwest::Method;
use weir_api::id::{TokenId, UserId};
use weir_api::metadata::Metadata;
use weir_api::tokens::PersonalAccessToken;
use weir_api::users::{CurrentUser, User, UserBasic};
use weir_api::{Date, TokenScope};

use crate::action::{Action, List, list, request};
use crate::client::Client;

list! {
    /// Users: `GET /users`.
    ListUsers<UserBasic> {
        /// With this login name.
        username("username"): &str,
        /// Whose name has this text.
        search("search"): &str,
    }

    /// Personal access tokens: `GET /personal_access_tokens`.
    ListPersonalAccessTokens<PersonalAccessToken> {
        /// Of this user.
        user("user_id"): UserId,
        /// Which are revoked, or not.
        revoked("revoked"): bool,
        /// `active` or `inactive`.
        state("state"): &str,
    }
}

request! {
    /// A new user: `POST /users`; for administrators.
    CreateUser(Action<User>) -> User {
        /// The password.
        password("password"): &str,
        /// Makes a password that nobody knows.
        force_random_password("force_random_password"): bool,
        /// Whether the user is an administrator.
        admin("admin"): bool,
        /// Whether the address needs no confirmation.
        skip_confirmation("skip_confirmation"): bool,
    }

    /// A new token: `POST /users/:id/personal_access_tokens`; for administrators.
    CreatePersonalAccessToken(Action<PersonalAccessToken>) -> PersonalAccessToken {
        /// When it ends.
        expires_at("expires_at"): Date,
        /// What it is for.
        description("description"): &str,
    }

    /// A token in place of another; the other ends.
    RotatePersonalAccessToken(Action<PersonalAccessToken>) -> PersonalAccessToken {
        /// When the new one ends.
        expires_at("expires_at"): Date,
    }
}

impl Client {
    /// The version and edition of the server.
    pub fn metadata(&self) -> Action<Metadata> {
        Action::json(self, Method::GET, "metadata")
    }

    /// The version of the server, also of old ones.
    pub fn version(&self) -> Action<Metadata> {
        Action::json(self, Method::GET, "version")
    }

    /// The user whose token the client has.
    pub fn current_user(&self) -> Action<CurrentUser> {
        Action::json(self, Method::GET, "user")
    }

    /// Users.
    pub fn users(&self) -> ListUsers {
        ListUsers(List::new(self, "users"))
    }

    /// One user.
    pub fn user(&self, id: UserId) -> Action<User> {
        Action::json(self, Method::GET, format!("users/{id}"))
    }

    /// Makes a user; for administrators.
    pub fn create_user(&self, username: &str, name: &str, email: &str) -> CreateUser {
        let action = Action::json(self, Method::POST, "users").param("username", username);
        CreateUser(action.param("name", name).param("email", email))
    }

    /// Deletes a user; for administrators.
    pub fn delete_user(&self, id: UserId) -> Action<()> {
        Action::done(self, Method::DELETE, format!("users/{id}"))
    }

    /// Personal access tokens that the caller sees.
    pub fn personal_access_tokens(&self) -> ListPersonalAccessTokens {
        ListPersonalAccessTokens(List::new(self, "personal_access_tokens"))
    }

    /// The token that the client has.
    pub fn current_token(&self) -> Action<PersonalAccessToken> {
        Action::json(self, Method::GET, "personal_access_tokens/self")
    }

    /// Makes a token for a user; for administrators. Only this answer has the token itself.
    pub fn create_personal_access_token(
        &self,
        user: UserId,
        name: &str,
        scopes: &[TokenScope],
    ) -> CreatePersonalAccessToken {
        let path = format!("users/{user}/personal_access_tokens");
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let action = Action::json(self, Method::POST, path).param("name", name).param("scopes", scopes);
        CreatePersonalAccessToken(action)
    }

    /// Replaces a token. Only this answer has the new one.
    pub fn rotate_personal_access_token(&self, id: TokenId) -> RotatePersonalAccessToken {
        let path = format!("personal_access_tokens/{id}/rotate");
        RotatePersonalAccessToken(Action::json(self, Method::POST, path))
    }

    /// Replaces the token that the client has, which then no longer works.
    pub fn rotate_current_token(&self) -> RotatePersonalAccessToken {
        RotatePersonalAccessToken(Action::json(self, Method::POST, "personal_access_tokens/self/rotate"))
    }

    /// Ends a token.
    pub fn revoke_personal_access_token(&self, id: TokenId) -> Action<()> {
        Action::done(self, Method::DELETE, format!("personal_access_tokens/{id}"))
    }
}
