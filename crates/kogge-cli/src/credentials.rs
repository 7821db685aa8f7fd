//! Logins: found where Docker and Podman keep them, and kept there.

pub(crate) mod credential_file;
pub(crate) mod helper;

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kogge_types::RepositoryName;
use reqwest::header::HeaderValue;

use self::credential_file::CredentialFile;
use self::helper::Helper;
use crate::error::Result;
use crate::image_reference::RegistryHost;

/// What proves who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// An OAuth2 refresh token, which Docker calls an identity token.
    RefreshToken {
        token: String,
    },
}

/// The user name that stands for a refresh token in credential helpers.
pub(crate) const TOKEN_USER: &str = "<token>";

impl Credential {
    /// The credential that a user name and a secret stand for.
    pub(crate) fn new(user: String, secret: String) -> Self {
        if user == TOKEN_USER {
            Self::RefreshToken { token: secret }
        } else {
            Self::Password { user, password: secret }
        }
    }

    /// Who logs in, for messages.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } => user,
            Self::RefreshToken { .. } => TOKEN_USER,
        }
    }

    /// The Basic header; a refresh token has none.
    pub(crate) fn basic_header(&self) -> Option<HeaderValue> {
        match self {
            Self::Password { user, password } => Some(basic(user, password)),
            Self::RefreshToken { .. } => None,
        }
    }
}

/// Secrets are never printed.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user()).finish_non_exhaustive()
    }
}

/// The Basic `Authorization` header (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut header = HeaderValue::try_from(text).expect("base64 is visible ASCII");
    header.set_sensitive(true);
    header
}

/// The environment variables that say where logins are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(crate) registry_auth_file: Option<PathBuf>,
    pub(crate) docker_config: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) xdg_runtime_dir: Option<PathBuf>,
    pub(crate) xdg_config_home: Option<PathBuf>,
}

impl Places {
    pub(crate) fn from_environment() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            docker_config: path("DOCKER_CONFIG"),
            home: path("HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
        }
    }

    /// The files that may hold logins, the first one first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let docker = self.docker_folder().map(|folder| folder.join("config.json"));
        let containers = |folder: &PathBuf| folder.join("containers/auth.json");
        let config_home = self.xdg_config_home.clone().or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        self.registry_auth_file
            .clone()
            .into_iter()
            .chain(docker)
            .chain(self.xdg_runtime_dir.as_ref().map(containers))
            .chain(config_home.as_ref().map(containers))
            .collect()
    }

    /// The file that a login is written to.
    pub(crate) fn file_for_login(&self) -> Option<PathBuf> {
        self.files().into_iter().next()
    }

    fn docker_folder(&self) -> Option<PathBuf> {
        self.docker_config.clone().or_else(|| self.home.as_ref().map(|home| home.join(".docker")))
    }
}

/// Where a login was found or put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keeper {
    File(PathBuf),
    Helper(String),
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Helper(name) => write!(f, "the credential helper `docker-credential-{name}`"),
        }
    }
}

/// The logins of this user.
#[derive(Debug, Clone)]
pub(crate) struct CredentialStore {
    places: Places,
}

impl CredentialStore {
    pub(crate) fn new(places: Places) -> Self {
        Self { places }
    }

    /// The login for `host`, or the narrower one that Podman keeps for a repository of it. Runs helper processes.
    pub(crate) fn find(
        &self,
        host: &RegistryHost,
        repository: Option<&RepositoryName>,
    ) -> Result<Option<(Credential, Keeper)>> {
        for path in self.places.files() {
            let Some(file) = CredentialFile::read(&path)? else { continue };
            if let Some(name) = file.helper_for(host)
                && let Some(credential) = Helper::new(&name).get(host)?
            {
                return Ok(Some((credential, Keeper::Helper(name))));
            }
            if let Some(credential) = file.find(host, repository)? {
                return Ok(Some((credential, Keeper::File(path))));
            }
        }
        Ok(None)
    }

    /// Keeps a login: with the helper that the file names for the host, else in the file.
    pub(crate) fn save(&self, host: &RegistryHost, credential: &Credential) -> Result<Keeper> {
        let path = self.login_file()?;
        let mut file = CredentialFile::read(&path)?.unwrap_or_default();
        if let Some(name) = file.helper_for(host) {
            Helper::new(&name).store(host, credential)?;
            file.mark(host);
            file.write(&path)?;
            return Ok(Keeper::Helper(name));
        }
        file.put(host, credential);
        file.write(&path)?;
        Ok(Keeper::File(path))
    }

    /// Forgets the login for `host` wherever it is kept. Gives the places that had it.
    pub(crate) fn erase(&self, host: &RegistryHost) -> Result<Vec<Keeper>> {
        let mut erased = Vec::new();
        for path in self.places.files() {
            let Some(mut file) = CredentialFile::read(&path)? else { continue };
            if let Some(name) = file.helper_for(host)
                && Helper::new(&name).get(host)?.is_some()
            {
                Helper::new(&name).erase(host)?;
                erased.push(Keeper::Helper(name));
            }
            if file.remove(host) {
                file.write(&path)?;
                erased.push(Keeper::File(path));
            }
        }
        Ok(erased)
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    fn login_file(&self) -> Result<PathBuf> {
        self.places.file_for_login().ok_or_else(|| {
            crate::error::Error::general("no place for the login is known").hint("set HOME or DOCKER_CONFIG")
        })
    }
}

/// The names under which files and helpers keep a host's login.
pub(crate) fn keys_of(host: &RegistryHost) -> Vec<String> {
    if host.as_str() == "docker.io" {
        return vec!["https://index.docker.io/v1/".to_owned(), "index.docker.io".to_owned(), "docker.io".to_owned()];
    }
    vec![host.as_str().to_owned()]
}

/// Whether `path` can be run by its name through PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| Path::new(&folder).join(program).is_file())
}
