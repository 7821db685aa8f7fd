//! Programs written in Python: an environment of their own, made by the machine's Python and filled by pip.
//!
//! pip reads the machine's own configuration, so packages come from the index that the machine uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Place, apt, remove_folder, sources, write_program};
use crate::shell;

/// Programs and libraries from Python's package index.
pub(super) struct PythonSet {
    /// Its folder in `.kogge-tools/`.
    name: &'static str,
    /// Packages as `name==version`, taken with what they depend on.
    packages: &'static [&'static str],
    /// What is compiled beforehand: all but the packages whose path matches this expression.
    uncompiled: &'static str,
    programs: &'static [Program],
}

/// One program of a set.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// Lines of the shell that come first. `$here` is the set's folder.
    before: &'static str,
    /// What follows the environment's Python.
    arguments: &'static str,
    /// Arguments that try it.
    trial: &'static [&'static str],
}

/// The Azure CLI and Azure's libraries for Python, of which `azure-cli` itself brings the management one.
pub(super) const AZURE: PythonSet = PythonSet {
    name: "azure",
    packages: &["azure-cli==2.91.0", "azure-containerregistry==1.2.0", "azure-identity==1.27.0"],
    uncompiled: "azure/(mgmt/(?!containerregistry|authorization|resource|core)|synapse|batch|ai|keyvault|storage|cosmos\
                 |cli/command_modules/(?!acr|role|resource|profile|cloud|config|util))",
    programs: &[
        Program { name: "az", before: KNOWN_VERSIONS, arguments: "-m azure.cli", trial: &["version"] },
        Program {
            name: "python",
            before: "",
            arguments: "",
            trial: &["-c", "import azure.containerregistry, azure.identity, azure.mgmt.containerregistry"],
        },
    ],
};

/// A CLI that knows of no versions looks for the newest of them. So it starts with what it learned at its trial.
const KNOWN_VERSIONS: &str = r#": "${AZURE_CONFIG_DIR:=$HOME/.azure}"
export AZURE_CONFIG_DIR
if [ -e "$here/settings/versionCheck.json" ] && [ ! -e "$AZURE_CONFIG_DIR/versionCheck.json" ]; then
    mkdir -p "$AZURE_CONFIG_DIR" && cp "$here/settings/versionCheck.json" "$AZURE_CONFIG_DIR/"
fi
"#;

/// What keeps the Azure CLI to what it is asked: no telemetry, no survey, no look for newer versions or extensions.
const QUIET: &[(&str, &str)] = &[
    ("AZURE_CORE_COLLECT_TELEMETRY", "no"),
    ("AZURE_CORE_SURVEY_MESSAGE", "no"),
    ("AZURE_CORE_NO_COLOR", "yes"),
    ("AZURE_AUTO_UPGRADE_ENABLE", "no"),
    ("AZURE_EXTENSION_USE_DYNAMIC_INSTALL", "no"),
    ("AZURE_CLIENTS_SHOW_SECRETS_WARNING", "no"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// Makes sure that every program of `set` is there and runs. Tests find them in `.kogge-tools/<set>/bin`.
///
/// Quick when all is present. Safe to interrupt: the next call starts over.
///
/// # Errors
/// The machine has no Python, or a package cannot be had, with the reason.
pub(super) fn ensure(root: &Path, set: &PythonSet) -> Result<()> {
    let Some(python) = shell::find_on_path("python3") else {
        bail!("this machine has no python3, which the Azure clients need: install it and run again");
    };
    // An environment ends to work when the Python it was made by is replaced.
    let version = shell::capture(Command::new(&python).arg("--version"))?;
    let wanted = format!("{} {:?} {:?} {:?} {QUIET:?}\n", version.trim(), set.packages, set.uncompiled, set.programs);
    let programs = set.programs.iter().map(|program| program.name);
    let Some(place) = Place::to_make(root, set.name, programs, wanted) else { return Ok(()) };
    place.make(|fresh| build(&python, fresh, set), |folder| check_programs(folder, set))
}

fn build(python: &Path, fresh: &Path, set: &PythonSet) -> Result<()> {
    let environment = fresh.join("venv");
    // Without pip: Debian keeps the part that would install it in a package that may be missing.
    shell::capture(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&environment))
        .context("cannot make a Python environment: install the venv module of this machine's Python and run again")?;
    let own = environment.join("bin/python");
    for package in set.packages {
        println!("tools: {package}");
    }
    let mut install = pip(python, fresh)?;
    install.arg("--python").arg(&own).arg("install");
    install.args(["--quiet", "--no-input", "--no-compile", "--no-cache-dir", "--disable-pip-version-check"]);
    shell::capture(install.args(set.packages)).context("pip cannot install the packages")?;
    remove_folder(&fresh.join("root"))?;
    shell::capture(
        Command::new(&own).args(["-m", "compileall", "-q", "-j", "0", "-x", set.uncompiled]).arg(libraries(&own)?),
    )?;
    let bin = fresh.join("bin");
    fs::create_dir_all(&bin)?;
    for Program { name, before, arguments, .. } in set.programs {
        let settings: String = QUIET.iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
        let script = format!(
            "#!/bin/sh\nhere=$(CDPATH= cd -- \"$(dirname -- \"$0\")/..\" && pwd)\n{settings}{before}\
             exec \"$here/venv/bin/python\" {arguments} \"$@\"\n"
        );
        write_program(&bin.join(name), &script)?;
    }
    Ok(())
}

/// A pip: the machine's own, else Debian's, unpacked beside the environment.
fn pip(python: &Path, fresh: &Path) -> Result<Command> {
    let mut command = Command::new(python);
    if shell::capture(Command::new(python).args(["-m", "pip", "--version"])).is_ok() {
        command.args(["-m", "pip"]);
        return Ok(command);
    }
    if shell::find_on_path("apt-get").is_none() || shell::find_on_path("dpkg-deb").is_none() {
        bail!("this machine's Python has no pip: install it and run again");
    }
    println!("tools: this machine's Python has no pip; taking Debian's");
    let area = apt::Area::new(&fresh.join("apt"), &sources::machine_archive()?.own_lines())?;
    let root = fresh.join("root");
    for package in area.alone(&["python3-pip-whl"])? {
        shell::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
    }
    remove_folder(&fresh.join("apt"))?;
    // A wheel is an archive that Python runs from.
    command.arg(wheel(&root.join("usr/share/python-wheels"))?.join("pip"));
    Ok(command)
}

/// The wheel of pip in `folder`.
fn wheel(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("pip-") {
            return Ok(entry.path());
        }
    }
    bail!("Debian's package of pip holds no wheel in {}", folder.display())
}

/// The folder of an environment's packages.
fn libraries(own: &Path) -> Result<PathBuf> {
    let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
    Ok(PathBuf::from(shell::capture(Command::new(own).args(["-c", script]))?.trim()))
}

/// Runs every program once, with a place of its own for what it remembers.
fn check_programs(folder: &Path, set: &PythonSet) -> Result<()> {
    for Program { name, trial, .. } in set.programs {
        let mut command = Command::new(folder.join("bin").join(name));
        shell::capture(command.args(*trial).env("AZURE_CONFIG_DIR", folder.join("settings")))
            .with_context(|| format!("{name} was installed but does not run here"))?;
    }
    Ok(())
}
