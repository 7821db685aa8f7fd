//! Docker's `config.json` and Podman's `auth.json`: the same form, read and changed without losing what others put in.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kogge_types::RepositoryName;
use serde_json::{Map, Value, json};

use super::{Credential, TOKEN_USER, keys_of};
use crate::error::{During as _, Error, Result};
use crate::image_reference::RegistryHost;

/// Bytes of a credential file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A credential file's content.
#[derive(Debug, Default)]
pub(crate) struct CredentialFile {
    content: Map<String, Value>,
}

impl CredentialFile {
    /// Reads the file; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        let size = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error).during(|| format!("read the logins in {shown}")),
        };
        if size > FILE_BYTES_MAX {
            return Err(Error::general(format!("{shown} is over {FILE_BYTES_MAX} bytes: no credential file")));
        }
        let text = std::fs::read(path).during(|| format!("read the logins in {shown}"))?;
        if text.trim_ascii().is_empty() {
            return Ok(Some(Self::default()));
        }
        // The parser's message says where, and never quotes the text.
        let content = serde_json::from_slice(&text).map_err(|error| {
            Error::general(format!("{shown} is not a credential file"))
                .because(error)
                .hint("repair it or move it away, then log in again")
        })?;
        Ok(Some(Self { content }))
    }

    /// The credential helper for the host: its own, or the one for all.
    pub(crate) fn helper_for(&self, host: &RegistryHost) -> Option<String> {
        let own = self.content.get("credHelpers").and_then(Value::as_object);
        let own = own.and_then(|helpers| keys_of(host).iter().find_map(|key| helpers.get(key)));
        let name = own.or_else(|| self.content.get("credsStore")).and_then(Value::as_str)?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Every helper that the file names.
    pub(crate) fn helpers(&self) -> Vec<String> {
        let own = self.content.get("credHelpers").and_then(Value::as_object);
        let mut names: Vec<String> = own
            .into_iter()
            .flat_map(Map::values)
            .chain(self.content.get("credsStore"))
            .filter_map(Value::as_str)
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The login that the file itself holds, the narrowest one for the repository first.
    pub(crate) fn find(&self, host: &RegistryHost, repository: Option<&RepositoryName>) -> Result<Option<Credential>> {
        let Some(entries) = self.entries() else { return Ok(None) };
        for wanted in candidates(host, repository) {
            let found = entries.iter().find(|(key, _)| normal(key) == wanted);
            if let Some((key, entry)) = found
                && let Some(credential) = read_entry(key, entry)?
            {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    pub(crate) fn put(&mut self, host: &RegistryHost, credential: &Credential) {
        let entry = match credential {
            Credential::Password { user, password } => json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }),
            Credential::RefreshToken { token } => {
                json!({ "auth": STANDARD.encode(format!("{TOKEN_USER}:")), "identitytoken": token })
            }
        };
        self.remove(host);
        self.entries_mut().insert(main_key(host), entry);
    }

    /// Leaves the empty entry by which Docker remembers that a helper has the login.
    pub(crate) fn mark(&mut self, host: &RegistryHost) {
        self.remove(host);
        self.entries_mut().insert(main_key(host), json!({}));
    }

    /// Takes the host's entries out. Says whether there was one.
    pub(crate) fn remove(&mut self, host: &RegistryHost) -> bool {
        let wanted = candidates(host, None);
        let entries = self.entries_mut();
        let before = entries.len();
        entries.retain(|key, _| !wanted.contains(&normal(key)));
        entries.len() < before
    }

    /// Writes the file whole: a temporary file beside it, readable by its owner alone, then a rename.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let action = || format!("write the login to {}", path.display());
        // A link stays a link: what it points to is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        create_private_folder(folder).during(action)?;
        let mut text = serde_json::to_vec_pretty(&self.content).expect("JSON values can be written");
        text.push(b'\n');
        // Such files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).during(action)?;
        file.write_all(&text).during(action)?;
        file.as_file().sync_all().during(action)?;
        file.persist(&path).map_err(|error| error.error).during(action)?;
        Ok(())
    }

    fn entries(&self) -> Option<&Map<String, Value>> {
        self.content.get("auths").and_then(Value::as_object)
    }

    fn entries_mut(&mut self) -> &mut Map<String, Value> {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        auths.as_object_mut().expect("it was made an object above")
    }
}

fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn main_key(host: &RegistryHost) -> String {
    keys_of(host).into_iter().next().expect("every host has a key")
}

/// The normal forms of the keys to look for, the narrowest first.
fn candidates(host: &RegistryHost, repository: Option<&RepositoryName>) -> Vec<String> {
    let hosts: Vec<String> = keys_of(host).iter().map(|key| normal(key)).collect();
    let mut wanted = Vec::new();
    let mut path = repository.map(RepositoryName::as_str);
    while let Some(current) = path {
        wanted.extend(hosts.iter().map(|host| format!("{host}/{current}")));
        path = current.rsplit_once('/').map(|(above, _)| above);
    }
    wanted.extend(hosts);
    wanted.dedup();
    wanted
}

/// A key without its scheme and without the API path that old clients wrote.
fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    key.to_ascii_lowercase()
}

