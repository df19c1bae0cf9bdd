//! A project with a clone to push from.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail};
use tokio::process::Command;
use weir_client::ProjectHandle;

use crate::instance::{Instance, TOKEN};

/// A project with a clone to push from.
pub(crate) struct Project {
    /// The project on the server.
    pub(crate) handle: ProjectHandle,
    clone: PathBuf,
}

impl Project {
    /// Makes a project; its clone lies in `folder`.
    pub(crate) async fn create(instance: &Instance, folder: &Path, name: &str) -> Result<Self> {
        let client = instance.client()?;
        let project = client.create_project(name).await?;
        let clone = folder.join(name);
        std::fs::create_dir(&clone)?;
        let project_url = format!("http://root:{TOKEN}@{}/root/{name}.git", instance.address);
        let created = Self { handle: client.project(project.id), clone };
        created.git(&["init", "--quiet", "--initial-branch=main"]).await?;
        created.git(&["remote", "add", "origin", &project_url]).await?;
        Ok(created)
    }

    /// Writes the configuration and commits it.
    pub(crate) async fn commit(&self, configuration: &str) -> Result<()> {
        std::fs::write(self.clone.join(".gitlab-ci.yml"), configuration)?;
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message=Measure"]).await
    }

    /// Pushes what was committed.
    pub(crate) async fn push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "origin", "main"]).await
    }

    async fn git(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("git")
            .current_dir(&self.clone)
            .args(["-c", "user.name=Bench", "-c", "user.email=bench@example.com"])
            .args(arguments)
            // No settings of this machine and its users.
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .output()
            .await?;
        if !output.status.success() {
            bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
