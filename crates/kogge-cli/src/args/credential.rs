//! `kogge credential`.

use clap::{Args, Subcommand, ValueEnum};

use super::server::{OfRegistryArgs, ServerArgs};

#[derive(Debug, Args)]
pub struct CredentialArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: CredentialVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialVerb {
    /// Show the name and the passwords of a registry's admin user
    Show(OfRegistryArgs),
    /// Make a password of the admin user anew; the one before is void at once
    Renew {
        #[command(flatten)]
        registry: OfRegistryArgs,
        /// Which of the two
        #[arg(long, value_enum, ignore_case = true, value_name = "WHICH")]
        name: AdminPassword,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AdminPassword {
    Password,
    Password2,
}
