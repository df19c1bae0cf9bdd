//! Groups, namespaces and members.

use reqwest::Method;
use weir_api::groups::Group;
use weir_api::id::{GroupId, UserId};
use weir_api::members::Member;
use weir_api::namespaces::{Namespace, NamespaceExistence};
use weir_api::projects::Project;
use weir_api::{AccessLevel, Date, Visibility};

use crate::action::{Action, List, list, request};
use crate::client::Client;
use crate::path::{GroupRef, segment};
use crate::projects::ProjectHandle;

list! {
    /// Groups that the caller sees: `GET /groups`.
    ListGroups<Group> {
        /// Whose name or path has this text.
        search("search"): &str,
        /// Which the caller owns.
        owned("owned"): bool,
        /// Which are in no other.
        top_level_only("top_level_only"): bool,
    }

    /// Members of a project or group.
    ListMembers<Member> {
        /// Whose name has this text.
        query("query"): &str,
    }
}

request! {
    /// A new group: `POST /groups`.
    CreateGroup(Action<Group>) -> Group {
        /// The group around it.
        parent("parent_id"): GroupId,
        /// Who sees it.
        visibility("visibility"): Visibility,
        /// A text for people.
        description("description"): &str,
    }

    /// Changes of a group: `PUT /groups/:id`.
    UpdateGroup(Action<Group>) -> Group {
        /// The name.
        name("name"): &str,
        /// The last part of the path.
        path("path"): &str,
        /// Who sees it.
        visibility("visibility"): Visibility,
        /// A text for people.
        description("description"): &str,
    }

    /// A new member, or a change of one.
    SetMember(Action<Member>) -> Member {
        /// Until when.
        expires_at("expires_at"): Date,
    }
}

impl Client {
    /// Groups that the caller sees.
    pub fn groups(&self) -> ListGroups {
        ListGroups(List::new(self, "groups"))
    }

    /// Makes a group.
    pub fn create_group(&self, name: &str, path: &str) -> CreateGroup {
        CreateGroup(Action::json(self, Method::POST, "groups").param("name", name).param("path", path))
    }

    /// A group by its number or whole path. Nothing is sent yet.
    pub fn group(&self, group: impl Into<GroupRef>) -> GroupHandle {
        GroupHandle { client: self.clone(), path: format!("groups/{}", group.into().0) }
    }

    /// Namespaces that the caller sees.
    pub fn namespaces(&self) -> List<Namespace> {
        List::new(self, "namespaces")
    }

    /// A namespace by its number or whole path.
    pub fn namespace(&self, namespace: impl Into<GroupRef>) -> Action<Namespace> {
        Action::json(self, Method::GET, format!("namespaces/{}", namespace.into().0))
    }

    /// Whether a path is taken.
    pub fn namespace_exists(&self, path: &str) -> Action<NamespaceExistence> {
        Action::json(self, Method::GET, format!("namespaces/{}/exists", segment(path)))
    }
}

/// A group and what it has.
#[derive(Debug, Clone)]
pub struct GroupHandle {
    pub(crate) client: Client,
    pub(crate) path: String,
}

impl GroupHandle {
    pub(crate) fn under(&self, rest: impl std::fmt::Display) -> String {
        format!("{}/{rest}", self.path)
    }

    /// The group.
    pub fn get(&self) -> Action<Group> {
        Action::json(&self.client, Method::GET, self.path.as_str())
    }

    /// Changes it.
    pub fn update(&self) -> UpdateGroup {
        UpdateGroup(Action::json(&self.client, Method::PUT, self.path.as_str()))
    }

    /// Deletes it with all that it has.
    pub fn delete(&self) -> Action<()> {
        Action::done(&self.client, Method::DELETE, self.path.as_str())
    }

    /// Its projects.
    pub fn projects(&self) -> List<Project> {
        List::new(&self.client, self.under("projects"))
    }

    /// The groups in it.
    pub fn subgroups(&self) -> List<Group> {
        List::new(&self.client, self.under("subgroups"))
    }
}

macro_rules! members {
    ($($handle:ident)*) => {$(
        impl $handle {
            /// Its own members.
            pub fn members(&self) -> ListMembers {
                ListMembers(List::new(&self.client, self.under("members")))
            }

            /// Its own members and those by the groups around it.
            pub fn all_members(&self) -> ListMembers {
                ListMembers(List::new(&self.client, self.under("members/all")))
            }

            /// One of its own members.
            pub fn member(&self, user: UserId) -> Action<Member> {
                Action::json(&self.client, Method::GET, self.under(format_args!("members/{user}")))
            }

            /// Adds a member.
            pub fn add_member(&self, user: UserId, level: AccessLevel) -> SetMember {
                let action = Action::json(&self.client, Method::POST, self.under("members"));
                SetMember(action.param("user_id", user.0).param("access_level", level.number()))
            }

            /// Gives a member another level.
            pub fn update_member(&self, user: UserId, level: AccessLevel) -> SetMember {
                let path = self.under(format_args!("members/{user}"));
                let action = Action::json(&self.client, Method::PUT, path);
                SetMember(action.param("access_level", level.number()))
            }

            /// Removes a member.
            pub fn remove_member(&self, user: UserId) -> Action<()> {
                Action::done(&self.client, Method::DELETE, self.under(format_args!("members/{user}")))
            }
        }
    )*};
}

members! { ProjectHandle GroupHandle }
