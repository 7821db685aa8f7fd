//! `kogge scope-map`.

use std::str::FromStr;

use clap::{Args, Subcommand};

use super::ConsentArgs;
use super::server::{OfRegistryArgs, ServerArgs};
use crate::error::Error;

#[derive(Debug, Args)]
pub struct ScopeMapArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: ScopeMapVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeMapVerb {
    /// List the scope maps, those of the system among them
    List(OfRegistryArgs),
    /// Show a scope map
    Show(ScopeMapNameArgs),
    /// Make a scope map
    Create {
        #[command(flatten)]
        scope_map: ScopeMapNameArgs,
        /// What it allows, `team/app=content/read,content/write`; may be repeated
        #[arg(long, value_name = "REPOSITORY=ACTIONS", required = true)]
        add: Vec<Actions>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Change a scope map; tokens that have it may do so at once
    Update {
        #[command(flatten)]
        scope_map: ScopeMapNameArgs,
        /// What it allows too; may be repeated
        #[arg(long, value_name = "REPOSITORY=ACTIONS")]
        add: Vec<Actions>,
        /// What it no longer allows; may be repeated
        #[arg(long, value_name = "REPOSITORY=ACTIONS")]
        remove: Vec<Actions>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a scope map
    Delete {
        #[command(flatten)]
        scope_map: ScopeMapNameArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScopeMapNameArgs {
    /// The scope map's name
    #[arg(id = "scope_map", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) registry: OfRegistryArgs,
}

/// Actions on a repository, or on those of a pattern, each as scope maps write it:
/// `repositories/team/app/content/read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actions(Vec<String>);

impl Actions {
    /// The actions of many, each once and in their order.
    pub(crate) fn union(all: &[Self]) -> Vec<String> {
        let mut union: Vec<String> = Vec::new();
        for action in all.iter().flat_map(|actions| &actions.0) {
            if !union.contains(action) {
                union.push(action.clone());
            }
        }
        union
    }
}

impl FromStr for Actions {
    type Err = Error;

    /// Takes `team/app=content/read,metadata/read`, and what scope maps write. Whether it means something is the
    /// server's to say.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with("repositories/") && !text.contains('=') {
            return Ok(Self(vec![text.to_owned()]));
        }
        let parts = text.split_once('=').filter(|(repository, actions)| {
            !repository.is_empty() && actions.split(',').all(|action| action.contains('/'))
        });
        let Some((repository, actions)) = parts else {
            return Err(Error::usage(format!("`{text}` does not say what is allowed"))
                .hint("write REPOSITORY=ACTION[,ACTION], such as `team/*=content/read,metadata/read`")
                .hint("the actions are content/read, content/write, content/delete, metadata/read, metadata/write"));
        };
        Ok(Self(actions.split(',').map(|action| format!("repositories/{repository}/{action}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_written_as_scope_maps_write_them() {
        let read = |text: &str| text.parse::<Actions>().expect(text);
        let all = [
            read("team/*=content/read,content/write"),
            read("repositories/x/metadata/read"),
            read("team/*=content/read"),
        ];
        let union = Actions::union(&all);
        let expected =
            ["repositories/team/*/content/read", "repositories/team/*/content/write", "repositories/x/metadata/read"];
        assert_eq!(union, expected);
        for bad in ["", "team/app", "team/app=", "team/app=read", "=content/read", "team/app=content/read,"] {
            assert!(bad.parse::<Actions>().is_err(), "{bad}");
        }
    }
}
