//! The one table of who may do what.
//!
//! Source of the levels: GitLab's `app/policies/project_policy.rb`, `ci/build_policy.rb`,
//! `ci/pipeline_policy.rb`, `group_policy.rb`.

use weir_api::{AccessLevel, Visibility};

use crate::error::{Error, Result};

/// Something that one does to a project, or to what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See that the project exists.
    ReadProject,
    /// Read the repository: files, commits, branches, tags, clone.
    ReadCode,
    /// Change the repository: push, commit, branch, tag.
    WriteCode,
    /// Change settings.
    AdminProject,
    /// Change who sees the project.
    ChangeVisibility,
    /// Make the project read-only, or not.
    ArchiveProject,
    /// Delete the project.
    DeleteProject,
    /// List members.
    ReadMembers,
    /// Add, change and remove members.
    AdminMembers,
    /// See protected branches and tags.
    ReadProtectedRefs,
    /// Protect and unprotect them.
    AdminProtectedRefs,
    /// Delete merge requests.
    DeleteMergeRequest,
    /// See pipelines and their test reports.
    ReadPipelines,
    /// See a pipeline's variables.
    ReadPipelineVariables,
    /// Create pipelines.
    CreatePipeline,
    /// Cancel and retry pipelines.
    UpdatePipeline,
    /// Make, see and revoke trigger tokens.
    AdminTriggers,
    /// See schedules, without their variables.
    ReadSchedules,
    /// Make schedules.
    CreateSchedule,
    /// See the variables of, take over and delete schedules of others.
    AdminSchedules,
    /// Delete pipelines.
    DeletePipeline,
    /// See the statuses of commits.
    ReadCommitStatuses,
    /// Report a status of a commit.
    CreateCommitStatus,
    /// See jobs.
    ReadJobs,
    /// See traces.
    ReadTrace,
    /// See a trace that debugging made talkative.
    ReadDebugTrace,
    /// Download artifacts that everyone who sees the job may have.
    ReadArtifacts,
    /// Download artifacts kept from the public.
    ReadPrivateArtifacts,
    /// Cancel, retry and play jobs, keep artifacts.
    UpdateJob,
    /// `canceling` becomes `canceled` without the runner.
    ForceCancelJob,
    /// Erase a job.
    EraseJob,
    /// Delete artifacts.
    DeleteArtifacts,
    /// See resource groups.
    ReadResourceGroups,
    /// Change how a resource group is processed.
    UpdateResourceGroup,
    /// See environments.
    ReadEnvironments,
    /// Make environments.
    CreateEnvironment,
    /// Change and stop environments.
    UpdateEnvironment,
    /// Stop all environments that are stale.
    StopEnvironments,
    /// Delete stopped environments.
    DeleteEnvironment,
    /// See deployments.
    ReadDeployments,
    /// Report deployments.
    CreateDeployment,
    /// Change reported deployments.
    UpdateDeployment,
    /// Delete deployments.
    DeleteDeployment,
}

/// Who may do an action without being a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outsiders {
    /// Nobody.
    No,
    /// Whoever sees the project.
    WhoSeesTheProject,
    /// Whoever sees the project, if its pipelines are public.
    IfPipelinesArePublic,
}

/// What one action takes.
struct Rule {
    /// The least level of a member.
    level: AccessLevel,
    outsiders: Outsiders,
    /// Whether someone without credentials is asked for some first (401 even on a public project).
    /// Source: the `authenticate!` hooks of `lib/api/**`.
    signed_in: bool,
}

