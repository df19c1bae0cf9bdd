//! The variables of a job as its scripts see them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_api::runner::{JobPayload, JobVariable};

use crate::config::{self, Config};
use crate::job::Slot;

/// A job's variables with the runner's own, expanded; of two with one name the later wins.
///
/// Source: `common/spec/variables.go` of gitlab-runner.
#[derive(Debug, Clone)]
pub struct Variables {
    list: Vec<JobVariable>,
    files: PathBuf,
}

/// What a script appends to for later scripts of its job (`GITLAB_ENV`).
pub(crate) const ENV_FILE: &str = "gitlab_runner_env";

/// A public variable of the runner's own.
pub(crate) fn public(key: &str, value: impl Into<String>) -> JobVariable {
    JobVariable {
        key: key.to_owned(),
        value: value.into(),
        public: true,
        file: false,
        masked: false,
        raw: true,
    }
}

/// The job's variables between the runner's own. Source: `GetAllVariables` of gitlab-runner.
pub(crate) fn of_job(
    config: &Config,
    payload: &JobPayload,
    slot: Slot,
    project_dir: &Path,
    temp_dir: &Path,
    timeout: Duration,
) -> Vec<JobVariable> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut list = Vec::with_capacity(payload.variables.len() + 20);
    if let Some(image) = payload.image.as_ref().filter(|image| !image.name.is_empty()) {
        list.push(JobVariable { raw: false, ..public("CI_JOB_IMAGE", &image.name) });
    }
    list.push(public("CI_RUNNER_SHORT_TOKEN", config.short_token()));
    list.extend(config.environment.iter().map(|(key, value)| public(key, value)));
    list.extend([
        public("CI_BUILDS_DIR", path(&config.builds_dir)),
        public("CI_PROJECT_DIR", path(project_dir)),
        public("CI_CONCURRENT_ID", slot.id.to_string()),
        public("CI_CONCURRENT_PROJECT_ID", slot.project_id.to_string()),
        public("CI_SERVER", "yes"),
        public("CI_JOB_STATUS", "running"),
        public("CI_JOB_TIMEOUT", timeout.as_secs().to_string()),
    ]);
    list.extend(payload.variables.iter().cloned());
    list.extend([
        public("CI_SHARED_ENVIRONMENT", "true"),
        public("CI_RUNNER_VERSION", &config.version),
        public("CI_RUNNER_REVISION", &config.revision),
        public("CI_RUNNER_EXECUTABLE_ARCH", format!("{}/{}", std::env::consts::OS, config::architecture())),
        public("RUNNER_TEMP_PROJECT_DIR", path(temp_dir)),
        public("GITLAB_ENV", path(&temp_dir.join(ENV_FILE))),
    ]);
    list
}

impl Variables {
    /// Expands `list` once against itself; the values of file variables will lie in the folder `files`.
    pub fn new(list: Vec<JobVariable>, files: &Path) -> Self {
        let unexpanded = Self { list, files: files.to_path_buf() };
        let expand = |variable: &JobVariable| JobVariable {
            value: if variable.raw { variable.value.clone() } else { unexpanded.expand(&variable.value) },
            ..variable.clone()
        };
        Self { list: unexpanded.list.iter().map(expand).collect(), files: unexpanded.files.clone() }
    }

    /// The value of `key` as a script sees it: of a file variable the path.
    pub fn get(&self, key: &str) -> String {
        match self.find(key) {
            Some(variable) if variable.file => self.path_of(key).to_string_lossy().into_owned(),
            Some(variable) => variable.value.clone(),
            None => String::new(),
        }
    }

    /// The value of `key`; of a file variable the content.
    pub fn value(&self, key: &str) -> &str {
        self.find(key).map_or("", |variable| &variable.value)
    }

