//! The command line of the remote verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kogge_types::Tag;

use self::audit::AuditArgs;
use self::credential::CredentialArgs;
use self::registry::RegistryVerbArgs;
use self::role::RoleArgs;
use self::scope_map::ScopeMapArgs;
use self::token::TokenArgs;
use crate::image_reference::{ImageReference, RegistryHost, RepositoryReference};
use crate::output::query::Query;
use crate::platform::Platform;

pub(crate) mod audit;
pub(crate) mod credential;
pub(crate) mod registry;
pub(crate) mod role;
pub(crate) mod scope_map;
pub(crate) mod server;
pub(crate) mod token;

/// The registry that verbs mean when none is named: where `kogge serve` listens.
const REGISTRY_DEFAULT: &str = "localhost:5000";

/// The verbs that speak to a registry.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to a registry and keep the login where Docker keeps it
    Login(LoginArgs),
    /// Forget the login of a registry
    Logout(RegistryArgs),
    /// Repositories: list, show, delete
    #[command(subcommand)]
    Repo(RepoCommand),
    /// Tags: list, delete
    #[command(subcommand)]
    Tag(TagCommand),
    /// Manifests: show, list, delete
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Copy an image from a registry to an OCI layout directory or a tar of one
    Pull(PullArgs),
    /// Copy an image from an OCI layout directory or a tar of one to a registry
    Push(PushArgs),
    /// Copy images between registries, OCI layout directories and tars of them
    #[command(after_help = COPY_HELP)]
    Copy(CopyArgs),
    /// Check step by step whether a registry can be reached and used
    Doctor(DoctorArgs),
    /// Registries of a server: list, show, create, update, delete, usage, check-name
    Registry(RegistryVerbArgs),
    /// A registry's admin user: show, renew
    Credential(CredentialArgs),
    /// Repository-scoped tokens of a registry: list, show, create, update, delete, password
    Token(TokenArgs),
    /// What tokens may do: list, show, create, update, delete
    ScopeMap(ScopeMapArgs),
    /// Roles: list, assignments, assign, unassign
    Role(RoleArgs),
    /// Who did what, and who was refused
    #[command(after_help = audit::HELP)]
    Audit(AuditArgs),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
}

const COPY_HELP: &str = "\
A place is one of:
  HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]   an image on a registry
  oci:DIR[:TAG|@DIGEST]                   an image in an OCI layout directory
  oci-archive:FILE.tar[:TAG|@DIGEST]      an image in a tar of one

A target without a tag gets the source's. With --all, both places are registries; with --all-tags, repositories.
An interrupted copy goes on where it stopped when the same command is run again.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not logged in or not allowed, 5 network.";

/// Over the flags that every verb has, in the help.
const GLOBAL_HEADING: &str = "Options of the verbs that speak to a registry";

/// Flags that every verb has.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// How results are printed
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_enum, default_value_t = OutputForm::Table, value_name = "FORM")]
    pub(crate) output: OutputForm,
    /// Print only what this JMESPath expression picks of the result, https://jmespath.org
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "JMESPATH")]
    pub(crate) query: Option<Query>,
    /// Speak plain HTTP to registries (this machine's own are tried by TLS first, then by plain HTTP)
    #[arg(long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) plain_http: bool,
    /// Do not check registries' TLS certificates
    #[arg(long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) insecure: bool,
    /// Trust the certificate authorities in this PEM file too
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// No progress bars and no notes
    #[arg(long, short, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) quiet: bool,
    /// How many blobs are copied at once
    #[arg(long, global = true, help_heading = GLOBAL_HEADING, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people
    Table,
    Json,
    /// Values with tabs between them, without a header
    Tsv,
}

#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// The registry, `host[:port]`
    #[arg(default_value = REGISTRY_DEFAULT, env = "KOGGE_REGISTRY")]
    pub(crate) registry: RegistryHost,
}

#[derive(Args)]
pub struct LoginArgs {
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// The user name
    #[arg(long, short)]
    pub(crate) username: Option<String>,
    /// The password; others on this machine may see it, so rather use --password-stdin
    #[arg(long, short, conflicts_with = "password_stdin")]
    pub(crate) password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Secrets are never printed.
impl std::fmt::Debug for LoginArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (registry, username) = (&self.registry, &self.username);
        f.debug_struct("LoginArgs").field("registry", registry).field("username", username).finish_non_exhaustive()
    }
}

#[derive(Debug, Subcommand)]
pub enum RepoCommand {
    /// List the repositories of a registry
    List(RegistryArgs),
    /// Show a repository's attributes
    Show(RepositoryArgs),
    /// Delete a repository with all its manifests and tags
    Delete {
        #[command(flatten)]
        repository: RepositoryArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum TagCommand {
    /// List the tags of a repository
    List(RepositoryArgs),
    /// Delete a tag; its manifest stays
    Delete(ImageArgs),
}

#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Show a manifest
    Show(ShowArgs),
    /// List the manifests of a repository
    List(RepositoryArgs),
    /// Delete a manifest with all its tags and referrers
    Delete {
        #[command(flatten)]
        image: ImageArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Print the manifest's exact bytes
    #[arg(long)]
    pub(crate) raw: bool,
    /// Show the image of an index for this platform, `os/architecture[/variant]`
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub struct RepositoryArgs {
    /// The repository, `host[:port]/name`
    pub(crate) repository: RepositoryReference,
}

#[derive(Debug, Args)]
pub struct ImageArgs {
    /// The image, `host[:port]/name[:tag][@digest]`
    pub(crate) image: ImageReference,
}

#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// Do not ask whether to go on
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What is copied along with an image.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// Copy only the image of an index for this platform, `os/architecture[/variant]`
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// Copy what refers to the image too: signatures, SBOMs
    #[arg(long)]
    pub(crate) referrers: bool,
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// The image, `host[:port]/name[:tag][@digest]`
    pub(crate) image: ImageReference,
    /// A layout directory, or a file whose name ends in `.tar`; `oci:` and `oci-archive:` forms too
    pub(crate) dest: String,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct PushArgs {
    /// A layout directory, or a file whose name ends in `.tar`; `oci:` and `oci-archive:` forms too
    pub(crate) src: String,
    /// Where to, `host[:port]/name[:tag]`
    pub(crate) image: ImageReference,
    /// A further tag for the image; may be repeated
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<Tag>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct CopyArgs {
    /// The place to copy from; with --all a registry, with --all-tags a repository
    pub(crate) src: String,
    /// The place to copy to
    pub(crate) dst: String,
    /// A further tag for the image at the target; may be repeated
    #[arg(long, value_name = "TAG", conflicts_with_all = ["all", "all_tags"])]
    pub(crate) tag: Vec<Tag>,
    /// Copy a whole registry: every repository, tag and referrer
    #[arg(long, conflicts_with_all = ["all_tags", "platform"])]
    pub(crate) all: bool,
    /// Copy a whole repository: every tag and referrer
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_tags: bool,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// Check pulling with this repository, instead of the first one of the catalog
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<kogge_types::RepositoryName>,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
