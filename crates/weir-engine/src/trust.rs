//! Whose code a pipeline runs, who let it run, and with which rights: one decision for everything that makes,
//! restarts or hands out jobs.
//!
//! A commit that was pushed to the project itself is as trusted as whoever may push there. A commit of another
//! project, which a merge request brings, runs in the target project only if somebody with the right there let
//! exactly this commit run, and then without what is protected. Who acts and who approved are known from
//! authenticated requests alone; nothing in a commit says who anybody is.
//!
//! Sources: `app/services/merge_requests/create_pipeline_service.rb`,
//! `lib/gitlab/ci/pipeline/chain/validate/abilities.rb`, `lib/gitlab/user_access.rb`, and GitLab's rules for
//! protected variables in merge request pipelines.

use weir_api::AccessLevel;

/// The least level that makes, restarts and approves pipelines.
pub const RUNS: AccessLevel = AccessLevel::Developer;

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The actor pushed the commit.
    Push,
    /// The actor opened a merge request with the commit.
    Open,
    /// The actor asked for a pipeline of the merge request.
    Ask,
    /// The actor reopened the merge request, or changed something else about it.
    Reopen,
    /// The actor asked for a pipeline of a ref.
    Api,
    /// A trigger token of the actor's was used.
    Trigger,
    /// A schedule of the actor's is due.
    Schedule,
    /// A job of the actor's starts a child pipeline or one of another project.
    Upstream,
    /// The actor retries a job or a pipeline, or runs it again.
    Retry,
    /// The actor plays a manual or delayed job.
    Play,
    /// The actor cancels, unschedules or erases: nothing runs by it.
    Cancel,
    /// The actor says how a job of another system is doing: nothing runs by it here.
    Report,
    /// A runner takes a job, or a bridge's turn comes: whatever made it ready, a delay, a resource or a dependency
    /// among it.
    Claim,
}

impl Act {
    /// Every act.
    pub const ALL: &'static [Self] = &[
        Self::Push,
        Self::Open,
        Self::Ask,
        Self::Reopen,
        Self::Api,
        Self::Trigger,
        Self::Schedule,
        Self::Upstream,
        Self::Retry,
        Self::Play,
        Self::Cancel,
        Self::Report,
        Self::Claim,
    ];

    /// Whether the act itself lets the commit run: it names this commit, and nothing but the actor's own will made
    /// it happen.
    pub const fn approves(self) -> bool {
        matches!(self, Self::Push | Self::Open | Self::Ask)
    }

    /// Whether code runs by it.
    pub const fn runs(self) -> bool {
        !matches!(self, Self::Cancel | Self::Report)
    }
}

/// Who may change a protected ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The least level to push; [`AccessLevel::Admin`] is nobody.
    pub push: AccessLevel,
    /// The least level to merge; [`AccessLevel::Admin`] is nobody.
    pub merge: AccessLevel,
}

impl Guard {
    /// Whether somebody with this level may change the ref.
    pub fn lets(self, level: AccessLevel) -> bool {
        [self.push, self.merge].into_iter().any(|least| least < AccessLevel::Admin && level >= least)
    }
}

/// Somebody let a commit run in the target project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The commit.
    pub sha: String,
    /// The level that they had in the target project.
    pub level: AccessLevel,
}

/// Whose code it is, as seen from the project in which it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code<'a> {
    /// A branch or tag of the project: whoever moved it there was allowed to.
    Ref(Option<Guard>),
    /// A merge request between branches of the project.
    Request {
        /// What guards the source branch.
        source: Option<Guard>,
        /// What guards the target branch.
        target: Option<Guard>,
        /// The setting `protect_merge_request_pipelines`.
        may_be_protected: bool,
    },
    /// A merge request that brings a commit of another project.
    Foreign {
        /// The commit that comes from there.
        sha: &'a str,
        /// Who let commits of this merge request run.
        approvals: &'a [Approval],
        /// The setting `ci_allow_fork_pipelines_to_run_in_parent_project`.
        allowed: bool,
    },
    /// A ref that is neither branch nor tag, of which nobody knows any more what wrote it.
    Unknown,
}

/// What a pipeline and its jobs may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rights {
    /// Neither protected variables nor protected runners.
    Plain,
    /// Protected variables, runners and caches.
    Protected,
}

/// All that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What is about to happen.
    pub act: Act,
    /// The actor's level in the project in which it happens. A runner that takes a job has none.
    pub level: AccessLevel,
    /// Whose code it is.
    pub code: Code<'a>,
    /// The rights that the pipeline has; none while it is being made.
    pub has: Option<Rights>,
}

/// Why something may not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The actor may not run pipelines in the project.
    Level,
    /// The actor may not change the ref.
    Ref,
    /// The project runs no commits of other projects.
    Forks,
    /// Nobody with the right has let this commit run.
    Approval,
    /// The pipeline has rights that the actor could not give it.
    Rights,
    /// Nobody knows whose code it is.
    Unknown,
}

/// Whether it may happen, and with which rights a pipeline that is made so runs.
///
/// # Errors
/// Why it may not.
pub fn judge(facts: Facts<'_>) -> Result<Rights, Refusal> {
    let Facts { act, level, code, has } = facts;
    let claim = act == Act::Claim;
    if !claim && level < RUNS {
        return Err(Refusal::Level);
    }
    let lets = |guard: Option<Guard>| claim || guard.is_none_or(|guard| guard.lets(level));
    let rights = match code {
        Code::Ref(guard) if lets(guard) => {
            // What it got when it was made stays its own: the ref is what it was.
            return Ok(has.unwrap_or(if guard.is_some() { Rights::Protected } else { Rights::Plain }));
        }
        // Whoever may run pipelines may stop what is on no ref of the project.
        Code::Request { .. } | Code::Foreign { .. } | Code::Unknown if !act.runs() => {
            return Ok(Rights::Plain);
        }
        // A runner has no level to weigh: what was decided for the pipeline holds.
        Code::Request { .. } if claim => return Ok(has.unwrap_or(Rights::Plain)),
        Code::Request { source, target, may_be_protected } if lets(source) => {
            let both = source.is_some() && target.is_some_and(|guard| guard.lets(level));
            if may_be_protected && both { Rights::Protected } else { Rights::Plain }
        }
        Code::Ref(_) | Code::Request { .. } => return Err(Refusal::Ref),
        Code::Foreign { allowed: false, .. } => return Err(Refusal::Forks),
        Code::Foreign { sha, approvals, .. } => {
            let approved = approvals.iter().any(|it| it.sha == sha && it.level >= RUNS);
            if !approved && !act.approves() {
                return Err(Refusal::Approval);
            }
            Rights::Plain
        }
        Code::Unknown => return Err(Refusal::Unknown),
    };
    if has == Some(Rights::Protected) && rights == Rights::Plain {
        return Err(Refusal::Rights);
    }
    Ok(has.unwrap_or(rights))
}

/// In which project the pipeline of a merge request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the target project, with its variables and runners.
    Target,
    /// In the source project, with what is there.
    Source,
}

/// Where a pipeline of a merge request runs: in the target project if that may be, else in the project that the commit
/// comes from. Whether the actor may run pipelines there is decided there, by [`judge`].
///
/// # Errors
/// The commit comes from the target project itself, and may not run.
pub fn place(in_target: Facts<'_>) -> Result<Place, Refusal> {
    match judge(in_target) {
        Ok(_) => Ok(Place::Target),
        Err(_) if matches!(in_target.code, Code::Foreign { .. }) => Ok(Place::Source),
        Err(refusal) => Err(refusal),
    }
}
