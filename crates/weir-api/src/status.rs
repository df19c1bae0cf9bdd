//! The closed vocabularies that GitLab's answers use: statuses, failure reasons, pipeline sources.

use serde::{Deserialize, Serialize};

/// Declares an enum whose variants have one fixed text each, used on the wire and in the database.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $unknown:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every value, in GitLab's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::status::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(crate::status::UnknownWord::new($unknown, text)),
                }
            }
        }
    };
}

pub(crate) use vocabulary;

/// A text that is not in the vocabulary asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {what}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

impl UnknownWord {
    /// An unknown `word` where a `what` was expected.
    pub fn new(what: &'static str, word: &str) -> Self {
        Self { what, word: word.to_owned() }
    }
}

vocabulary! {
    /// The status of a job, bridge, stage or pipeline. Source: `app/models/concerns/ci/has_status.rb`.
    JobStatus, "status" {
        /// Waits for earlier jobs.
        Created = "created",
        /// Waits for its resource group.
        WaitingForResource = "waiting_for_resource",
        /// Waits for prerequisites.
        Preparing = "preparing",
        /// Waits for an external callback.
        WaitingForCallback = "waiting_for_callback",
        /// Waits for a runner.
        Pending = "pending",
        /// A runner has it.
        Running = "running",
        /// Ended well.
        Success = "success",
        /// Ended badly.
        Failed = "failed",
        /// Canceled, while the runner still runs its `after_script`.
        Canceling = "canceling",
        /// Canceled.
        Canceled = "canceled",
        /// Will not run.
        Skipped = "skipped",
        /// Waits for someone to play it.
        Manual = "manual",
        /// Waits for its delay to pass.
        Scheduled = "scheduled",
    }
}

vocabulary! {
    /// Where a pipeline came from. Source: `app/models/concerns/enums/ci/pipeline.rb`.
    PipelineSource, "pipeline source" {
        /// Unknown.
        Unknown = "unknown",
        /// A push of a branch or tag.
        Push = "push",
        /// The web form.
        Web = "web",
        /// A trigger token.
        Trigger = "trigger",
        /// A schedule.
        Schedule = "schedule",
        /// `POST /projects/:id/pipeline`.
        Api = "api",
        /// A commit status from outside.
        External = "external",
        /// A bridge of another project, or a job token at the trigger endpoint.
        Pipeline = "pipeline",
        /// A chat command.
        Chat = "chat",
        /// The web editor.
        Webide = "webide",
        /// A merge request.
        MergeRequestEvent = "merge_request_event",
        /// A pull request elsewhere.
        ExternalPullRequestEvent = "external_pull_request_event",
        /// A bridge of the same project.
        ParentPipeline = "parent_pipeline",
        /// A DAST scan on demand.
        OndemandDastScan = "ondemand_dast_scan",
        /// Validation for a DAST scan.
        OndemandDastValidation = "ondemand_dast_validation",
        /// A security policy.
        SecurityOrchestrationPolicy = "security_orchestration_policy",
        /// A push to the container registry.
        ContainerRegistryPush = "container_registry_push",
        /// A Duo workflow.
        DuoWorkflow = "duo_workflow",
        /// A scheduled execution policy.
        PipelineExecutionPolicySchedule = "pipeline_execution_policy_schedule",
    }
}

