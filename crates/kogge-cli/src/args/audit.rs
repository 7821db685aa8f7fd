//! `kogge audit`.

use clap::{Args, ValueEnum};

use super::server::ServerArgs;
use crate::when::Moment;

pub(super) const HELP: &str = "\
With --registry, everything about that registry: logins, pulls, pushes, deletes, refusals, changes. Without it, of the
whole server, which takes the right to read it all. On the server's machine, `kogge admin audit` asks without a login.";

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Only of this registry
    #[arg(long, short, value_name = "NAME")]
    pub(crate) registry: Option<String>,
    /// The resource group that the registry is in; without it, the registry is looked for
    #[arg(long, short = 'g', value_name = "NAME", requires = "registry")]
    pub(crate) resource_group: Option<String>,
    /// Not before: `1h`, `2d`, `2026-11-24` or `2026-11-24T08:00:00Z`
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) since: Moment,
    /// Before
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub(crate) until: Option<Moment>,
    /// Only events of these kinds; may be repeated
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', value_name = "KIND")]
    pub(crate) kind: Vec<EventKind>,
    /// Only what this user, service principal or token did
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// Only about repositories of this pattern
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: Option<kogge_types::RepositoryPattern>,
    /// Only of this operation, such as Push
    #[arg(long, value_name = "NAME")]
    pub(crate) operation: Option<String>,
    /// Only with this result: a status such as 403, a denial's reason, or Failed
    #[arg(long, value_name = "RESULT")]
    pub(crate) result: Option<String>,
    /// At most so many events, the newest ones
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Go on with new events as they come, the oldest first
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventKind {
    Login,
    Repository,
    Denial,
    Management,
    Notice,
}
