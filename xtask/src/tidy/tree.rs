//! The files that the rules look at.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::source::Source;

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", ".git", ".kogge-tools", "kogge-data"];

/// The project's files, with paths relative to its root.
pub(super) struct Tree {
    /// Rust files.
    pub(super) sources: Vec<Source>,
    /// Manifests, documents and scripts: path and text.
    pub(super) texts: Vec<(PathBuf, String)>,
    /// Every file's path, also of files that are not read.
    pub(super) paths: Vec<PathBuf>,
}

impl Tree {
    /// Reads the tree at `root`.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect(root, Path::new(""), &mut paths)?;
        paths.sort();
        let mut tree = Self { sources: Vec::new(), texts: Vec::new(), paths: Vec::new() };
        for path in paths {
            if is_read(&path) {
                let text =
                    fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
                tree.add(path, text);
            } else {
                tree.paths.push(path);
            }
        }
        tree.mark_test_files();
        Ok(tree)
    }

    /// A tree of made-up files.
    #[cfg(test)]
    pub(super) fn from_files(files: &[(&str, &str)]) -> Self {
        let mut tree = Self { sources: Vec::new(), texts: Vec::new(), paths: Vec::new() };
        for (path, text) in files {
            tree.add(PathBuf::from(path), (*text).to_owned());
        }
        tree.mark_test_files();
        tree
    }

    /// Marks the files of modules that exist only under `#[cfg(test)]`.
    fn mark_test_files(&mut self) {
        let mut modules = Vec::new();
        for source in &self.sources {
            let folder = module_folder(&source.path);
            modules.extend(source.test_modules().map(|name| folder.join(name)));
        }
        for source in &mut self.sources {
            let module = source.path.with_extension("");
            if modules.iter().any(|marked| module.starts_with(marked)) {
                source.mark_as_test();
            }
        }
    }

    fn add(&mut self, path: PathBuf, text: String) {
        self.paths.push(path.clone());
        if path.extension().is_some_and(|extension| extension == "rs") {
            self.sources.push(Source::new(path, text));
        } else {
            self.texts.push((path, text));
        }
    }

    /// The text of the file at `path`, unless it is Rust.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|(found, _)| found == Path::new(path)).map(|(_, text)| text.as_str())
    }

    /// Every manifest of a crate: its folder and text.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.texts.iter().filter_map(|(path, text)| {
            let folder = path.parent()?;
            let is_crate = path.file_name()? == "Cargo.toml" && folder != Path::new("");
            is_crate.then_some((folder, text.as_str()))
        })
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.paths.iter().any(|found| found == path || found.starts_with(path))
    }
}

/// The folder that holds the submodules of the file at `path`.
fn module_folder(path: &Path) -> PathBuf {
    let is_root = path.file_stem().is_some_and(|stem| ["lib", "main", "mod"].iter().any(|root| stem == *root));
    let folder = if is_root { path.parent().map(Path::to_path_buf) } else { None };
    folder.unwrap_or_else(|| path.with_extension(""))
}

fn is_read(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("rs" | "md" | "toml")) || path == Path::new(".ci/run")
}

fn collect(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let full = root.join(folder);
    for entry in fs::read_dir(&full).with_context(|| format!("cannot read {}", full.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            let name = entry.file_name();
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                collect(root, &path, paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
