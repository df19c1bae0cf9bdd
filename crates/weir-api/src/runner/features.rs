//! What a runner can do.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};

use crate::status::vocabulary;

vocabulary! {
    /// What a runner can do. Source: `FeaturesInfo` of gitlab-runner's `common/spec`.
    RunnerFeature, "runner feature" {
        /// Gives variables to the script.
        Variables = "variables",
        /// Runs the script in an image.
        Image = "image",
        /// Starts services.
        Services = "services",
        /// Uploads artifacts.
        Artifacts = "artifacts",
        /// Saves and restores caches.
        Cache = "cache",
        /// Tries fallback keys of caches.
        FallbackCacheKeys = "fallback_cache_keys",
        /// Can be shared between projects.
        Shared = "shared",
        /// Uploads several artifact files.
        UploadMultipleArtifacts = "upload_multiple_artifacts",
        /// Uploads artifact files unpacked.
        UploadRawArtifacts = "upload_raw_artifacts",
        /// Offers an interactive session.
        Session = "session",
        /// Offers a terminal.
        Terminal = "terminal",
        /// Fetches by refspecs.
        Refspecs = "refspecs",
        /// Masks values in the trace.
        Masking = "masking",
        /// Proxies to services.
        Proxy = "proxy",
        /// Leaves raw variables unexpanded.
        RawVariables = "raw_variables",
        /// Leaves paths out of artifacts.
        ArtifactsExclude = "artifacts_exclude",
        /// Runs more steps than `script` and `after_script`.
        MultiBuildSteps = "multi_build_steps",
        /// Sends the trace again when asked.
        TraceReset = "trace_reset",
        /// Sends the trace's checksum.
        TraceChecksum = "trace_checksum",
        /// Sends the trace's size.
        TraceSize = "trace_size",
        /// Reads secrets from Vault.
        VaultSecrets = "vault_secrets",
        /// Stops a job that is canceled.
        Cancelable = "cancelable",
        /// Reports the script's exit code.
        ReturnExitCode = "return_exit_code",
        /// Gives a service its own variables.
        ServiceVariables = "service_variables",
        /// Gives a service several aliases.
        ServiceMultipleAliases = "service_multiple_aliases",
        /// Reads `image:docker` and `image:kubernetes`.
        ImageExecutorOpts = "image_executor_opts",
        /// Reads `services:docker` and `services:kubernetes`.
        ServiceExecutorOpts = "service_executor_opts",
        /// Runs `after_script` of a canceled job.
        CancelGracefully = "cancel_gracefully",
        /// Runs `run` steps itself.
        NativeStepsIntegration = "native_steps_integration",
        /// Confirms a job before it starts.
        TwoPhaseJobCommit = "two_phase_job_commit",
        /// Reads the job's inputs.
        JobInputs = "job_inputs",
    }
}

/// The features that a runner has; on the wire an object of booleans.
///
/// Names that this version does not know are left out when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RunnerFeatures(u64);

impl RunnerFeatures {
    /// Every feature there is.
    pub fn all() -> Self {
        RunnerFeature::ALL.iter().copied().collect()
    }

    const fn bit(feature: RunnerFeature) -> u64 {
        1 << feature as u32
    }

    /// Whether the runner has `feature`.
    pub const fn has(self, feature: RunnerFeature) -> bool {
        self.0 & Self::bit(feature) != 0
    }

    /// Whether the runner has all of `needed`.
    pub const fn covers(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// These features and one more.
    #[must_use]
    pub const fn with(self, feature: RunnerFeature) -> Self {
        Self(self.0 | Self::bit(feature))
    }

    /// These features but one.
    #[must_use]
    pub const fn without(self, feature: RunnerFeature) -> Self {
        Self(self.0 & !Self::bit(feature))
    }

    /// The features, in the order of [`RunnerFeature::ALL`].
    pub fn iter(self) -> impl Iterator<Item = RunnerFeature> {
        RunnerFeature::ALL.iter().copied().filter(move |feature| self.has(*feature))
    }
}

impl FromIterator<RunnerFeature> for RunnerFeatures {
    fn from_iter<I: IntoIterator<Item = RunnerFeature>>(features: I) -> Self {
        features.into_iter().fold(Self::default(), Self::with)
    }
}

impl Serialize for RunnerFeatures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(RunnerFeature::ALL.len()))?;
        for feature in RunnerFeature::ALL {
            map.serialize_entry(feature.as_str(), &self.has(*feature))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RunnerFeatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RunnerFeatures;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of booleans")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(RunnerFeatures::default())
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut features = RunnerFeatures::default();
                while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                    let is_on = value == true || matches!(value.as_str(), Some("true" | "1"));
                    if let (true, Ok(feature)) = (is_on, name.parse()) {
                        features = features.with(feature);
                    }
                }
                Ok(features)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn features_are_an_object_of_booleans() {
        let read: RunnerFeatures =
            serde_json::from_value(json!({"refspecs": true, "cache": false, "telepathy": true})).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [RunnerFeature::Refspecs]);
        assert!(RunnerFeatures::all().covers(read) && !read.covers(RunnerFeatures::all()));
        let written = serde_json::to_value(read).unwrap();
        assert_eq!(written["refspecs"], true);
        assert_eq!(written["cache"], false);
        assert_eq!(written.as_object().unwrap().len(), RunnerFeature::ALL.len());
    }
}
