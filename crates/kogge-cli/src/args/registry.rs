//! `kogge registry`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use kogge_types::RepositoryPattern;

use super::ConsentArgs;
use super::server::ServerArgs;
use crate::error::Error;

#[derive(Debug, Args)]
pub struct RegistryVerbArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: RegistryVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryVerb {
    /// List the registries
    List {
        /// Only those in this resource group
        #[arg(long, short = 'g', value_name = "NAME")]
        resource_group: Option<String>,
    },
    /// Show a registry
    Show(NamedArgs),
    /// Make a registry
    Create {
        /// The registry's name: 5 to 50 letters and digits
        name: String,
        /// The resource group that the registry will be in
        #[arg(long, short = 'g', value_name = "NAME", default_value = "default")]
        resource_group: String,
        /// Where the registry is; without it, where its resource group is
        #[arg(long, short, value_name = "NAME")]
        location: Option<String>,
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Change a registry; what no flag names stays as it is
    Update {
        #[command(flatten)]
        registry: NamedArgs,
        #[command(flatten)]
        settings: SettingArgs,
        /// No longer let these addresses in; may be repeated
        #[arg(long, value_name = "CIDR")]
        remove_ip: Vec<String>,
        /// Take this tag of the resource away; may be repeated
        #[arg(long, value_name = "NAME")]
        untag: Vec<String>,
    },
    /// Delete a registry with everything in it
    Delete {
        #[command(flatten)]
        registry: NamedArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Show how much of its limits a registry uses
    Usage(NamedArgs),
    /// Ask whether a new registry may have this name
    CheckName {
        /// The name
        name: String,
    },
}

/// A registry by its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamedArgs {
    /// The registry's name
    pub(crate) name: String,
    /// The resource group that the registry is in; without it, the registry is looked for
    #[arg(long, short = 'g', value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
}

/// What can be said of a registry when it is made and later.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingArgs {
    /// The tier; it is noted and shown, and limits nothing [a new registry: premium]
    #[arg(long, value_enum, ignore_case = true, value_name = "TIER")]
    pub(crate) sku: Option<Sku>,
    /// Whether the admin user may log in
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) admin_enabled: Option<bool>,
    /// Whether anybody may pull from every repository
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) anonymous_pull: Option<bool>,
    /// Let anybody pull from these repositories, a name or `team/*`; may be repeated; `none` takes all back
    #[arg(long, value_name = "PATTERN")]
    pub(crate) anonymous_repositories: Vec<String>,
    /// Whether roles are held on the whole registry, or on repositories by conditions
    #[arg(long, value_enum, ignore_case = true, value_name = "MODE")]
    pub(crate) role_mode: Option<RoleMode>,
    /// Whether the registry can be reached at all
    #[arg(long, value_enum, ignore_case = true, value_name = "SWITCH")]
    pub(crate) public_network: Option<Switch>,
    /// What happens to addresses that no rule lets in
    #[arg(long, value_enum, ignore_case = true, value_name = "ACTION")]
    pub(crate) default_action: Option<DefaultAction>,
    /// Let these addresses in, `203.0.113.7` or `203.0.113.0/24`; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow_ip: Vec<String>,
    /// How many bytes the repositories of a pattern may hold together, `team/*=10GiB`; `*=none` takes a quota away; may
    /// be repeated
    #[arg(long, value_name = "PATTERN=BYTES")]
    pub(crate) quota: Vec<QuotaChange>,
    /// A tag of the resource; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) tag: Vec<ResourceTag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sku {
    Basic,
    Standard,
    Premium,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleMode {
    /// Roles are held on the whole registry
    Rbac,
    /// Roles may be held on some repositories, by conditions
    RbacAbac,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DefaultAction {
    Allow,
    Deny,
}

/// A quota that is set, or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaChange {
    pub(crate) repositories: RepositoryPattern,
    /// `None` takes the quota away.
    pub(crate) bytes: Option<u64>,
}

impl FromStr for QuotaChange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            Error::usage(format!("`{text}` is no quota: {why}")).hint("write PATTERN=BYTES, such as `team/*=10GiB`")
        };
        let (pattern, amount) = text.rsplit_once('=').ok_or_else(|| bad("it has no `=`"))?;
        let repositories =
            pattern.parse().map_err(|_| bad("its pattern is not `*`, a repository's name or `team/*`"))?;
        let bytes = match amount {
            "none" => None,
            amount => Some(read_bytes(amount).ok_or_else(|| bad("its bytes are no number of bytes"))?),
        };
        Ok(Self { repositories, bytes })
    }
}

/// A number of bytes: `1048576`, `10MiB`, `2GB`.
fn read_bytes(text: &str) -> Option<u64> {
    /// Each unit with its base and how often it is multiplied.
    const UNITS: [(&str, u64, u32); 9] = [
        ("", 1, 0),
        ("B", 1, 0),
        ("KiB", 1024, 1),
        ("MiB", 1024, 2),
        ("GiB", 1024, 3),
        ("TiB", 1024, 4),
        ("MB", 1000, 2),
        ("GB", 1000, 3),
        ("TB", 1000, 4),
    ];
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, base, times) = UNITS.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(base.pow(times))
}

/// A tag of a managed resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceTag {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for ResourceTag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err(Error::usage(format!("`{text}` is no tag: write NAME=VALUE"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_with_their_units() {
        let check = |text: &str, pattern: &str, bytes: Option<u64>| {
            let quota: QuotaChange = text.parse().expect(text);
            assert_eq!((quota.repositories.to_string().as_str(), quota.bytes), (pattern, bytes), "{text}");
        };
        check("*=0", "*", Some(0));
        check("team/*=10GiB", "team/*", Some(10 << 30));
        check("team/app=2gb", "team/app", Some(2_000_000_000));
        check("team/app=1024 KiB", "team/app", Some(1 << 20));
        check("*=none", "*", None);
        for bad in ["", "*", "*=", "=1", "*=1.5GiB", "*=-1", "*=1x", "a*b=1", "*=99999999TiB"] {
            assert!(bad.parse::<QuotaChange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_may_be_empty_but_not_nameless() {
        let tag: ResourceTag = "env=a=b".parse().expect("a tag");
        assert_eq!((tag.name.as_str(), tag.value.as_str()), ("env", "a=b"));
        assert_eq!("env=".parse::<ResourceTag>().expect("a tag").value, "");
        assert!("=x".parse::<ResourceTag>().is_err() && "env".parse::<ResourceTag>().is_err());
    }
}
