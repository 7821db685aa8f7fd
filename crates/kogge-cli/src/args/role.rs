//! `kogge role`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use kogge_types::RepositoryPattern;

use super::ConsentArgs;
use super::server::ServerArgs;

#[derive(Debug, Args)]
pub struct RoleArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: RoleVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleVerb {
    /// List the roles that there are
    List {
        /// Only the one of this name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// List who has which role
    Assignments {
        /// At this place, beneath it and above it: a registry's name or a path; without it everywhere
        #[arg(long, value_name = "SCOPE")]
        scope: Option<String>,
        /// Only those of this user, group or service principal: its name or object id
        #[arg(long, value_name = "WHO")]
        to: Option<String>,
    },
    /// Give somebody a role
    Assign {
        #[command(flatten)]
        assignment: AssignmentArgs,
        /// What kind of principal it is, when another issuer vouches for it and the directory does not know it
        #[arg(long, value_enum, ignore_case = true, value_name = "KIND")]
        principal_type: Option<PrincipalType>,
        /// Only for these repositories, a name or `team/*`; may be repeated. Takes a registry whose role mode is rbac-abac
        #[arg(long, value_name = "PATTERN", conflicts_with = "condition")]
        repositories: Vec<RepositoryPattern>,
        /// Only under this condition, in Azure's language
        #[arg(long, value_name = "TEXT")]
        condition: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Take a role away
    Unassign(UnassignArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrincipalType {
    User,
    Group,
    ServicePrincipal,
}

/// Who has which role where.
#[derive(Debug, Clone, Args)]
pub(crate) struct AssignmentArgs {
    /// The role: its name, such as AcrPull, or its id
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
    /// The user, group or service principal: its name or object id
    #[arg(long, value_name = "WHO")]
    pub(crate) to: String,
    /// Where: a registry's name, or a path such as `/subscriptions/…/resourceGroups/default`, or `/`
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["id", "role"]).required(true))]
pub(crate) struct UnassignArgs {
    /// The assignment's id, as `assignments` prints it with --output json
    #[arg(long, value_name = "ID", conflicts_with_all = ["role", "to", "scope"])]
    pub(crate) id: Option<String>,
    /// The role: its name or its id
    #[arg(long, value_name = "ROLE", requires_all = ["to", "scope"])]
    pub(crate) role: Option<String>,
    /// Who has it: a name or an object id
    #[arg(long, value_name = "WHO", requires = "role")]
    pub(crate) to: Option<String>,
    /// Where exactly: a registry's name or a path
    #[arg(long, value_name = "SCOPE", requires = "role")]
    pub(crate) scope: Option<String>,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
