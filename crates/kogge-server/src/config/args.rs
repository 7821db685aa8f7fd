//! The flags of `kogge serve`. Each has an environment variable of the same name; the flag wins.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;

/// Flags that override the configuration file. A flag that is not given leaves the file's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ServeArgs {
    /// TOML file with the settings that have no flag
    #[arg(long, env = "KOGGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Folder that holds everything the registry keeps [default: ./kogge-data]
    #[arg(long, env = "KOGGE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Login servers are <registry>.<DOMAIN> [default: localhost]
    #[arg(long, env = "KOGGE_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,

    /// Address to listen on; may be given more than once; port 0 picks a free one [default: 127.0.0.1:5000]
    #[arg(long, env = "KOGGE_LISTEN", value_name = "IP:PORT", value_delimiter = ',')]
    pub listen: Vec<String>,

    /// Name of this deployment among its peers [default: home]
    #[arg(long, env = "KOGGE_REGION", value_name = "NAME")]
    pub region: Option<String>,

    /// off, auto (a local certificate authority) or CERT,KEY (PEM files, reloaded when they change) [default: off]
    #[arg(long, env = "KOGGE_TLS", value_name = "off|auto|CERT,KEY")]
    pub tls: Option<String>,

    /// text or json [default: text on a terminal, else json]
    #[arg(long, env = "KOGGE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Network whose X-Forwarded-* headers are believed; may be given more than once
    #[arg(long, env = "KOGGE_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,

    /// The address that clients use, where a proxy hides it: https://registry.example.com
    #[arg(long, env = "KOGGE_EXTERNAL_URL", value_name = "URL")]
    pub external_url: Option<String>,

    /// Host that gets the default registry, beside the domain, localhost and IP addresses; may be given more than once
    #[arg(long, env = "KOGGE_DEFAULT_HOST", value_name = "HOST", value_delimiter = ',')]
    pub default_host: Vec<String>,

    /// Allow plain HTTP on an address that other machines can reach
    #[arg(long, env = "KOGGE_INSECURE_HTTP", value_parser = FalseyValueParser::new())]
    pub insecure_http: bool,

    /// Let anyone pull without a login
    #[arg(long, env = "KOGGE_ANONYMOUS_PULL", value_parser = FalseyValueParser::new())]
    pub anonymous_pull: bool,

    /// Send traces to this OTLP collector: http://localhost:4318
    #[arg(long, env = "KOGGE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}
