//! How requests prove who sends them: anonymous, Basic, or a bearer token fetched from the realm of a challenge.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kogge_types::{Action, RepositoryName, Scope};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::failure::{self, Asker};
use crate::credentials::{Credential, basic};
use crate::error::{Error, Kind, Result};
use crate::image_reference::RegistryHost;

/// How long a token is good when its answer does not say (Docker token specification).
const TOKEN_LIFE_DEFAULT: Duration = Duration::from_secs(60);
/// How long before its end a token is no longer used.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Bytes of a token answer.
const TOKEN_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How the token service is told who asks.
const CLIENT_ID: &str = "kogge";

/// The scopes that a request needs, as tokens write them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Scopes(BTreeSet<String>);

impl Scopes {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn catalog() -> Self {
        Self(BTreeSet::from([Scope::catalog().to_string()]))
    }

    pub(crate) fn repository(name: &RepositoryName, actions: &[Action]) -> Self {
        let mut scope = Scope::repository(name.clone(), Action::Pull);
        scope.actions = actions.iter().copied().collect();
        Self(BTreeSet::from([scope.to_string()]))
    }

    pub(crate) fn pull(name: &RepositoryName) -> Self {
        Self::repository(name, &[Action::Pull])
    }

    pub(crate) fn push(name: &RepositoryName) -> Self {
        Self::repository(name, &[Action::Pull, Action::Push])
    }

    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// What the registry wants to see, learnt from its challenges.
#[derive(Debug, Clone)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Token {
    header: HeaderValue,
    good_until: Instant,
}

#[derive(Default)]
struct State {
    scheme: Option<Scheme>,
    tokens: HashMap<Scopes, Token>,
}

/// Keeps the credential of one registry and the tokens got with it, one per set of scopes.
pub(crate) struct Authorizer {
    host: RegistryHost,
    credential: Option<Credential>,
    /// Whether the registry itself is asked in clear, so that a realm in clear is no step down.
    clear: bool,
    state: Mutex<State>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    token: Option<String>,
    expires_in: Option<u64>,
}

impl Authorizer {
    pub(crate) fn new(host: RegistryHost, credential: Option<Credential>, clear: bool) -> Self {
        Self { host, credential, clear, state: Mutex::default() }
    }

    /// Who is logged in, for messages.
    pub(crate) fn user(&self) -> Option<&str> {
        self.credential.as_ref().map(Credential::user)
    }

