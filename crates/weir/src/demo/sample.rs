//! The sample project, and how it gets to the server: by the same `git push` as anybody's.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use url::Url;
use weir_api::Secret;

/// The project's name.
pub(super) const NAME: &str = "greeter";

/// Its files: path and text.
const FILES: [(&str, &str); 4] = [
    (".gitlab-ci.yml", include_str!("../../demo/.gitlab-ci.yml")),
    ("README.md", include_str!("../../demo/README.md")),
    ("scripts/build.sh", include_str!("../../demo/scripts/build.sh")),
    ("scripts/test.sh", include_str!("../../demo/scripts/test.sh")),
];

/// Commits the files in a new repository `folder` and pushes them to `remote` as `root`.
pub(super) async fn push(folder: &Path, remote: &Url, token: &Secret) -> Result<()> {
    for (path, text) in FILES {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    git(folder, ["init", "--quiet", "--initial-branch=main"], None).await?;
    git(folder, ["add", "."], None).await?;
    git(folder, ["commit", "--quiet", "--message", "Greet the world"], None).await?;
    git(folder, ["push", "--quiet", remote.as_str(), "main"], Some(token)).await
}

/// Runs git, untouched by the user's settings.
///
/// The token goes through the environment into a credential helper, since arguments are seen by everybody.
async fn git<I, S>(folder: &Path, arguments: I, token: Option<&Secret>) -> Result<()>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Weir").env(format!("GIT_{who}_EMAIL"), "weir@example.com");
    }
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"] {
        command.env_remove(name);
    }
    if let Some(token) = token {
        let helper = r#"!f() { printf 'username=root\npassword=%s\n' "$WEIR_DEMO_TOKEN"; }; f"#;
        command
            .env("WEIR_DEMO_TOKEN", token.expose())
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "credential.helper")
            .env("GIT_CONFIG_VALUE_0", helper);
    }
    let output = command.output().await.context("cannot run git; install it")?;
    if !output.status.success() {
        bail!("git failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
