//! The host that a request names picks its registry.

use std::net::IpAddr;
use std::sync::Arc;

use kogge_core::{Core, DEFAULT_REGISTRY};
use kogge_meta::Registry;
use kogge_types::RegistryName;

use crate::config::Config;

/// The names that this deployment answers to.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    domain: String,
    /// The name of the address that clients use, where a proxy hides the server's own.
    external: Option<String>,
    /// Names that stand for the default registry, beside the domain, `localhost` and addresses.
    defaults: Vec<String>,
}

impl From<&Config> for Hosts {
    fn from(config: &Config) -> Self {
        let mut defaults = config.server.default_hosts.clone();
        defaults.extend(config.server.external_url.as_ref().map(|url| url.host.clone()));
        let external = config.server.external_url.as_ref().map(|url| url.host.clone());
        Self { domain: config.server.domain.clone(), external, defaults }
    }
}

impl Hosts {
    /// Whether `host` is where the management API, the authority and the pages for people answer: the bare domain, what
    /// stands for it, and nothing that is a registry's own.
    pub(crate) fn is_management(&self, host: &str) -> bool {
        let name = without_port(host);
        name == self.domain
            || name == "localhost"
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || self.external.as_deref() == Some(name)
    }

    /// The name of the registry that `host` (`name[:port]`, lower case) stands for; `None` for a host that is nobody's.
    pub(crate) fn registry_name(&self, host: &str) -> Option<RegistryName> {
        let name = without_port(host);
        let default = name == self.domain
            || name == "localhost"
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || self.defaults.iter().any(|default| default == name);
        if default {
            return DEFAULT_REGISTRY.parse().ok();
        }
        name.strip_suffix(&self.domain)?.strip_suffix('.')?.parse().ok()
    }

    /// The registry that `host` stands for.
    pub(crate) fn registry(&self, core: &Core, host: &str) -> Option<Arc<Registry>> {
        core.registry(&self.registry_name(host)?)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_pick_registries() {
        let hosts = Hosts { domain: "example.com".into(), external: None, defaults: vec!["registry".into()] };
        for default in ["example.com", "example.com:5000", "localhost:5000", "127.0.0.1", "[::1]:5000", "registry:80"] {
            assert_eq!(hosts.registry_name(default).expect(default).as_str(), DEFAULT_REGISTRY, "{default}");
        }
        assert_eq!(hosts.registry_name("myreg.example.com:443").expect("a registry").as_str(), "myreg");
        for nobody in ["", "other.org", "a.b.example.com", "xexample.com", "my-reg.example.com", "abc.example.com"] {
            assert_eq!(hosts.registry_name(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn management_answers_on_the_bare_domain() {
        let external = Some("registry.example.org".into());
        let hosts = Hosts { domain: "example.com".into(), external, defaults: vec!["old.example.net".into()] };
        for host in
            ["example.com", "example.com:443", "localhost:5000", "127.0.0.1", "[::1]:5000", "registry.example.org"]
        {
            assert!(hosts.is_management(host), "{host}");
        }
        for host in ["", "myreg.example.com", "default.example.com:443", "old.example.net", "other.org"] {
            assert!(!hosts.is_management(host), "{host}");
        }
    }
}