    /// Whether `key` holds one of the words that Go reads as true.
    pub fn is_true(&self, key: &str) -> bool {
        matches!(self.value(key), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }

    /// Replaces `$name` and `${name}`; what is unknown becomes empty, `$$` becomes `$`. Source: Go's `os.Expand`.
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            let (name, length) = shell_name(after);
            match name {
                Some("$") => out.push('$'),
                Some(name) => out.push_str(&self.get(name)),
                None if length == 0 => out.push('$'),
                None => {}
            }
            rest = &after[length..];
        }
        out.push_str(rest);
        out
    }

    /// Sets `key` for what follows.
    pub fn set(&mut self, key: &str, value: &str) {
        self.list.push(public(key, value));
    }

    /// The values to hide in the trace.
    pub fn masked(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter(|variable| variable.masked).map(|variable| variable.value.as_str())
    }

    /// Names and values for a process. Names that an environment cannot hold are left out.
    pub fn environment(&self) -> impl Iterator<Item = (&str, OsString)> {
        self.list.iter().filter(|variable| is_name(&variable.key) && !variable.value.contains('\0')).map(
            |variable| {
                let value = if variable.file {
                    self.path_of(&variable.key).into_os_string()
                } else {
                    OsString::from(&variable.value)
                };
                (variable.key.as_str(), value)
            },
        )
    }

    /// The files that file variables need: path and content. The last of a name wins.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        self.list
            .iter()
            .filter(|variable| variable.file && is_name(&variable.key))
            .map(|variable| (self.path_of(&variable.key), variable.value.as_str()))
    }

    fn find(&self, key: &str) -> Option<&JobVariable> {
        self.list.iter().rev().find(|variable| variable.key == key)
    }

    fn path_of(&self, key: &str) -> PathBuf {
        self.files.join(key)
    }
}

/// Whether an environment and a folder can hold `key`.
fn is_name(key: &str) -> bool {
    !key.is_empty() && key != "." && key != ".." && !key.contains(['=', '\0', '/'])
}

/// The variable's name at the start of `text` (after the `$`), and how many bytes it takes.
fn shell_name(text: &str) -> (Option<&str>, usize) {
    let special = |byte: &u8| b"*#$@!?-0123456789".contains(byte);
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'{') => match text.find('}') {
            None => (None, 1),
            Some(1) => (None, 2),
            Some(end) => (Some(&text[1..end]), end + 1),
        },
        Some(byte) if special(byte) => (Some(&text[..1]), 1),
        _ => {
            let end = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            match end.unwrap_or(bytes.len()) {
                0 => (None, 0),
                end => (Some(&text[..end]), end),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(key: &str, value: &str) -> JobVariable {
        JobVariable { raw: false, ..public(key, value) }
    }

    #[test]
    fn values_are_expanded_once_as_go_does() {
        let variables = Variables::new(
            vec![variable("A", "a"), variable("B", "$C"), variable("C", "c")],
            Path::new("/t"),
        );
        for (text, expanded) in [
            ("$A", "a"),
            ("${A}b", "ab"),
            ("$Ab", ""),
            ("$A-$A", "a-a"),
            ("$$A", "$A"),
            ("${}x", "x"),
            ("${A", "A"),
            ("100$", "100$"),
            ("$ x", "$ x"),
            ("$1x", "x"),
            ("%A%", "%A%"),
            ("é$A", "éa"),
        ] {
            assert_eq!(variables.expand(text), expanded, "{text}");
        }
        assert_eq!(variables.value("B"), "c");
    }

    #[test]
    fn raw_values_stay_as_they_are_and_the_last_of_a_name_wins() {
        let raw = JobVariable { raw: true, ..variable("R", "$A") };
        let list = vec![variable("A", "1"), raw, variable("A", "2"), variable("B", "$A$R")];
        let variables = Variables::new(list, Path::new("/t"));
        assert_eq!(variables.value("R"), "$A");
        assert_eq!(variables.value("A"), "2");
        assert_eq!(variables.value("B"), "2$A");
    }

    #[test]
    fn a_file_variable_is_a_path_for_scripts_and_references() {
        let file = JobVariable { file: true, raw: true, ..variable("KUBECONFIG", "content") };
        let variables = Variables::new(vec![file, variable("B", "$KUBECONFIG")], Path::new("/t"));
        assert_eq!(variables.get("KUBECONFIG"), "/t/KUBECONFIG");
        assert_eq!(variables.value("KUBECONFIG"), "content");
        assert_eq!(variables.value("B"), "/t/KUBECONFIG");
        assert_eq!(variables.files().collect::<Vec<_>>(), [(PathBuf::from("/t/KUBECONFIG"), "content")]);
    }

    #[test]
    fn a_file_variable_cannot_leave_its_folder() {
        let file = JobVariable { file: true, ..variable("../x", "content") };
        assert_eq!(Variables::new(vec![file], Path::new("/t")).files().count(), 0);
    }
}
