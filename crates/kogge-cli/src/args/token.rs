//! `kogge token`.

use clap::{Args, Subcommand, ValueEnum};

use super::ConsentArgs;
use super::scope_map::Actions;
use super::server::{OfRegistryArgs, ServerArgs};
use crate::when::Period;

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// List the tokens
    List(OfRegistryArgs),
    /// Show a token
    Show(TokenNameArgs),
    /// Make a token, and print its passwords once
    Create {
        #[command(flatten)]
        token: TokenNameArgs,
        /// What it may do: a scope map's name
        #[arg(long, value_name = "NAME", required_unless_present = "repository", conflicts_with = "repository")]
        scope_map: Option<String>,
        /// What it may do, `team/app=content/read,content/write`; may be repeated. A scope map is made of it
        #[arg(long, value_name = "REPOSITORY=ACTIONS")]
        repository: Vec<Actions>,
        /// Whether it may log in
        #[arg(long, value_enum, ignore_case = true, value_name = "STATUS", default_value_t = TokenStatus::Enabled)]
        status: TokenStatus,
        /// How long its passwords are good, `30d`; without it, for ever
        #[arg(long, value_name = "TIME")]
        expires_in: Option<Period>,
        /// Make no passwords yet
        #[arg(long, conflicts_with = "expires_in")]
        no_passwords: bool,
    },
    /// Change a token
    Update {
        #[command(flatten)]
        token: TokenNameArgs,
        /// Another scope map
        #[arg(long, value_name = "NAME")]
        scope_map: Option<String>,
        /// Whether it may log in
        #[arg(long, value_enum, ignore_case = true, value_name = "STATUS")]
        status: Option<TokenStatus>,
    },
    /// Delete a token
    Delete {
        #[command(flatten)]
        token: TokenNameArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Make new passwords, and print them once; the ones before are void at once
    Password {
        #[command(flatten)]
        token: TokenNameArgs,
        /// Which of the two; without it both
        #[arg(long, value_enum, ignore_case = true, value_name = "WHICH")]
        name: Option<TokenPassword>,
        /// How long they are good, `30d`; without it, for ever
        #[arg(long, value_name = "TIME")]
        expires_in: Option<Period>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TokenNameArgs {
    /// The token's name
    #[arg(id = "token", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) registry: OfRegistryArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenStatus {
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenPassword {
    Password1,
    Password2,
}
