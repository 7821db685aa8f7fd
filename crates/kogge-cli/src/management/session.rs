//! A session with a server's management API.

use std::collections::HashMap;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::listing::Listing;
use super::login::{Login, Token};
use super::path::{REGISTRY_TYPE, quoted};
use super::{failure, path};
use crate::args::server::{OfRegistryArgs, ServerArgs};
use crate::client::authorizer::Scopes;
use crate::client::{Client, Request, read_bounded};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Where a server tells about itself (Azure Resource Manager: "metadata endpoints").
const METADATA: &str = "/metadata/endpoints";

/// A server, and who asks it.
pub(crate) struct Session {
    client: Client,
    login: Login,
    pub(super) progress: Progress,
    metadata: OnceCell<Metadata>,
    subscription: OnceCell<String>,
    /// The tokens of this session by their audience.
    tokens: Mutex<HashMap<String, Token>>,
}

/// What a server says of itself.
struct Metadata {
    audience: String,
    /// The audience of the directory, when there is one.
    directory: Option<String>,
}

/// One request.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'a str, String)>,
    headers: HeaderMap,
    body: Option<Value>,
    audience: Audience,
    /// What is tried, a verb phrase: `list the tokens`.
    action: &'a str,
}

/// Whom a request goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Management,
    Directory,
}

/// A resource and the version that it was read in.
pub(crate) struct Read {
    pub(crate) value: Value,
    pub(crate) entity_tag: Option<HeaderValue>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a str, action: &'a str) -> Self {
        let (headers, audience) = (HeaderMap::new(), Audience::Management);
        Self { method, path, query: Vec::new(), headers, body: None, audience, action }
    }

    pub(crate) fn get(path: &'a str, action: &'a str) -> Self {
        Self::new(Method::GET, path, action)
    }

    #[must_use]
    pub(crate) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Only when nothing is there yet.
    #[must_use]
    pub(crate) fn only_new(mut self) -> Self {
        self.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        self
    }

    /// Only while what was read has not changed.
    #[must_use]
    pub(crate) fn only_as_read(mut self, entity_tag: Option<HeaderValue>) -> Self {
        self.headers.extend(entity_tag.map(|tag| (IF_MATCH, tag)));
        self
    }

    /// To the directory instead of to the management API.
    #[must_use]
    pub(super) fn of_directory(mut self) -> Self {
        self.audience = Audience::Directory;
        self
    }

    fn url(&self, client: &Client) -> Url {
        let mut url = client.url(self.path);
        {
            let mut query = url.query_pairs_mut();
            if self.audience == Audience::Management {
                query.append_pair("api-version", api_version(self.path));
            }
            for (name, value) in &self.query {
                query.append_pair(name, value);
            }
        }
        url
    }
}

/// The version of the API whose shapes are read and written here, by who provides the resource.
fn api_version(path: &str) -> &'static str {
    match path.rsplit_once("/providers/").map(|(_, rest)| rest) {
        Some(rest) if rest.starts_with("Microsoft.ContainerRegistry") => "2026-11-01",
        Some(_) => "2022-04-01",
        None if path == METADATA => "2022-09-01",
        None => "2022-12-01",
    }
}

impl Session {
    /// Nothing is asked of the server yet but whether it speaks TLS.
    pub(crate) async fn open(args: &ServerArgs, ctx: &Context) -> Result<Self> {
        let login = Login::choose(args, ctx).await?;
        let client = args.server.connect(&ctx.transport).await?;
        Ok(Self::new(client, login, ctx.progress.clone()))
    }

    pub(super) fn new(client: Client, login: Login, progress: Progress) -> Self {
        let (metadata, subscription, tokens) = (OnceCell::new(), OnceCell::new(), Mutex::default());
        Self { client, login, progress, metadata, subscription, tokens }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks, and reads the answer. What the server goes on with behind its answer is waited for.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Value> {
        let action = call.action;
        let asked = call.url(&self.client);
        let response = self.execute(&call, asked.clone()).await?;
        self.settle(&asked, response, action).await
    }

    /// Reads a resource and its version.
    pub(crate) async fn read(&self, path: &str, action: &str) -> Result<Read> {
        let call = Call::get(path, action);
        let response = self.execute(&call, call.url(&self.client)).await?;
        let entity_tag = response.headers().get(ETAG).cloned();
        Ok(Read { value: self.body(response, action).await?, entity_tag })
    }

    /// Sends `call` to `url` and gives the answer when it is none of refusal. A token that is no longer taken is
    /// renewed once.
    async fn execute(&self, call: &Call<'_>, url: Url) -> Result<Response> {
        let audience = self.audience(call.audience, call.action).await?;
        let mut renewed = false;
        loop {
            let mut request = Request::new(call.method.clone(), url.clone(), Scopes::none());
            request.headers = call.headers.clone();
            if let Some(body) = &call.body {
                request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                request.body = body.to_string().into();
            }
            let authorization = self.token(&audience).await?;
            request.headers.insert(AUTHORIZATION, authorization);
            let response = self.client.execute(&request, call.action).await?;
            if response.status() == StatusCode::UNAUTHORIZED && !renewed {
                renewed = true;
                self.tokens.lock().await.remove(&audience);
                continue;
            }
            if response.status().is_success() {
                return Ok(response);
            }
            let taken =
                response.status() == StatusCode::PRECONDITION_FAILED && call.headers.contains_key(IF_NONE_MATCH);
            let error = failure::of_arm(response, call.action, self.client.host()).await;
            return Err(if taken { error.retold(format!("cannot {}: it exists already", call.action)) } else { error });
        }
    }

    /// Asks the management API at an address that it gave, such as that of a next page.
    pub(super) async fn follow(&self, url: Url, action: &str) -> Result<Response> {
        self.execute(&Call::get("", action), url).await
    }

    /// Asks, and gives the answer with the address that gave it.
    pub(super) async fn first_page(&self, call: &Call<'_>) -> Result<(Url, Response)> {
        let url = call.url(&self.client);
        Ok((url.clone(), self.execute(call, url).await?))
    }

    /// An address that an answer of `asked` gave.
    ///
    /// # Errors
    /// It leads to another server: tokens are sent to this one alone.
    pub(super) fn own_address(&self, asked: &Url, link: &str, action: &str) -> Result<Url> {
        let url = asked.join(link).ok().filter(|url| url.origin() == self.client.origin().origin());
        url.ok_or_else(|| {
            Error::general(format!("cannot {action}: an address in the answer leads to another server"))
                .hint("fix the server's external address, or what its proxy forwards")
        })
    }

    pub(super) async fn body(&self, response: Response, action: &str) -> Result<Value> {
        let body = read_bounded(response, ANSWER_BYTES_MAX, action, self.client.host()).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| Error::general(format!("cannot {action}: the answer is not JSON")).because(error))
    }