fn read_entry(key: &str, entry: &Value) -> Result<Option<Credential>> {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = field("identitytoken") {
        return Ok(Some(Credential::RefreshToken { token: token.to_owned() }));
    }
    if let (Some(user), Some(password)) = (field("username"), field("password")) {
        return Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }));
    }
    let Some(auth) = field("auth") else { return Ok(None) };
    let unreadable = || {
        Error::general(format!("the login for {key} in the credential file is not readable"))
            .hint(format!("log in again: `kogge login {key}`"))
    };
    let decoded = STANDARD.decode(auth.trim()).map_err(|_| unreadable())?;
    let decoded = String::from_utf8(decoded).map_err(|_| unreadable())?;
    let (user, password) = decoded.split_once(':').ok_or_else(unreadable)?;
    let password = password.trim_end_matches('\0');
    Ok(Some(Credential::Password { user: user.to_owned(), password: password.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: Value) -> CredentialFile {
        let Value::Object(content) = content else { panic!("an object is wanted") };
        CredentialFile { content }
    }

    fn user_of(file: &CredentialFile, host: &str, repository: Option<&str>) -> Option<String> {
        let repository = repository.map(|name| name.parse().expect("a repository"));
        let found = file.find(&host.parse().expect("a host"), repository.as_ref()).expect("readable");
        found.map(|credential| credential.user().to_owned())
    }

    #[test]
    fn the_narrowest_entry_wins() {
        let auth = |user: &str| json!({ "auth": STANDARD.encode(format!("{user}:secret:with:colons")) });
        let file = file(json!({ "auths": {
            "reg.io": auth("host"), "reg.io/team": auth("team"), "reg.io/team/app": auth("app"),
            "https://old.io/v1/": auth("old"), "https://index.docker.io/v1/": auth("hub"), "empty.io": {},
        }}));
        let check = |host: &str, repository: Option<&str>, expected: Option<&str>| {
            assert_eq!(user_of(&file, host, repository).as_deref(), expected, "{host} {repository:?}");
        };
        check("reg.io", None, Some("host"));
        check("reg.io", Some("other"), Some("host"));
        check("reg.io", Some("teams"), Some("host"));
        check("reg.io", Some("team/other"), Some("team"));
        check("reg.io", Some("team/app"), Some("app"));
        check("reg.io", Some("team/app/part"), Some("app"));
        check("old.io", None, Some("old"));
        check("docker.io", Some("library/alpine"), Some("hub"));
        check("empty.io", None, None);
        check("reg.io:5000", None, None);
    }

    #[test]
    fn passwords_may_hold_colons_and_tokens_come_first() {
        let host: RegistryHost = "reg.io".parse().expect("a host");
        let mut file = CredentialFile::default();
        let login = Credential::Password { user: "me".to_owned(), password: "a:b:c".to_owned() };
        file.put(&host, &login);
        assert_eq!(file.find(&host, None).expect("readable"), Some(login));
        let token = Credential::RefreshToken { token: "abc".to_owned() };
        file.put(&host, &token);
        assert_eq!(file.find(&host, None).expect("readable"), Some(token));
        assert!(file.remove(&host));
        assert!(!file.remove(&host));
    }

    #[test]
    fn an_entry_that_is_no_login_is_an_error_without_its_text() {
        let file = file(json!({ "auths": { "reg.io": { "auth": "c2VjcmV0" } } }));
        let error = file.find(&"reg.io".parse().expect("a host"), None).expect_err("no colon");
        assert!(error.chain().contains("reg.io") && !error.chain().contains("secret"), "{}", error.chain());
    }

    #[test]
    fn helpers_are_chosen_by_host_then_for_all() {
        let file = file(json!({ "credsStore": "pass", "credHelpers": { "reg.io": "ecr", "none.io": "" } }));
        let helper = |host: &str| file.helper_for(&host.parse().expect("a host"));
        assert_eq!(helper("reg.io").as_deref(), Some("ecr"));
        assert_eq!(helper("other.io").as_deref(), Some("pass"));
        assert_eq!(helper("none.io"), None);
        assert_eq!(file.helpers(), ["ecr", "pass"]);
    }

    #[test]
    fn writing_keeps_what_others_wrote_and_hides_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("docker/config.json");
        std::fs::create_dir(folder.path().join("docker")).expect("made");
        std::fs::write(&path, r#"{"psFormat":"x","auths":{"a.io":{"auth":"YTpi"}}}"#).expect("written");
        let mut file = CredentialFile::read(&path).expect("readable").expect("there");
        file.put(&"b.io".parse().expect("a host"), &Credential::new("u".to_owned(), "p".to_owned()));
        file.write(&path).expect("written");
        let again = CredentialFile::read(&path).expect("readable").expect("there");
        assert_eq!(again.content["psFormat"], "x");
        assert_eq!(user_of(&again, "a.io", None).as_deref(), Some("a"));
        assert_eq!(user_of(&again, "b.io", None).as_deref(), Some("u"));
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path().join("docker")).expect("listed").count(), 1);
    }

    #[test]
    fn what_is_not_there_is_empty_and_what_is_broken_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.json");
        assert!(CredentialFile::read(&path).expect("no error").is_none());
        std::fs::write(&path, " \n").expect("written");
        assert!(CredentialFile::read(&path).expect("no error").is_some());
        std::fs::write(&path, "[]").expect("written");
        assert!(CredentialFile::read(&path).is_err());
    }
}
