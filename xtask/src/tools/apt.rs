//! A private apt: its own lists, cache and sources, so that the machine's apt is neither needed nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// One folder with its own apt state.
pub(super) struct Area {
    folder: PathBuf,
    configuration: PathBuf,
}

impl Area {
    /// Writes the configuration with `lines` as the only sources, and fetches their package lists.
    ///
    /// # Errors
    /// The mirror cannot be reached or does not hold a release.
    pub(super) fn new(folder: &Path, lines: &[String]) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial", "state", "debs"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let sources = folder.join("sources.list");
        fs::write(&sources, lines.join("\n") + "\n")?;
        let configuration = folder.join("apt.conf");
        fs::write(&configuration, configuration_text(folder, &sources))?;
        let area = Self { folder: folder.to_path_buf(), configuration };
        shell::capture(area.apt_get().arg("update"))
            .with_context(|| format!("cannot read package lists from:\n{}", lines.join("\n")))?;
        Ok(area)
    }

    /// Downloads `packages` and all they depend on that the machine lacks; returns the files.
    pub(super) fn closure(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let mut command = self.apt_get();
        command.args(["install", "--yes", "--download-only", "--no-install-recommends"]).args(packages);
        shell::capture(&mut command)?;
        archives(&self.folder.join("cache/archives"))
    }

    /// Downloads `packages` alone; returns the files.
    pub(super) fn alone(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let debs = self.folder.join("debs");
        shell::capture(self.apt_get().current_dir(&debs).arg("download").args(packages))?;
        let files = archives(&debs)?;
        if files.len() != packages.len() {
            bail!("asked for {} packages and got {}", packages.len(), files.len());
        }
        Ok(files)
    }

    fn apt_get(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("--config-file").arg(&self.configuration).arg("--quiet");
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
        command
    }
}

/// Settings that move apt's state into `folder`. Read after the machine's own, whose proxy settings stay in force.
fn configuration_text(folder: &Path, sources: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}/state\";\n\
         Dir::State::Lists \"{folder}/lists\";\n\
         Dir::State::status \"/var/lib/dpkg/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Cache::Archives \"{folder}/cache/archives\";\n\
         Dir::Etc::SourceList \"{}\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Debug::NoLocking \"true\";\n\
         APT::Sandbox::User \"\";\n\
         APT::Keep-Downloaded-Packages \"true\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear Acquire::IndexTargets::deb::DEP-11;\n\
         #clear DPkg::Post-Invoke;\n\
         #clear DPkg::Pre-Install-Pkgs;\n",
        sources.display()
    )
}

/// The package files in `folder`, in name order.
fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
