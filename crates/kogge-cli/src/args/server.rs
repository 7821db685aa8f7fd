//! Which server a management verb speaks to, and who asks.

use clap::Args;

use crate::management::address::ServerAddress;

/// The server that verbs mean when none is named: where `kogge serve` listens.
const SERVER_DEFAULT: &str = "localhost:5000";
/// Over the flags that every management verb has, in the help.
const HEADING: &str = "Which server, and who asks";

/// Flags that every management verb has.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server, `https://host[:port]`: its bare domain, not a registry's login server
    #[arg(long, global = true, help_heading = HEADING, value_name = "URL", env = "KOGGE_SERVER", default_value = SERVER_DEFAULT)]
    pub(crate) server: ServerAddress,
    /// Ask as this user, or as the service principal of this application id, instead of as who is logged in
    #[arg(long, short, global = true, help_heading = HEADING, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Read the password of --username from standard input
    #[arg(long, global = true, help_heading = HEADING, requires = "username")]
    pub(crate) password_stdin: bool,
}

/// The registry that a verb is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct OfRegistryArgs {
    /// The registry
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    pub(crate) registry: String,
    /// The resource group that the registry is in; without it, the registry is looked for
    #[arg(long, short = 'g', value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
}