vocabulary! {
    /// Why a job failed. Source: `app/models/concerns/enums/ci/commit_status.rb`.
    FailureReason, "failure reason" {
        /// No reason is known.
        UnknownFailure = "unknown_failure",
        /// The script ended with another exit code than 0.
        ScriptFailure = "script_failure",
        /// The API failed.
        ApiFailure = "api_failure",
        /// Stuck or timed out (older, shared reason).
        StuckOrTimeoutFailure = "stuck_or_timeout_failure",
        /// The runner failed, not the script.
        RunnerSystemFailure = "runner_system_failure",
        /// An artifact that the job depends on is gone.
        MissingDependencyFailure = "missing_dependency_failure",
        /// The runner lacks a feature that the job needs.
        RunnerUnsupported = "runner_unsupported",
        /// A delayed job whose time passed long ago.
        StaleSchedule = "stale_schedule",
        /// The job ran longer than its timeout, as its runner said.
        JobExecutionTimeout = "job_execution_timeout",
        /// The job is archived.
        ArchivedFailure = "archived_failure",
        /// A prerequisite could not be met.
        UnmetPrerequisites = "unmet_prerequisites",
        /// The scheduler could not assign the job.
        SchedulerFailure = "scheduler_failure",
        /// The job's data is broken.
        DataIntegrityFailure = "data_integrity_failure",
        /// Outdated deployment (older name).
        ForwardDeploymentFailure = "forward_deployment_failure",
        /// The job's user is blocked.
        UserBlocked = "user_blocked",
        /// The project is deleted.
        ProjectDeleted = "project_deleted",
        /// No compute minutes left.
        CiQuotaExceeded = "ci_quota_exceeded",
        /// The trigger chain loops.
        PipelineLoopDetected = "pipeline_loop_detected",
        /// No runner could ever take the job.
        NoMatchingRunner = "no_matching_runner",
        /// The trace is over its limit.
        TraceSizeExceeded = "trace_size_exceeded",
        /// CI/CD is off for the project.
        BuildsDisabled = "builds_disabled",
        /// The environment could not be made.
        EnvironmentCreationFailure = "environment_creation_failure",
        /// The deployment was rejected.
        DeploymentRejected = "deployment_rejected",
        /// A newer deployment exists.
        FailedOutdatedDeploymentJob = "failed_outdated_deployment_job",
        /// The environment is protected.
        ProtectedEnvironmentFailure = "protected_environment_failure",
        /// The server ended the job after its timeout.
        JobExecutionServerTimeout = "job_execution_server_timeout",
        /// Pending too long though a runner matches.
        StuckPendingWithMatchingRunners = "stuck_pending_with_matching_runners",
        /// Pending too long and no runner matches.
        StuckPendingNoMatchingRunners = "stuck_pending_no_matching_runners",
        /// Running without a word from its runner.
        NoUpdatesRunning = "no_updates_running",
        /// Canceling without a word from its runner.
        NoUpdatesCanceling = "no_updates_canceling",
        /// Running past its timeout without its runner ending it.
        ServerTimeoutRunning = "server_timeout_running",
        /// Canceling past its timeout.
        ServerTimeoutCanceling = "server_timeout_canceling",
        /// The runner is configured wrongly.
        RunnerConfigurationError = "runner_configuration_error",
        /// Something that the runner depends on failed.
        RunnerExternalDependencyFailure = "runner_external_dependency_failure",
        /// The runner was stopped.
        RunnerInterrupted = "runner_interrupted",
        /// The image could not be pulled.
        ImagePullFailure = "image_pull_failure",
        /// The runner took the job and never started it.
        RunnerProvisioningTimeout = "runner_provisioning_timeout",
        /// The job's token expired.
        JobTokenExpired = "job_token_expired",
        /// The bridge's user may not trigger there.
        InsufficientBridgePermissions = "insufficient_bridge_permissions",
        /// The bridge's project is not there.
        DownstreamBridgeProjectNotFound = "downstream_bridge_project_not_found",
        /// The bridge triggers its own project.
        InvalidBridgeTrigger = "invalid_bridge_trigger",
        /// The upstream project is not there.
        UpstreamBridgeProjectNotFound = "upstream_bridge_project_not_found",
        /// No right to see the upstream.
        InsufficientUpstreamPermissions = "insufficient_upstream_permissions",
        /// The bridge's pipeline is itself a child.
        BridgePipelineIsChildPipeline = "bridge_pipeline_is_child_pipeline",
        /// The downstream pipeline could not be created.
        DownstreamPipelineCreationFailed = "downstream_pipeline_creation_failed",
        /// A secrets provider is not configured.
        SecretsProviderNotFound = "secrets_provider_not_found",
        /// Too many levels of child pipelines.
        ReachedMaxDescendantPipelinesDepth = "reached_max_descendant_pipelines_depth",
        /// The address is not allowed.
        IpRestrictionFailure = "ip_restriction_failure",
        /// Too many pipelines in the family.
        ReachedMaxPipelineHierarchySize = "reached_max_pipeline_hierarchy_size",
        /// Too many downstream pipelines in a minute.
        ReachedDownstreamPipelineTriggerRateLimit = "reached_downstream_pipeline_trigger_rate_limit",
        /// The agent that runs the job is not allowed.
        DuoWorkflowNotAllowed = "duo_workflow_not_allowed",
        /// The job router failed.
        JobRouterFailure = "job_router_failure",
        /// An ID token may not be made for the project's path.
        IdTokenBurnedProjectPath = "id_token_burned_project_path",
        /// The bridge's project is an empty text once its variables are filled in.
        DownstreamProjectTriggerResolvedToEmpty = "downstream_project_trigger_resolved_to_empty",
    }
}

vocabulary! {
    /// When a step runs, or artifacts and caches are saved.
    #[derive(Default)]
    When, "condition" {
        /// After success.
        #[default]
        OnSuccess = "on_success",
        /// After failure.
        OnFailure = "on_failure",
        /// Both.
        Always = "always",
    }
}

vocabulary! {
    /// What a cache is used for.
    #[derive(Default)]
    CachePolicy, "cache policy" {
        /// Fetched before and saved after the job.
        #[default]
        PullPush = "pull-push",
        /// Only fetched.
        Pull = "pull",
        /// Only saved.
        Push = "push",
    }
}

vocabulary! {
    /// When a container image is pulled.
    PullPolicy, "pull policy" {
        /// For every job.
        Always = "always",
        /// Only if there is no local image.
        IfNotPresent = "if-not-present",
        /// Never: the local image is used.
        Never = "never",
    }
}

