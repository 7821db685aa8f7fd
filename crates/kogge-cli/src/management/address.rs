//! Where a server is.

use std::fmt;
use std::str::FromStr;

use crate::client::{Client, Transport};
use crate::error::{Error, Kind, Result};
use crate::image_reference::RegistryHost;

/// A server's address: `https://registry.example.com`, `http://localhost:5000`, `localhost:5000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    host: RegistryHost,
    scheme: Option<Scheme>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl ServerAddress {
    /// The host and port, under which the login is kept.
    pub(crate) fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// A client of the server. Without a scheme, this machine is tried by TLS first, then by plain HTTP, and other hosts
    /// are asked by TLS.
    pub(crate) async fn connect(&self, transport: &Transport) -> Result<Client> {
        let plain_http = transport.plain_http || self.scheme == Some(Scheme::Http);
        if plain_http && !self.host.is_loopback() {
            let message = format!("{} would be asked over plain HTTP", self.host);
            return Err(Error::usage(message)
                .hint("what manages registries is sent in clear on this machine only; use https://"));
        }
        let transport = Transport { plain_http, ..transport.clone() };
        let client = Client::connect(self.host.clone(), &transport, None).await?;
        if self.scheme == Some(Scheme::Https) && client.origin().scheme() != "https" {
            let message = format!("{} does not answer by TLS", self.host);
            return Err(Error::new(Kind::Network, message)
                .hint("is the server running? use http:// if it is meant to be without TLS on this machine"));
        }
        Ok(client)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(Scheme::Http) => f.write_str("http://")?,
            Some(Scheme::Https) => f.write_str("https://")?,
            None => {}
        }
        self.host.fmt(f)
    }
}

impl FromStr for ServerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let scheme = match text.split_once("://") {
            None => None,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Some(Scheme::Http),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => Some(Scheme::Https),
            Some(_) => return Err(Error::usage(format!("`{text}` is no server: write https://host[:port]"))),
        };
        let host = text.split_once("://").map_or(text, |(_, host)| host).parse()?;
        Ok(Self { host, scheme })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("localhost:5000", "localhost:5000"),
            ("https://Registry.example.com/", "https://registry.example.com"),
            ("HTTP://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().expect(text).to_string(), shown);
        }
        for bad in ["", "ftp://x", "https://", "https://x/adfs", "https://user@x", "x y"] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn other_machines_are_not_asked_in_clear() {
        let clear = Transport { plain_http: true, ..Transport::default() };
        for (text, transport) in [("http://reg.example.com", Transport::default()), ("reg.example.com", clear)] {
            let server: ServerAddress = text.parse().expect(text);
            let refused = server.connect(&transport).await.err().expect(text);
            assert_eq!(refused.kind, Kind::Usage);
        }
    }
}
