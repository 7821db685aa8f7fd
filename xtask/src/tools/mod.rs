//! The programs that the tests drive: container clients from Debian and Azure's from Python's package index, in the
//! project's own folder.
//!
//! Nothing is installed on the machine and no root is needed: packages are downloaded by a private apt
//! ([`apt`]) and unpacked with `dpkg -x`, or go into a Python environment of their own ([`python`]); programs are
//! reached through small wrappers in `<set>/bin`. A set is made anew in full or not at all: it is built beside and
//! renamed, and its `ready` file is written last.

mod apt;
mod python;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Programs that one kind of run needs.
pub(crate) struct ToolSet {
    /// Its folder in `.kogge-tools/`.
    name: &'static str,
    /// Packages of the machine's own release, taken with what they depend on.
    own: &'static [&'static str],
    /// Packages of a newer release, as `package/release`, taken alone: they need no newer libc.
    newer: &'static [&'static str],
    /// Each program and the arguments that print its version; none for a program that cannot print it and succeed.
    programs: &'static [(&'static str, &'static [&'static str])],
}

/// The real clients of the interoperability tests.
///
/// podman, buildah and skopeo are the machine's own, so that old clients are met too; docker is one with both image
/// stores; the rest exists only in newer releases.
pub(crate) const CLIENTS: ToolSet = ToolSet {
    name: "clients",
    own: &["skopeo", "podman", "buildah", "crun", "runc", "conmon"],
    newer: &[
        "docker.io/trixie",
        "docker-cli/trixie",
        "containerd/trixie",
        "crane/sid",
        "oras/sid",
        "cosign/sid",
        "notation/sid",
    ],
    programs: &[
        ("skopeo", &["--version"]),
        ("podman", &["--version"]),
        ("buildah", &["--version"]),
        ("crun", &["--version"]),
        ("runc", &["--version"]),
        ("conmon", &["--version"]),
        ("dockerd", &["--version"]),
        ("docker", &["--version"]),
        ("containerd", &["--version"]),
        ("crane", &["version"]),
        ("oras", &["version"]),
        ("cosign", &["version"]),
        ("notation", &["version"]),
    ],
};

/// The servers that `bench` compares with, and the program that loads them.
pub(crate) const BENCH: ToolSet = ToolSet {
    name: "bench",
    own: &["docker-registry", "nginx", "wrk"],
    newer: &[],
    programs: &[("docker-registry", &["--version"]), ("nginx", &["-v"]), ("wrk", &[])],
};

/// The database of a region of several nodes.
pub(crate) const DATABASE: ToolSet = ToolSet {
    name: "database",
    own: &["postgresql"],
    newer: &[],
    programs: &[
        ("initdb", &["--version"]),
        ("postgres", &["--version"]),
        ("createdb", &["--version"]),
        ("pg_isready", &["--version"]),
    ],
};

/// Makes sure of every set that the tests need.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_for_tests(root: &Path) -> Result<()> {
    ensure(root, &CLIENTS)?;
    ensure(root, &DATABASE)?;
    python::ensure(root, &python::AZURE)
}

/// Makes sure that every program of `set` is there and runs. Tests find them in `.kogge-tools/<set>/bin`.
///
/// Quick when all is present. Safe to interrupt: the next call starts over.
///
/// # Errors
/// A program that cannot be had or does not run, with the reason.
pub(crate) fn ensure(root: &Path, set: &ToolSet) -> Result<()> {
    let programs = set.programs.iter().map(|(name, _)| *name);
    let Some(place) = Place::to_make(root, set.name, programs, set.fingerprint()) else { return Ok(()) };
    place.make(
        |fresh| {
            fs::create_dir_all(fresh.join("root")).with_context(|| format!("cannot create {}", fresh.display()))?;
            if let Some(reason) = unpack(fresh, set)? {
                println!("tools: {reason}; using the programs on PATH");
            }
            write_wrappers(fresh, set)
        },
        |folder| check_programs(&folder.join("bin"), set),
    )
}

/// Where a set lies that must be made.
struct Place {
    name: &'static str,
    folder: PathBuf,
    /// What it is made from.
    wanted: String,
}

impl Place {
    /// The place of the set `name`; `None` when it is there with all its programs, made from what is wanted.
    fn to_make<'a>(
        root: &Path,
        name: &'static str,
        mut programs: impl Iterator<Item = &'a str>,
        wanted: String,
    ) -> Option<Self> {
        let folder = root.join(".kogge-tools").join(name);
        let complete = programs.all(|program| folder.join("bin").join(program).is_file());
        let found = fs::read_to_string(folder.join("ready"));
        let done = complete && found.is_ok_and(|found| found == wanted);
        (!done).then_some(Self { name, folder, wanted })
    }

    /// Builds the set beside its place, moves it there, checks it and declares it ready.
    fn make(self, build: impl FnOnce(&Path) -> Result<()>, check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        println!("tools: making the set `{}` in {}", self.name, self.folder.display());
        let fresh = self.folder.with_extension("partial");
        remove_folder(&fresh)?;
        fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
        build(&fresh)?;
        remove_folder(&self.folder)?;
        fs::rename(&fresh, &self.folder).with_context(|| format!("cannot rename {}", fresh.display()))?;
        check(&self.folder)?;
        let ready = self.folder.join("ready");
        fs::write(&ready, self.wanted).with_context(|| format!("cannot write {}", ready.display()))
    }
}