vocabulary! {
    /// How an artifact file is packed. Source: `app/models/ci/job_artifact.rb`.
    #[derive(Default)]
    ArtifactFormat, "artifact format" {
        /// As it is.
        Raw = "raw",
        /// A ZIP archive.
        #[default]
        Zip = "zip",
        /// One file, gzipped.
        Gzip = "gzip",
    }
}

vocabulary! {
    /// What an artifact file is. Source: `app/models/concerns/enums/ci/job_artifact.rb`.
    #[derive(Default)]
    ArtifactFileType, "artifact type" {
        /// The archive of `artifacts:paths`.
        #[default]
        Archive = "archive",
        /// The archive's table of contents.
        Metadata = "metadata",
        /// The job's log.
        Trace = "trace",
        /// Unit tests.
        Junit = "junit",
        /// Static application security testing.
        Sast = "sast",
        /// Dependency scanning.
        DependencyScanning = "dependency_scanning",
        /// Container scanning.
        ContainerScanning = "container_scanning",
        /// Dynamic application security testing.
        Dast = "dast",
        /// Code quality.
        Codequality = "codequality",
        /// Licenses (older).
        LicenseScanning = "license_scanning",
        /// Browser performance (older).
        Performance = "performance",
        /// Metrics.
        Metrics = "metrics",
        /// The runner's metrics.
        MetricsReferee = "metrics_referee",
        /// The runner's network metrics.
        NetworkReferee = "network_referee",
        /// Code intelligence.
        Lsif = "lsif",
        /// Variables for later jobs.
        Dotenv = "dotenv",
        /// Coverage (older).
        Cobertura = "cobertura",
        /// Terraform plans.
        Terraform = "terraform",
        /// Accessibility.
        Accessibility = "accessibility",
        /// Cluster applications (older).
        ClusterApplications = "cluster_applications",
        /// Secret detection.
        SecretDetection = "secret_detection",
        /// Requirements (older).
        Requirements = "requirements",
        /// Coverage fuzzing.
        CoverageFuzzing = "coverage_fuzzing",
        /// Browser performance.
        BrowserPerformance = "browser_performance",
        /// Load performance.
        LoadPerformance = "load_performance",
        /// API fuzzing.
        ApiFuzzing = "api_fuzzing",
        /// Cluster image scanning.
        ClusterImageScanning = "cluster_image_scanning",
        /// Bill of materials.
        Cyclonedx = "cyclonedx",
        /// Requirements.
        RequirementsV2 = "requirements_v2",
        /// Links that a job shows.
        Annotations = "annotations",
        /// Facts about the repository.
        RepositoryXray = "repository_xray",
        /// Coverage by `JaCoCo`.
        Jacoco = "jacoco",
        /// Code intelligence by SCIP.
        Scip = "scip",
        /// Static analysis.
        Sarif = "sarif",
    }
}

vocabulary! {
    /// Who may download artifacts.
    #[derive(Default)]
    Accessibility, "accessibility" {
        /// Everyone who sees the job.
        #[default]
        Public = "public",
        /// Members from Developer up.
        Private = "private",
        /// Nobody, by the API.
        None = "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_reason_of_gitlab_is_known() {
        let stored = "unknown_failure script_failure api_failure stuck_or_timeout_failure runner_system_failure
            missing_dependency_failure runner_unsupported stale_schedule job_execution_timeout archived_failure
            unmet_prerequisites scheduler_failure data_integrity_failure forward_deployment_failure user_blocked
            project_deleted ci_quota_exceeded pipeline_loop_detected no_matching_runner trace_size_exceeded
            builds_disabled environment_creation_failure deployment_rejected failed_outdated_deployment_job
            job_execution_server_timeout stuck_pending_with_matching_runners stuck_pending_no_matching_runners
            no_updates_running no_updates_canceling server_timeout_running server_timeout_canceling
            runner_configuration_error runner_external_dependency_failure runner_interrupted
            protected_environment_failure insufficient_bridge_permissions downstream_bridge_project_not_found
            invalid_bridge_trigger upstream_bridge_project_not_found insufficient_upstream_permissions
            bridge_pipeline_is_child_pipeline downstream_pipeline_creation_failed secrets_provider_not_found
            reached_max_descendant_pipelines_depth ip_restriction_failure reached_max_pipeline_hierarchy_size
            reached_downstream_pipeline_trigger_rate_limit duo_workflow_not_allowed job_router_failure
            job_token_expired id_token_burned_project_path downstream_project_trigger_resolved_to_empty";
        // Of other revisions.
        let more = "runner_provisioning_timeout image_pull_failure";
        let mut words: Vec<&str> = stored.split_whitespace().chain(more.split(' ')).collect();
        let mut known: Vec<&str> = FailureReason::ALL.iter().map(|reason| reason.as_str()).collect();
        words.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, words);
        for word in words {
            assert_eq!(word.parse().map(FailureReason::as_str), Ok(word));
        }
    }
}
