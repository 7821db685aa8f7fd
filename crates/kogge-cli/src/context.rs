//! What every verb works with: how to reach registries, where logins are, how to show results.

use std::sync::Arc;

use kogge_types::RepositoryName;

use crate::args::GlobalArgs;
use crate::client::{Client, Transport};
use crate::credentials::{Credential, CredentialStore, Places};
use crate::error::Result;
use crate::image_reference::RegistryHost;
use crate::output::Output;
use crate::progress::Progress;

pub(crate) struct Context {
    pub(crate) transport: Transport,
    pub(crate) credentials: CredentialStore,
    pub(crate) output: Output,
    pub(crate) progress: Progress,
    pub(crate) parallel: usize,
}

impl Context {
    pub(crate) fn new(global: GlobalArgs) -> Self {
        Self {
            transport: Transport { plain_http: global.plain_http, insecure: global.insecure, ca_file: global.ca_file },
            credentials: CredentialStore::new(Places::from_environment()),
            output: Output { form: global.output, query: global.query },
            progress: Progress::new(global.quiet),
            parallel: usize::from(global.parallel),
        }
    }

    /// The login that is kept for a registry. Helpers are processes that may ask the user something, so this waits
    /// on a thread of its own.
    pub(crate) async fn login(
        &self,
        host: &RegistryHost,
        repository: Option<&RepositoryName>,
    ) -> Result<Option<Credential>> {
        let (store, host, repository) = (self.credentials.clone(), host.clone(), repository.cloned());
        let found = tokio::task::spawn_blocking(move || store.find(&host, repository.as_ref()));
        Ok(found.await.expect("looking for a login does not panic")?.map(|(credential, _)| credential))
    }

    /// A client with the login that is kept.
    pub(crate) async fn client(&self, host: &RegistryHost, repository: Option<&RepositoryName>) -> Result<Arc<Client>> {
        let credential = self.login(host, repository).await?;
        Client::connect(host.clone(), &self.transport, credential).await.map(Arc::new)
    }
}