impl ToolSet {
    /// What a finished folder must have been made from.
    fn fingerprint(&self) -> String {
        format!("{:?} {:?} {:?}\n", self.own, self.newer, self.programs)
    }
}

/// Downloads and unpacks the packages; returns why not, on a machine without apt.
fn unpack(fresh: &Path, set: &ToolSet) -> Result<Option<String>> {
    for program in ["apt-get", "dpkg", "dpkg-deb"] {
        if shell::find_on_path(program).is_none() {
            return Ok(Some(format!("this machine has no {program}")));
        }
    }
    let archive = sources::machine_archive()?;
    let own = apt::Area::new(&fresh.join("apt-own"), &archive.own_lines())?;
    let mut packages = own.closure(set.own)?;
    let releases: BTreeSet<&str> = set.newer.iter().filter_map(|name| name.split('/').nth(1)).collect();
    if !releases.is_empty() {
        let newer = apt::Area::new(&fresh.join("apt-newer"), &archive.lines_for(&releases))?;
        packages.extend(newer.alone(set.newer)?);
    }
    for package in packages {
        // The file's name tells package and version.
        println!("tools: {}", package.file_stem().unwrap_or_default().display());
        shell::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(fresh.join("root")))?;
    }
    remove_folder(&fresh.join("apt-own"))?;
    remove_folder(&fresh.join("apt-newer"))?;
    Ok(None)
}

/// Writes one wrapper for each program: it adds the unpacked libraries to the loader's path and becomes the program.
///
/// A program that the packages did not bring, because the machine already has it, is taken from `PATH`.
fn write_wrappers(fresh: &Path, set: &ToolSet) -> Result<()> {
    let bin = fresh.join("bin");
    fs::create_dir_all(&bin)?;
    let mut missing = Vec::new();
    for (name, _) in set.programs {
        let target = match find_beneath(&fresh.join("root"), name) {
            Some(file) => format!("\"$here/root/{file}\""),
            None => match shell::find_on_path(name).or_else(|| {
                let file = find_beneath(Path::new("/"), name)?;
                Some(Path::new("/").join(file))
            }) {
                Some(file) => format!("'{}'", file.display()),
                None => {
                    missing.push(*name);
                    continue;
                }
            },
        };
        let libraries = format!("$here/root/usr/lib/{0}:$here/root/lib/{0}", multiarch());
        let script = format!(
            "#!/bin/sh\nhere=$(CDPATH= cd -- \"$(dirname -- \"$0\")/..\" && pwd)\n\
             LD_LIBRARY_PATH=\"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\nexport LD_LIBRARY_PATH\n\
             exec {target} \"$@\"\n"
        );
        write_program(&bin.join(name), &script)?;
    }
    if !missing.is_empty() {
        bail!("no package brought {}, and they are not on PATH: install them and run again", missing.join(", "));
    }
    Ok(())
}

/// The place of a program in the file system at `root`. Debian keeps each version of PostgreSQL in a folder of its own.
fn find_beneath(root: &Path, name: &str) -> Option<String> {
    let mut places: Vec<String> = ["usr/bin", "usr/sbin", "bin", "sbin"].map(str::to_owned).to_vec();
    let versions = fs::read_dir(root.join("usr/lib/postgresql")).into_iter().flatten().flatten();
    places.splice(0..0, versions.map(|version| format!("usr/lib/postgresql/{}/bin", version.file_name().display())));
    places.into_iter().map(|place| format!("{place}/{name}")).find(|file| root.join(file).is_file())
}

/// Writes a shell script that can be run.
fn write_program(file: &Path, script: &str) -> Result<()> {
    fs::write(file, script).with_context(|| format!("cannot write {}", file.display()))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", file.display()))
}

/// Debian's name for this machine's library folder.
fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// Runs every program once, so that one which cannot run here is told now and by name.
fn check_programs(bin: &Path, set: &ToolSet) -> Result<()> {
    for (name, arguments) in set.programs.iter().filter(|(_, arguments)| !arguments.is_empty()) {
        shell::capture(Command::new(bin.join(name)).args(*arguments))
            .with_context(|| format!("{name} was unpacked but does not run here"))?;
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