const fn rule(action: Action) -> Rule {
    use AccessLevel::{Developer, Guest, Maintainer, Owner, Reporter};
    use Outsiders::{IfPipelinesArePublic, No, WhoSeesTheProject};
    let (level, outsiders, signed_in) = match action {
        Action::ReadProject => (Guest, WhoSeesTheProject, false),
        Action::ReadCode => (Reporter, WhoSeesTheProject, false),
        Action::WriteCode => (Developer, No, true),
        Action::AdminProject => (Maintainer, No, true),
        Action::ChangeVisibility => (Owner, No, true),
        Action::ArchiveProject => (Owner, No, true),
        Action::DeleteProject => (Owner, No, true),
        Action::ReadMembers => (Guest, WhoSeesTheProject, true),
        Action::AdminMembers => (Maintainer, No, true),
        Action::ReadProtectedRefs => (Developer, No, true),
        Action::AdminProtectedRefs => (Maintainer, No, true),
        Action::DeleteMergeRequest => (Owner, No, true),
        Action::ReadPipelines => (Reporter, IfPipelinesArePublic, false),
        Action::ReadPipelineVariables => (Developer, No, true),
        Action::CreatePipeline => (Developer, No, true),
        Action::UpdatePipeline => (Developer, No, true),
        Action::AdminTriggers => (Maintainer, No, true),
        Action::ReadSchedules => (Reporter, IfPipelinesArePublic, true),
        Action::CreateSchedule => (Developer, No, true),
        Action::AdminSchedules => (Maintainer, No, true),
        Action::DeletePipeline => (Owner, No, true),
        Action::ReadCommitStatuses => (Reporter, IfPipelinesArePublic, true),
        Action::CreateCommitStatus => (Developer, No, true),
        Action::ReadJobs => (Reporter, IfPipelinesArePublic, true),
        Action::ReadTrace => (Reporter, IfPipelinesArePublic, true),
        Action::ReadDebugTrace => (Developer, No, true),
        Action::ReadArtifacts => (Reporter, IfPipelinesArePublic, false),
        Action::ReadPrivateArtifacts => (Developer, No, true),
        Action::UpdateJob => (Developer, No, true),
        Action::ForceCancelJob => (Maintainer, No, true),
        Action::EraseJob => (Maintainer, No, true),
        Action::DeleteArtifacts => (Maintainer, No, true),
        Action::ReadResourceGroups => (Developer, No, true),
        Action::UpdateResourceGroup => (Developer, No, true),
        Action::ReadEnvironments => (Reporter, IfPipelinesArePublic, true),
        Action::CreateEnvironment => (Developer, No, true),
        Action::UpdateEnvironment => (Developer, No, true),
        Action::StopEnvironments => (Maintainer, No, true),
        Action::DeleteEnvironment => (Developer, No, true),
        Action::ReadDeployments => (Reporter, IfPipelinesArePublic, true),
        Action::CreateDeployment => (Developer, No, true),
        Action::UpdateDeployment => (Developer, No, true),
        Action::DeleteDeployment => (Maintainer, No, true),
    };
    Rule { level, outsiders, signed_in }
}

impl Action {
    /// Whether someone without credentials is told to sign in, before anything else is looked at.
    pub const fn needs_sign_in(self) -> bool {
        rule(self).signed_in
    }
}

/// How a caller stands to one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the caller is somebody at all.
    pub signed_in: bool,
    /// The caller's level in the project, inherited ones included; administrators have [`AccessLevel::Admin`].
    pub level: AccessLevel,
    /// The project's visibility.
    pub visibility: Visibility,
    /// Whether those who are no Reporters see pipelines: the setting `public_jobs`.
    pub public_pipelines: bool,
}

impl Standing {
    /// Whether the caller may know that the project exists.
    pub fn sees_the_project(self) -> bool {
        self.level >= AccessLevel::Guest
            || match self.visibility {
                Visibility::Private => false,
                Visibility::Internal => self.signed_in,
                Visibility::Public => true,
            }
    }

    /// Whether the caller may do it.
    pub fn may(self, action: Action) -> bool {
        let rule = rule(action);
        if rule.signed_in && !self.signed_in {
            return false;
        }
        let as_outsider = self.sees_the_project()
            && match rule.outsiders {
                Outsiders::No => false,
                Outsiders::WhoSeesTheProject => {
                    // A Guest of a private project sees the project, not its code.
                    !(action == Action::ReadCode && self.visibility == Visibility::Private)
                }
                Outsiders::IfPipelinesArePublic => self.public_pipelines,
            };
        as_outsider || self.level >= rule.level
    }

