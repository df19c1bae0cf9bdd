//! Who may do what, as words and numbers on the wire: access levels, visibility, token scopes.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::status::{UnknownWord, vocabulary};

/// A member's access level, ordered from least to most. On the wire it is a number.
/// Source: `lib/gitlab/access.rb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessLevel {
    /// 0: no access.
    NoAccess,
    /// 5: may see that it exists.
    Minimal,
    /// 10
    Guest,
    /// 15
    Planner,
    /// 20
    Reporter,
    /// 30
    Developer,
    /// 40
    Maintainer,
    /// 50
    Owner,
    /// 60: nobody but administrators.
    Admin,
}

impl AccessLevel {
    /// Every level, least first.
    pub const ALL: &'static [Self] = &[
        Self::NoAccess,
        Self::Minimal,
        Self::Guest,
        Self::Planner,
        Self::Reporter,
        Self::Developer,
        Self::Maintainer,
        Self::Owner,
        Self::Admin,
    ];

    /// The number on the wire.
    pub const fn number(self) -> i64 {
        match self {
            Self::NoAccess => 0,
            Self::Minimal => 5,
            Self::Guest => 10,
            Self::Planner => 15,
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
            Self::Owner => 50,
            Self::Admin => 60,
        }
    }

    /// The level of a number, if there is one.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.number() == number)
    }
}

impl std::str::FromStr for AccessLevel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = text.parse().ok().and_then(Self::from_number);
        known.ok_or_else(|| UnknownWord::new("access level", text))
    }
}

impl Serialize for AccessLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.number())
    }
}

impl<'de> Deserialize<'de> for AccessLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| D::Error::custom(format!("{number} is no access level")))
    }
}

vocabulary! {
    /// Who sees a project or group. Source: `lib/gitlab/visibility_level.rb`.
    Visibility, "visibility" {
        /// Members only.
        Private = "private",
        /// Everyone who is signed in.
        Internal = "internal",
        /// Everyone.
        Public = "public",
    }
}

vocabulary! {
    /// What a token may be used for. Source: `lib/gitlab/auth.rb`.
    TokenScope, "token scope" {
        /// Everything.
        Api = "api",
        /// Reading everything.
        ReadApi = "read_api",
        /// Reading users.
        ReadUser = "read_user",
        /// Reading repositories over Git and raw files.
        ReadRepository = "read_repository",
        /// Reading and writing repositories over Git.
        WriteRepository = "write_repository",
        /// Creating runners.
        CreateRunner = "create_runner",
        /// Changing and deleting runners.
        ManageRunner = "manage_runner",
        /// Acting as another user.
        Sudo = "sudo",
        /// Administrator's actions.
        AdminMode = "admin_mode",
        /// Renewing the token itself.
        SelfRotate = "self_rotate",
        /// Talking to Kubernetes through an agent.
        K8sProxy = "k8s_proxy",
        /// Reading the container registry.
        ReadRegistry = "read_registry",
        /// Writing the container registry.
        WriteRegistry = "write_registry",
        /// AI features.
        AiFeatures = "ai_features",
    }
}