    async fn token(&self, audience: &str) -> Result<HeaderValue> {
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(audience).filter(|token| token.is_good()) {
            return Ok(token.header.clone());
        }
        let token = self.login.token(&self.client, audience).await?;
        let header = token.header.clone();
        tokens.insert(audience.to_owned(), token);
        Ok(header)
    }

    async fn audience(&self, audience: Audience, action: &str) -> Result<String> {
        let metadata = self.metadata.get_or_try_init(|| self.ask_metadata(action)).await?;
        match audience {
            Audience::Management => Ok(metadata.audience.clone()),
            Audience::Directory => metadata
                .directory
                .clone()
                .ok_or_else(|| Error::not_found(format!("cannot {action}: {} has no directory", self.client.host()))),
        }
    }

    async fn ask_metadata(&self, action: &str) -> Result<Metadata> {
        let request = Request::new(Method::GET, Call::get(METADATA, action).url(&self.client), Scopes::none());
        let response = self.client.execute(&request, action).await?;
        if response.status() != StatusCode::OK {
            return Err(failure::of_arm(response, action, self.client.host()).await);
        }
        let body = self.body(response, action).await?;
        // Some versions answer with one object, some with a list.
        let body = body.get(0).unwrap_or(&body);
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let audience = text("/authentication/audiences/0").ok_or_else(|| {
            Error::general(format!("cannot {action}: {} does not say whom tokens are for", self.client.host()))
        })?;
        Ok(Metadata { audience, directory: text("/microsoftGraphResourceId") })
    }

    /// The path of the server's subscription.
    pub(crate) async fn subscription(&self) -> Result<&str> {
        let ask = || async {
            let action = "find the subscription";
            let answer = self.send(Call::get("/subscriptions", action)).await?;
            let id = answer.pointer("/value/0/subscriptionId").and_then(Value::as_str);
            let id = id.ok_or_else(|| {
                Error::not_found(format!("{} shows no subscription to {}", self.client.host(), self.login.name()))
                    .hint("roles are given with `kogge role assign`, or on the server's machine with `kogge admin`")
            })?;
            path::beneath("", "subscriptions", id)
        };
        self.subscription.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The path of a resource group.
    pub(crate) async fn resource_group(&self, name: &str) -> Result<String> {
        path::beneath(self.subscription().await?, "resourceGroups", name)
    }

    /// The path of a registry in a resource group.
    pub(crate) async fn registry_in(&self, resource_group: &str, name: &str) -> Result<String> {
        path::beneath(&self.resource_group(resource_group).await?, &format!("providers/{REGISTRY_TYPE}"), name)
    }

    /// The path of a registry, which is looked for when its resource group is not said.
    pub(crate) async fn registry(&self, name: &str, resource_group: Option<&str>) -> Result<String> {
        if let Some(group) = resource_group {
            return self.registry_in(group, name).await;
        }
        let action = format!("find the registry {name}");
        let resources = format!("{}/resources", self.subscription().await?);
        let filter = format!("resourceType eq {} and name eq {}", quoted(REGISTRY_TYPE), quoted(name));
        let mut listing = Listing::new(self, Call::get(&resources, &action).query("$filter", filter), &action);
        // A page may be empty with more to come.
        while let Some(page) = listing.next_page().await? {
            let is_meant = |entry: &&Value| entry["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
            if let Some(id) = page.iter().find(is_meant).and_then(|entry| entry["id"].as_str()) {
                return Ok(id.to_owned());
            }
        }
        let (host, who) = (self.client.host(), self.login.name());
        Err(Error::not_found(format!("{host} shows no registry {name} to {who}"))
            .hint("`kogge registry list` shows those that there are"))
    }

    /// The path of the registry that flags name.
    pub(crate) async fn registry_of(&self, args: &OfRegistryArgs) -> Result<String> {
        self.registry(&args.registry, args.resource_group.as_deref()).await
    }

    /// Deletes a resource with everything beneath it.
    pub(crate) async fn delete(&self, path: &str, action: &str) -> Result<()> {
        self.send(Call::new(Method::DELETE, path, action)).await.map(drop)
    }
}

/// A header of an answer, as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