    /// The `Authorization` header for a request with `scopes`; none while the registry has not asked for one.
    pub(crate) async fn header(&self, http: &reqwest::Client, scopes: &Scopes) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        match state.scheme.clone() {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(self.credential.as_ref().and_then(Credential::basic_header)),
            Some(Scheme::Bearer { realm, service }) => {
                if let Some(token) = state.tokens.get(scopes).filter(|token| token.good_until > Instant::now()) {
                    return Ok(Some(token.header.clone()));
                }
                let token = self.fetch(http, &realm, service.as_deref(), scopes).await?;
                let header = token.header.clone();
                state.tokens.insert(scopes.clone(), token);
                Ok(Some(header))
            }
        }
    }

    /// Learns from a 401. `sent` is the header that was refused. The answer says whether asking again makes sense.
    pub(crate) async fn learn(
        &self,
        http: &reqwest::Client,
        headers: &HeaderMap,
        scopes: &Scopes,
        sent: Option<&HeaderValue>,
    ) -> Result<bool> {
        let challenges: Vec<Challenge> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Challenge::parse_all)
            .collect();
        let mut state = self.state.lock().await;
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let realm = self.realm(bearer)?;
            let service = bearer.parameter("service").map(ToOwned::to_owned);
            let asked = bearer.parameter("scope").into_iter().flat_map(str::split_ascii_whitespace);
            let wanted = scopes.clone().and(Scopes(asked.map(ToOwned::to_owned).collect()));
            // Another task may have fetched a newer token meanwhile.
            let newer = state.tokens.get(scopes).is_some_and(|token| Some(&token.header) != sent);
            state.scheme = Some(Scheme::Bearer { realm: realm.clone(), service: service.clone() });
            if !newer {
                let token = self.fetch(http, &realm, service.as_deref(), &wanted).await?;
                state.tokens.insert(scopes.clone(), token);
            }
            return Ok(true);
        }
        if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            state.scheme = Some(Scheme::Basic);
            return Ok(sent.is_none() && self.credential.as_ref().is_some_and(|own| own.basic_header().is_some()));
        }
        Ok(false)
    }

    fn realm(&self, bearer: &Challenge) -> Result<Url> {
        let text = bearer.parameter("realm").unwrap_or_default();
        let realm = Url::parse(text)
            .map_err(|error| Error::general(format!("{} names no usable token realm", self.host)).because(error))?;
        let steps_down = match realm.scheme() {
            "https" => false,
            "http" => !self.clear,
            _ => true,
        };
        if steps_down {
            let message = format!("{} is asked over TLS, but its token realm {realm} is not", self.host);
            return Err(
                Error::new(Kind::Denied, message).hint("the credentials were not sent; fix the registry's realm")
            );
        }
        Ok(realm)
    }

    /// Fetches a token: by OAuth2 with a refresh token, else by Docker's GET form with Basic or anonymously. A realm
    /// that does not know the GET form is asked by OAuth2 with the password.
    async fn fetch(
        &self,
        http: &reqwest::Client,
        realm: &Url,
        service: Option<&str>,
        scopes: &Scopes,
    ) -> Result<Token> {
        if let Some(Credential::RefreshToken { token }) = &self.credential {
            return self.fetch_oauth2(http, realm, service, scopes, &[("refresh_token", token)]).await;
        }
        let mut url = realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            for scope in &scopes.0 {
                query.append_pair("scope", scope);
            }
            query.append_pair("client_id", CLIENT_ID);
        }
        let mut request = http.get(url).timeout(super::ANSWER_PATIENCE);
        if let Some(Credential::Password { user, password }) = &self.credential {
            request = request.header(AUTHORIZATION, basic(user, password));
        }
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        match (answer.status(), &self.credential) {
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, Some(Credential::Password { user, password })) => {
                let form = [("username", user.as_str()), ("password", password.as_str())];
                self.fetch_oauth2(http, realm, service, scopes, &form).await
            }
            _ => self.read_token(answer).await,
        }
    }

    async fn fetch_oauth2(
        &self,
        http: &reqwest::Client,
        realm: &Url,
        service: Option<&str>,
        scopes: &Scopes,
        proof: &[(&str, &str)],
    ) -> Result<Token> {
        let scope = scopes.0.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let grant = if proof.iter().any(|(name, _)| *name == "refresh_token") { "refresh_token" } else { "password" };
        let mut form = vec![("grant_type", grant), ("client_id", CLIENT_ID)];
        form.extend(service.map(|service| ("service", service)));
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        form.extend(proof);
        let request = http.post(realm.clone()).timeout(super::ANSWER_PATIENCE).form(&form);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        self.read_token(answer).await
    }

    async fn read_token(&self, answer: reqwest::Response) -> Result<Token> {
        let action = format!("get a token for {}", self.host);
        if !answer.status().is_success() {
            let asker = Asker { host: &self.host, user: self.user() };
            let error = failure::of_answer(answer, &action, &asker).await;
            return Err(if error.kind == Kind::Denied && self.credential.is_some() {
                error.hint(format!("the password may be wrong or out of date; run `kogge login {}`", self.host))
            } else {
                error
            });
        }
        let unusable = || Error::general(format!("cannot {action}: the answer holds no token"));
        let body = super::read_bounded(answer, TOKEN_ANSWER_BYTES_MAX, &action, &self.host).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|error| unusable().because(error))?;
        let token = answer.access_token.or(answer.token).filter(|token| !token.is_empty()).ok_or_else(unusable)?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unusable())?;
        header.set_sensitive(true);
        let life =
            answer.expires_in.map_or(TOKEN_LIFE_DEFAULT, |seconds| Duration::from_secs(seconds.clamp(1, 86_400)));
        let margin = TOKEN_MARGIN.min(life / 2);
        Ok(Token { header, good_until: Instant::now() + (life - margin) })
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        failure::of_transport(error, &format!("get a token for {}", self.host), &self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_sent_to_a_realm_in_clear_when_the_registry_has_tls() {
        let check = |clear: bool, realm: &str, expected: bool| {
            let authorizer = Authorizer::new("reg.io".parse().expect("a host"), None, clear);
            let challenge = Challenge::parse_all(&format!("Bearer realm=\"{realm}\"")).remove(0);
            assert_eq!(authorizer.realm(&challenge).is_ok(), expected, "{clear} {realm}");
        };
        check(false, "https://auth.io/token", true);
        check(false, "http://reg.io/token", false);
        check(true, "http://reg.io/token", true);
        check(true, "https://auth.io/token", true);
        check(true, "file:///etc/passwd", false);
        check(false, "", false);
    }

    #[test]
    fn scopes_are_written_in_one_order() {
        let name = "b/c".parse().expect("a name");
        let both = Scopes::push(&name).and(Scopes::catalog());
        assert_eq!(both, Scopes::catalog().and(Scopes::push(&name)));
        let texts: Vec<&str> = both.0.iter().map(String::as_str).collect();
        assert_eq!(texts, ["registry:catalog:*", "repository:b/c:pull,push"]);
    }
}