    /// Lets an allowed action pass; otherwise 401, 404 or 403, in this order, so that nobody learns of a
    /// project that they may not see.
    pub fn demand(self, action: Action) -> Result<()> {
        if rule(action).signed_in && !self.signed_in {
            return Err(Error::Unauthorized);
        }
        if !self.sees_the_project() {
            return Err(Error::NotFound("Project"));
        }
        if self.may(action) { Ok(()) } else { Err(Error::Forbidden(None)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2: allowed; otherwise the status that the caller gets.
    fn verdict(standing: Standing, action: Action) -> u16 {
        match standing.demand(action) {
            Ok(()) => 200,
            Err(Error::Unauthorized) => 401,
            Err(Error::NotFound(_)) => 404,
            Err(Error::Forbidden(_)) => 403,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_role_gets_what_gitlab_gives_it() {
        use Action::*;
        use Visibility::{Private, Public};
        let roles = [
            None,
            Some(AccessLevel::NoAccess),
            Some(AccessLevel::Guest),
            Some(AccessLevel::Reporter),
            Some(AccessLevel::Developer),
            Some(AccessLevel::Maintainer),
            Some(AccessLevel::Owner),
        ];
        // Columns: anonymous, signed in but no member, Guest, Reporter, Developer, Maintainer, Owner.
        let table = [
            (Private, ReadProject, [404, 404, 200, 200, 200, 200, 200]),
            (Private, ReadCode, [404, 404, 403, 200, 200, 200, 200]),
            (Private, ReadPipelines, [404, 404, 200, 200, 200, 200, 200]),
            (Private, ReadJobs, [401, 404, 200, 200, 200, 200, 200]),
            (Private, CreatePipeline, [401, 404, 403, 403, 200, 200, 200]),
            (Private, DeletePipeline, [401, 404, 403, 403, 403, 403, 200]),
            (Private, EraseJob, [401, 404, 403, 403, 403, 200, 200]),
            (Private, CreateEnvironment, [401, 404, 403, 403, 200, 200, 200]),
            (Private, StopEnvironments, [401, 404, 403, 403, 403, 200, 200]),
            (Public, ReadEnvironments, [401, 200, 200, 200, 200, 200, 200]),
            (Private, ReadPipelineVariables, [401, 404, 403, 403, 200, 200, 200]),
            (Private, ReadResourceGroups, [401, 404, 403, 403, 200, 200, 200]),
            (Public, ReadProject, [200, 200, 200, 200, 200, 200, 200]),
            (Public, ReadCode, [200, 200, 200, 200, 200, 200, 200]),
            (Public, ReadPipelines, [200, 200, 200, 200, 200, 200, 200]),
            (Public, ReadJobs, [401, 200, 200, 200, 200, 200, 200]),
            (Public, ReadArtifacts, [200, 200, 200, 200, 200, 200, 200]),
            (Public, WriteCode, [401, 403, 403, 403, 200, 200, 200]),
            (Public, AdminProject, [401, 403, 403, 403, 403, 200, 200]),
            (Public, DeleteProject, [401, 403, 403, 403, 403, 403, 200]),
        ];
        for (visibility, action, wanted) in table {
            for (role, wanted) in roles.into_iter().zip(wanted) {
                let standing = Standing {
                    signed_in: role.is_some(),
                    level: role.unwrap_or(AccessLevel::NoAccess),
                    visibility,
                    public_pipelines: true,
                };
                assert_eq!(verdict(standing, action), wanted, "{action:?} on {visibility} as {role:?}");
            }
        }
    }

    #[test]
    fn pipelines_that_are_not_public_are_for_reporters() {
        let mut standing = Standing {
            signed_in: true,
            level: AccessLevel::Guest,
            visibility: Visibility::Public,
            public_pipelines: false,
        };
        assert_eq!(verdict(standing, Action::ReadPipelines), 403);
        standing.level = AccessLevel::Reporter;
        assert_eq!(verdict(standing, Action::ReadPipelines), 200);
    }
}
