//! Who asks, and the tokens that prove it (RFC 6749). Tokens are kept in memory only.

use std::fmt;
use std::time::Duration;

use kogge_types::ResourceId;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::failure;
use crate::args::server::ServerArgs;
use crate::client::authorizer::Scopes;
use crate::client::{Client, Request, read_bounded};
use crate::context::Context;
use crate::credentials::Credential;
use crate::error::{Error, Kind, Result};
use crate::prompt;

/// How the authority knows this program when a person's password comes through it.
const CLIENT_ID: &str = "6b6f6767-6500-4c69-8e65-000000000001";
/// The variables that hold a service principal's application id and secret.
const CLIENT_ID_VARIABLE: &str = "KOGGE_CLIENT_ID";
const CLIENT_SECRET_VARIABLE: &str = "KOGGE_CLIENT_SECRET";
/// Bytes of an answer of the authority.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a token is good when its answer does not say.
const LIFE_DEFAULT: Duration = Duration::from_secs(60);
/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(30);

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A person, by a password.
    User { name: String, password: String },
    /// A program, by a secret.
    Program { id: String, secret: String },
}

/// Secrets are never printed.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// A token and how long it is good.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    good_until: Instant,
}

#[derive(Deserialize)]
struct Discovery {
    token_endpoint: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Login {
    /// Who the flags name, else the program that the environment names, else who is logged in.
    pub(super) async fn choose(args: &ServerArgs, ctx: &Context) -> Result<Self> {
        let host = args.server.host();
        if let Some(name) = &args.username {
            let password = if args.password_stdin {
                prompt::read_secret()?
            } else {
                prompt::ask_secret(&format!("Password of {name} for {host}: "))?
            };
            return Ok(Self::new(name.clone(), password));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable(CLIENT_ID_VARIABLE), variable(CLIENT_SECRET_VARIABLE)) {
            (Some(id), Some(secret)) => return Ok(Self::Program { id, secret }),
            (None, None) => {}
            _ => {
                let message = format!("{CLIENT_ID_VARIABLE} and {CLIENT_SECRET_VARIABLE} are set only together");
                return Err(Error::usage(message));
            }
        }
        match ctx.login(host, None).await? {
            Some(Credential::Password { user, password }) => Ok(Self::new(user, password)),
            Some(Credential::RefreshToken { .. }) => {
                Err(Error::new(Kind::Denied, format!("the login for {host} is a token, which manages nothing"))
                    .hint(format!("run `kogge login {host}` with a user name and a password")))
            }
            None => Err(Error::new(Kind::Denied, format!("no login for {host} is known"))
                .hint(format!("run `kogge login {host}`"))
                .hint(format!("or set {CLIENT_ID_VARIABLE} and {CLIENT_SECRET_VARIABLE} of a service principal"))),
        }
    }

    /// Application ids are UUIDs; nobody is called so.
    fn new(name: String, password: String) -> Self {
        match name.parse::<ResourceId>() {
            Ok(_) => Self::Program { id: name, secret: password },
            Err(_) => Self::User { name, password },
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::User { name, .. } => name,
            Self::Program { id, .. } => id,
        }
    }

    /// The request for a token for `audience`, as a form.
    fn form(&self, audience: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("scope", &format!("{}/.default", audience.trim_end_matches('/')));
        match self {
            Self::User { name, password } => form
                .append_pair("grant_type", "password")
                .append_pair("client_id", CLIENT_ID)
                .append_pair("username", name)
                .append_pair("password", password),
            Self::Program { id, secret } => form
                .append_pair("grant_type", "client_credentials")
                .append_pair("client_id", id)
                .append_pair("client_secret", secret),
        };
        form.finish()
    }

    /// Gets a token for `audience` from the server's own authority.
    pub(super) async fn token(&self, client: &Client, audience: &str) -> Result<Token> {
        let action = format!("log in to {}", client.host());
        let endpoint = token_endpoint(client, &action).await?;
        let mut request = Request::new(Method::POST, endpoint, Scopes::none());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.body = self.form(audience).into();
        let response = client.execute(&request, &action).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(failure::of_authority(response, &action, client.host()).await, client));
        }
        let unusable = || Error::general(format!("cannot {action}: the answer holds no token"));
        let body = read_bounded(response, ANSWER_BYTES_MAX, &action, client.host()).await?;
        // What cannot be read is not told: it may hold a token.
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| unusable())?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", answer.access_token)).map_err(|_| unusable())?;
        header.set_sensitive(true);
        let life = answer.expires_in.map_or(LIFE_DEFAULT, |seconds| Duration::from_secs(seconds.clamp(1, 86_400)));
        Ok(Token { header, good_until: Instant::now() + (life - MARGIN.min(life / 2)) })
    }

    fn refused(&self, error: Error, client: &Client) -> Error {
        let (name, host) = (self.name(), client.host());
        if error.kind != Kind::Denied {
            return error;
        }
        let what = match self {
            Self::User { .. } => "the user name or the password",
            Self::Program { .. } => "the application id or the secret",
        };
        Error::new(Kind::Denied, format!("{host} refused {what} of `{name}`")).because(error).hint(format!(
            "run `kogge login {host}` as a user or a service principal; tokens and admin users of registries manage nothing"
        ))
    }
}

impl Token {
    pub(super) fn is_good(&self) -> bool {
        self.good_until > Instant::now()
    }
}

/// Where tokens are asked for, as the authority's discovery document says (OpenID Connect Discovery 1.0).
async fn token_endpoint(client: &Client, action: &str) -> Result<Url> {
    let url = client.url("/adfs/.well-known/openid-configuration");
    let response = client.execute(&Request::new(Method::GET, url.clone(), Scopes::none()), action).await?;
    if response.status() != StatusCode::OK {
        return Err(failure::of_arm(response, action, client.host()).await);
    }
    let body = read_bounded(response, ANSWER_BYTES_MAX, action, client.host()).await?;
    let discovery: Discovery = serde_json::from_slice(&body).map_err(|error| {
        Error::general(format!("cannot {action}: the answer does not say where tokens are asked for")).because(error)
    })?;
    client.destination(&url, &discovery.token_endpoint, action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_uuid_is_a_program() {
        let program = Login::new("6F9619FF-8B86-D011-B42D-00C04FC964FF".to_owned(), "s&=+ ".to_owned());
        let form = program.form("https://management.example.com/");
        assert_eq!(
            form,
            "scope=https%3A%2F%2Fmanagement.example.com%2F.default&grant_type=client_credentials\
             &client_id=6F9619FF-8B86-D011-B42D-00C04FC964FF&client_secret=s%26%3D%2B+"
        );
        let user = Login::new("admin".to_owned(), "secret".to_owned());
        assert!(
            user.form("a")
                .contains("grant_type=password&client_id=6b6f6767-6500-4c69-8e65-000000000001&username=admin")
        );
        assert!(!format!("{user:?}{program:?}").contains("s&=+") && !format!("{user:?}").contains("secret"));
    }
}
