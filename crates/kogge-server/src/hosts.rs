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
    /// Names that stand for the default registry, beside the domain, `localhost` and addresses.
    defaults: Vec<String>,
}

impl From<&Config> for Hosts {
    fn from(config: &Config) -> Self {
        let mut defaults = config.server.default_hosts.clone();
        defaults.extend(config.server.external_url.as_ref().map(|url| url.host.clone()));
        Self { domain: config.server.domain.clone(), defaults }
    }
}

impl Hosts {
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
        let hosts = Hosts { domain: "example.com".into(), defaults: vec!["registry".into()] };
        for default in ["example.com", "example.com:5000", "localhost:5000", "127.0.0.1", "[::1]:5000", "registry:80"] {
            assert_eq!(hosts.registry_name(default).expect(default).as_str(), DEFAULT_REGISTRY, "{default}");
        }
        assert_eq!(hosts.registry_name("myreg.example.com:443").expect("a registry").as_str(), "myreg");
        for nobody in ["", "other.org", "a.b.example.com", "xexample.com", "my-reg.example.com", "abc.example.com"] {
            assert_eq!(hosts.registry_name(nobody), None, "{nobody}");
        }
    }
}
