//! What clients of the management API are told of the deployment itself.

use kogge_types::RegistryName;

/// One deployment: one tenant with one subscription.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub tenant: String,
    pub subscription: String,
    /// What the subscription and the tenant are called for people.
    pub name: String,
    /// The domain beneath which registries have their host names.
    pub domain: String,
    /// The port of the login servers, when it is not the one that clients assume.
    pub port: Option<u16>,
    /// Where the deployment is, in the form of an Azure location.
    pub location: String,
    /// What tokens for this API may say in `aud`; the first is the one that clients are told to ask for.
    pub audiences: Vec<String>,
}

impl Deployment {
    /// The host, with its port, at which clients reach a registry.
    pub fn login_server(&self, registry: &RegistryName) -> String {
        format!("{registry}.{}", self.login_suffix())
    }

    /// What login servers have in common.
    pub(crate) fn login_suffix(&self) -> String {
        self.port.map_or_else(|| self.domain.clone(), |port| format!("{}:{port}", self.domain))
    }

    /// The path of the subscription.
    pub fn subscription_path(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }
}
