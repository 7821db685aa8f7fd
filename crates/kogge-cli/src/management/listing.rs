//! Listings in pages (Azure Resource Manager: `nextLink`).

use reqwest::{Response, Url};
use serde_json::Value;

use super::session::{Call, Session};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::sheet::{Column, Sheet};

/// A listing under way: gives one page after another, so that a caller need not hold all of it.
pub(crate) struct Listing<'a> {
    session: &'a Session,
    action: &'a str,
    next: Next<'a>,
    /// What the last page said of where it ends, besides the link to the next one.
    pub(crate) position: Option<String>,
}

enum Next<'a> {
    First(Call<'a>),
    Page(Url),
    None,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(session: &'a Session, call: Call<'a>, action: &'a str) -> Self {
        Self { session, action, next: Next::First(call), position: None }
    }

    /// A listing of everything at `path`.
    pub(crate) fn of(session: &'a Session, path: &'a str, action: &'a str) -> Self {
        Self::new(session, Call::get(path, action), action)
    }

    /// The next page; `None` after the last one.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<Value>>> {
        let (asked, response): (Url, Response) = match std::mem::replace(&mut self.next, Next::None) {
            Next::None => return Ok(None),
            Next::First(call) => self.session.first_page(&call).await?,
            Next::Page(url) => (url.clone(), self.session.follow(url, self.action).await?),
        };
        let mut page = self.session.body(response, self.action).await?;
        if let Some(link) = page["nextLink"].as_str().filter(|link| !link.is_empty()) {
            let next = self.session.own_address(&asked, link, self.action)?;
            if next == asked {
                let message = format!("cannot {}: a page names itself as the next one", self.action);
                return Err(Error::general(message));
            }
            self.next = Next::Page(next);
        }
        self.position = page["position"].as_str().map(ToOwned::to_owned);
        match page.get_mut("value").map(Value::take) {
            Some(Value::Array(entries)) => Ok(Some(entries)),
            _ => Err(Error::general(format!("cannot {}: the answer is no listing", self.action))),
        }
    }

    /// All pages together.
    pub(crate) async fn all(mut self) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        while let Some(page) = self.next_page().await? {
            entries.extend(page);
        }
        Ok(entries)
    }

    /// Prints it page by page, so that a long list begins at once and needs no memory; JSON and queries need all of it.
    pub(crate) async fn print(mut self, columns: Vec<Column>, ctx: &Context) -> Result<()> {
        if ctx.output.needs_all() {
            return ctx.output.print_value(&self.all().await?.into());
        }
        let mut sheet = Sheet::new(&ctx.output, columns);
        while let Some(page) = self.next_page().await? {
            if !page.is_empty() && !sheet.page(&page)? {
                break;
            }
        }
        Ok(())
    }
}
