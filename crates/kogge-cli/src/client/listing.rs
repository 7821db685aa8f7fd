//! Listings in pages: the catalog, and a repository's tags.

use kogge_types::RepositoryName;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use super::authorizer::Scopes;
use super::{Client, Request, link, read_bounded};
use crate::error::{Error, Result};

/// Names that are asked for in one page.
const PAGE_NAMES: usize = 500;
/// Bytes of one page.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A listing under way: gives one page after another, so that a caller need not hold all of it.
pub(crate) struct Listing<'a> {
    client: &'a Client,
    scopes: Scopes,
    /// The field of the answer that holds the entries.
    field: &'static str,
    action: String,
    next: Option<Url>,
    /// The answer for `next`, when it has been asked for already.
    answered: Option<Response>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(client: &'a Client, mut first: Url, scopes: Scopes, field: &'static str, action: String) -> Self {
        if first.query().is_none() {
            first.query_pairs_mut().append_pair("n", &PAGE_NAMES.to_string());
        }
        Self { client, scopes, field, action, next: Some(first), answered: None }
    }

    /// A listing whose first page has been answered already.
    pub(crate) fn answered(mut self, response: Response) -> Self {
        self.answered = Some(response);
        self
    }

    /// The next page; `None` after the last one.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<Value>>> {
        let Some(url) = self.next.take() else { return Ok(None) };
        let request = Request::new(Method::GET, url, self.scopes.clone());
        let response = match self.answered.take() {
            Some(response) => response,
            None => self.client.execute(&request, &self.action).await?,
        };
        let response = self.client.expect(response, &[StatusCode::OK], &self.action).await?;
        let links = response.headers().get_all(reqwest::header::LINK).iter().filter_map(|value| value.to_str().ok());
        let next = links.filter_map(link::next).next().map(|target| request.url.join(target));
        self.next = match next {
            None => None,
            Some(Ok(next)) if next.origin() == request.url.origin() && next != request.url => Some(next),
            Some(_) => {
                let message = format!("cannot {}: the link to the next page leads nowhere", self.action);
                return Err(Error::general(message));
            }
        };
        let body = read_bounded(response, PAGE_BYTES_MAX, &self.action, self.client.host()).await?;
        let unusable = || Error::general(format!("cannot {}: the answer is no listing", self.action));
        let mut page: Value = serde_json::from_slice(&body).map_err(|error| unusable().because(error))?;
        match page.get_mut(self.field).map(Value::take) {
            Some(Value::Array(entries)) => Ok(Some(entries)),
            Some(Value::Null) => Ok(Some(Vec::new())),
            _ => Err(unusable()),
        }
    }

    /// The next page of a listing of names.
    pub(crate) async fn next_names(&mut self) -> Result<Option<Vec<String>>> {
        let page = self.next_page().await?;
        Ok(page.map(|entries| {
            entries
                .into_iter()
                .filter_map(|entry| if let Value::String(name) = entry { Some(name) } else { None })
                .collect()
        }))
    }

    /// All pages together.
    pub(crate) async fn all_names(mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        while let Some(page) = self.next_names().await? {
            names.extend(page);
        }
        Ok(names)
    }
}

impl Client {
    /// The registry's repositories.
    pub(crate) fn catalog(&self) -> Listing<'_> {
        let action = format!("list the repositories of {}", self.host());
        Listing::new(self, self.url("/v2/_catalog"), Scopes::catalog(), "repositories", action)
    }

    /// A repository's tags.
    pub(crate) fn tags(&self, repository: &RepositoryName) -> Listing<'_> {
        let action = format!("list the tags of {}/{repository}", self.host());
        let url = self.repository_url(repository, "tags/list");
        Listing::new(self, url, Scopes::pull(repository), "tags", action)
    }
}
