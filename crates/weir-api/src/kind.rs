//! The kinds and modes of users, namespaces, projects, variables and runners.

use serde::{Deserialize, Serialize};

use crate::status::vocabulary;

vocabulary! {
    /// Whether a user may sign in. Source: `app/models/user.rb`.
    UserState, "user state" {
        /// Yes.
        Active = "active",
        /// Not any more: an administrator said so.
        Blocked = "blocked",
        /// Not for now: unused for long.
        Deactivated = "deactivated",
        /// Not any more, and hidden.
        Banned = "banned",
    }
}

vocabulary! {
    /// What a namespace belongs to.
    NamespaceKind, "kind of namespace" {
        /// One user.
        User = "user",
        /// The members of a group.
        Group = "group",
    }
}

vocabulary! {
    /// Who may use a feature of a project. Source: `app/models/concerns/featurable.rb`.
    FeatureAccess, "feature access level" {
        /// Nobody.
        Disabled = "disabled",
        /// Members.
        Private = "private",
        /// Whoever sees the project.
        Enabled = "enabled",
    }
}

vocabulary! {
    /// How a variable reaches a job.
    #[derive(Default)]
    VariableType, "variable type" {
        /// As an environment variable.
        #[default]
        EnvVar = "env_var",
        /// As a file whose path is in an environment variable.
        File = "file",
    }
}

vocabulary! {
    /// Whom a runner serves. Source: `app/models/ci/runner.rb`.
    RunnerType, "runner type" {
        /// Every project that allows it.
        Instance = "instance_type",
        /// The projects in and below a group.
        Group = "group_type",
        /// The projects that it is assigned to.
        Project = "project_type",
    }
}

vocabulary! {
    /// Which refs a runner serves.
    #[derive(Default)]
    RunnerAccessLevel, "runner access level" {
        /// All.
        #[default]
        NotProtected = "not_protected",
        /// Protected branches and tags only.
        RefProtected = "ref_protected",
    }
}

vocabulary! {
    /// How a job gets its sources.
    #[derive(Default)]
    GitStrategy, "Git strategy" {
        /// Into the folder of an earlier job, if there is one.
        #[default]
        Fetch = "fetch",
        /// Into an empty folder.
        Clone = "clone",
    }
}

vocabulary! {
    /// In which order the jobs of a resource group get its resource. Source: `app/models/ci/resource_group.rb`.
    #[derive(Default)]
    ProcessMode, "process mode" {
        /// Whichever job is ready.
        #[default]
        Unordered = "unordered",
        /// The oldest pipeline's job first, even if others are ready before it.
        OldestFirst = "oldest_first",
        /// The newest pipeline's job first, even if others are ready before it.
        NewestFirst = "newest_first",
        /// Of the jobs that are ready, the newest pipeline's.
        NewestReadyFirst = "newest_ready_first",
    }
}
