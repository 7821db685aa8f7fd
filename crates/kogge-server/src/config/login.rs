//! `[login]`: the admin's password and who may pull without one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::problem::Problems;
use super::secret::{Secret, Sources};

/// The variable that holds the admin's password.
const ADMIN_PASSWORD_VARIABLE: &str = "KOGGE_ADMIN_PASSWORD";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLogin {
    pub(super) anonymous_pull: Option<bool>,
    pub(super) admin_password: Option<String>,
    pub(super) admin_password_file: Option<PathBuf>,
}

/// The admin's password and who may pull without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Login {
    /// Lets anyone pull without a login. Default false.
    pub anonymous_pull: bool,
    /// Password of the user `admin`, from the file, from `admin-password-file` or from `KOGGE_ADMIN_PASSWORD`, exactly
    /// one of them. Default none: one is made on the first start and printed once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<Secret>,
}

impl Login {
    pub(super) fn check(raw: RawLogin, environment: &Environment, problems: &mut Problems) -> Self {
        let sources = Sources {
            key: "login.admin-password",
            value: raw.admin_password,
            file: raw.admin_password_file.as_deref(),
            variable: ADMIN_PASSWORD_VARIABLE,
            environment: environment.get(ADMIN_PASSWORD_VARIABLE),
        };
        Self { anonymous_pull: raw.anonymous_pull.unwrap_or(false), admin_password: sources.pick(problems) }
    }
}
