//! Installs what the tests need, from package registries, on Debian. What is there already is left alone.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::step::{command, root};

/// Debian packages and, for each, a file that shows that it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("git", "/usr/bin/git"),
    ("postgresql", "/usr/lib/postgresql"),
    ("python3-venv", "/usr/share/doc/python3-venv"),
    ("ruby", "/usr/bin/ruby"),
];

/// Python packages of the end-to-end tests, pinned.
const PYTHON: &[&str] = &["python-gitlab==8.6.0", "moto[server]==5.2.5"];

/// What was set up.
pub(crate) struct Tools {
    /// The folder with `python` and the commands of the Python packages.
    pub(crate) python_bin: PathBuf,
}

/// Installs everything that is missing.
pub(crate) fn run() -> Result<Tools> {
    debian()?;
    python()
}

fn debian() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, proof)| !std::path::Path::new(proof).exists())
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let sudo = !command("id", &["-u"]).output()?.eq("0");
    let apt = |arguments: &[&str]| {
        let step = if sudo {
            command("sudo", &[&["apt-get"], arguments].concat())
        } else {
            command("apt-get", arguments)
        };
        step.env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], missing.as_slice()].concat())
        .context("the tests need these packages; on another system install their likes by hand")
}

fn python() -> Result<Tools> {
    let home = root().join("target/python");
    let bin = home.join("bin");
    let wanted = PYTHON.join("\n");
    let stamp = home.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Tools { python_bin: bin });
    }
    command("python3", &["-m", "venv", &home.to_string_lossy()]).run()?;
    command(bin.join("pip"), &[&["install", "-q", "--disable-pip-version-check"], PYTHON].concat()).run()?;
    std::fs::write(stamp, wanted)?;
    Ok(Tools { python_bin: bin })
}
