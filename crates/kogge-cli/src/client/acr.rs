//! The routes below `/acr/v1` that the verbs use, and what to say to registries without them.

use kogge_types::{Action, RepositoryName};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::authorizer::Scopes;
use super::listing::Listing;
use super::manifests::text_header;
use super::{Client, Request, read_bounded};
use crate::error::{Error, Kind, Result};

/// Bytes of an answer about one repository. A delete lists every digest and tag it took.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Client {
    /// A repository's attributes: times, counts, locks.
    pub(crate) async fn repository_attributes(&self, repository: &RepositoryName) -> Result<Value> {
        let action = format!("show the repository {}/{repository}", self.host());
        let scopes = Scopes::repository(repository, &[Action::MetadataRead]);
        self.acr(Method::GET, repository, scopes, &[StatusCode::OK], &action).await
    }

    /// Deletes a repository with everything in it. Gives the digests and tags that went.
    pub(crate) async fn delete_repository(&self, repository: &RepositoryName) -> Result<Value> {
        let action = format!("delete the repository {}/{repository}", self.host());
        let scopes = Scopes::repository(repository, &[Action::Delete]);
        self.acr(Method::DELETE, repository, scopes, &[StatusCode::ACCEPTED, StatusCode::OK], &action).await
    }

    /// A repository's manifests with their attributes.
    pub(crate) async fn manifests(&self, repository: &RepositoryName) -> Result<Vec<Value>> {
        let action = format!("list the manifests of {}/{repository}", self.host());
        let scopes = Scopes::repository(repository, &[Action::MetadataRead]);
        let url = self.url(&format!("/acr/v1/{repository}/_manifests"));
        let probe = self.execute(&Request::new(Method::GET, url.clone(), scopes.clone()), &action).await?;
        let first = self.check_offered(probe, &[StatusCode::OK], &action).await?;
        let mut listing = Listing::new(self, url, scopes, "manifests", action).answered(first);
        let mut found = Vec::new();
        while let Some(page) = listing.next_page().await? {
            found.extend(page);
        }
        Ok(found)
    }

    async fn acr(
        &self,
        method: Method,
        repository: &RepositoryName,
        scopes: Scopes,
        wanted: &[StatusCode],
        action: &str,
    ) -> Result<Value> {
        let request = Request::new(method, self.url(&format!("/acr/v1/{repository}")), scopes);
        let response = self.execute(&request, action).await?;
        let response = self.check_offered(response, wanted, action).await?;
        let body = read_bounded(response, ANSWER_BYTES_MAX, action, self.host()).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| Error::general(format!("cannot {action}: the answer is not JSON")).because(error))
    }

    /// Tells "there is no such repository" from "this registry has no such route".
    async fn check_offered(&self, response: Response, wanted: &[StatusCode], action: &str) -> Result<Response> {
        let status = response.status();
        let json = text_header(response.headers(), CONTENT_TYPE.as_str()).is_some_and(|own| own.contains("json"));
        if wanted.contains(&status) && json {
            return Ok(response);
        }
        if status.is_success() {
            return Err(self.not_offered(action));
        }
        let error = self.failure(response, action).await;
        let missing_route = status == StatusCode::NOT_FOUND && !error.has_code("NAME_UNKNOWN")
            || matches!(status, StatusCode::METHOD_NOT_ALLOWED if !json)
            || status == StatusCode::NOT_IMPLEMENTED;
        Err(if missing_route { self.not_offered(action) } else { error })
    }

    fn not_offered(&self, action: &str) -> Error {
        let host = self.host();
        Error::new(Kind::General, format!("cannot {action}: {host} does not offer the /acr/v1 API"))
            .hint("only Kogge and Azure Container Registry have it")
            .hint("`kogge tag list` and `kogge manifest show` work with every registry")
    }
}
