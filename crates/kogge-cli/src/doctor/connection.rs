//! The way to the registry: name, port, TLS, the answer of `/v2/`, the clock.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use super::check::{Check, Checkup};
use crate::client::challenge::Challenge;
use crate::client::failure::{self, Fault};
use crate::client::{Transport, retry};
use crate::error::{Error, Kind, Result, printable};
use crate::image_reference::RegistryHost;

const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds that two clocks may differ without a word, and with a warning. Tokens live for minutes.
const SKEW_SECONDS_FINE: i64 = 30;
const SKEW_SECONDS_MAX: i64 = 300;

/// Checks each step. Says whether the registry answered, so that it can be used.
pub(crate) async fn check(checkup: &mut Checkup, host: &RegistryHost, transport: &Transport) -> bool {
    let port = host.port().unwrap_or(if transport.plain_http { 80 } else { 443 });
    let Some(addresses) = check_dns(checkup, host, port).await else { return false };
    if !check_tcp(checkup, host, &addresses).await {
        return false;
    }
    let Some(response) = check_tls(checkup, host, transport).await else { return false };
    check_clock(checkup, &response);
    check_challenge(checkup, host, response).await
}

async fn check_dns(checkup: &mut Checkup, host: &RegistryHost, port: u16) -> Option<Vec<SocketAddr>> {
    let check = Check::of("dns", "CONNECTIVITY_DNS_ERROR");
    if let Some(addresses) = host.known_addresses(port) {
        checkup.ok(check, format!("{} is this machine", host.name()));
        return Some(addresses.to_vec());
    }
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.name(), port))).await;
    let failed = |error: Error| error.hint("check the name, and the DNS servers of this machine");
    match looked_up {
        Ok(Ok(addresses)) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            checkup.ok(check, shown.join(", "));
            Some(addresses)
        }
        Ok(Err(error)) => {
            let error = Error::new(Kind::Network, format!("cannot look up {}", host.name())).because(error);
            checkup.fail(check, &failed(error), Kind::Network);
            None
        }
        Err(_) => {
            let error = Error::new(Kind::Network, format!("no answer for {}", host.name()));
            checkup.fail(check, &failed(error), Kind::Network);
            None
        }
    }
}

async fn check_tcp(checkup: &mut Checkup, host: &RegistryHost, addresses: &[SocketAddr]) -> bool {
    let check = Check::of("connection", "LOGIN_SERVER_ERROR");
    let mut last = Error::new(Kind::Network, format!("{} has no address", host.name()));
    for address in addresses {
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                checkup.ok(check, address.to_string());
                return true;
            }
            Ok(Err(error)) => last = Error::new(Kind::Network, format!("cannot connect to {address}")).because(error),
            Err(_) => last = Error::new(Kind::Network, format!("{address} does not answer")),
        }
    }
    checkup.fail(
        check,
        &last.hint("is the registry running, and does a firewall let this port through?"),
        Kind::Network,
    );
    false
}

/// Asks `/v2/` by TLS, or by plain HTTP where that is asked for or allowed.
async fn check_tls(checkup: &mut Checkup, host: &RegistryHost, transport: &Transport) -> Option<Response> {
    let check = Check::of("tls", "CONNECTIVITY_SSL_ERROR");
    let outcome = ask(host, transport, if transport.plain_http { "http" } else { "https" }).await;
    match outcome {
        Ok(Ok(response)) if transport.plain_http && !host.is_loopback() => {
            let hint = "passwords and images cross the network in clear; give the registry a certificate";
            checkup.warn(check, "plain HTTP".to_owned(), hint.to_owned());
            Some(response)
        }
        Ok(Ok(response)) if transport.plain_http => {
            checkup.ok(check, "plain HTTP, on this machine".to_owned());
            Some(response)
        }
        Ok(Ok(response)) if transport.insecure => {
            let hint = "leave --insecure out, and give the authority with --ca-file";
            checkup.warn(check, "answers; its certificate was not checked".to_owned(), hint.to_owned());
            Some(response)
        }
        Ok(Ok(response)) => {
            checkup.ok(check, "the certificate is trusted".to_owned());
            Some(response)
        }
        Ok(Err(fault)) if host.is_loopback() && !transport.plain_http && Fault::of(&fault) == Fault::NotTls => {
            match ask(host, transport, "http").await {
                Ok(Ok(response)) => {
                    checkup.ok(check, "plain HTTP, on this machine".to_owned());
                    Some(response)
                }
                _ => fail_tls(checkup, check, fault, host),
            }
        }
        Ok(Err(fault)) => fail_tls(checkup, check, fault, host),
        Err(error) => {
            checkup.fail(check, &error, Kind::Usage);
            None
        }
    }
}

fn fail_tls(checkup: &mut Checkup, check: Check, fault: reqwest::Error, host: &RegistryHost) -> Option<Response> {
    checkup.fail(check, &failure::of_transport(fault, "ask /v2/", host), Kind::Network);
    None
}

async fn ask(
    host: &RegistryHost,
    transport: &Transport,
    scheme: &str,
) -> Result<std::result::Result<Response, reqwest::Error>> {
    let url = Url::parse(&format!("{scheme}://{}/v2/", host.authority()))
        .map_err(|error| Error::usage(format!("`{host}` is not a host")).because(error))?;
    Ok(transport.http_client(host)?.get(url).timeout(PATIENCE).send().await)
}

fn check_clock(checkup: &mut Checkup, response: &Response) {
    let check = Check::of("clock", "CLOCK_SKEW_ERROR");
    let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).and_then(retry::http_date);
    let Some(date) = date else { return checkup.skip("clock", "the registry tells no time") };
    let skew = Timestamp::now().as_second() - date.as_second();
    let detail = match skew {
        0 => "agrees with the registry's".to_owned(),
        ahead @ 1.. => format!("{ahead} s ahead of the registry's"),
        behind => format!("{} s behind the registry's", behind.unsigned_abs()),
    };
    let hint = "set the clock, or let it be set by NTP: tokens and certificates depend on it";
    match skew.abs() {
        0..=SKEW_SECONDS_FINE => checkup.ok(check, detail),
        ..=SKEW_SECONDS_MAX => checkup.warn(check, detail, hint.to_owned()),
        _ => checkup.fail(check, &Error::general(detail).hint(hint), Kind::General),
    }
}

/// Whether `/v2/` opens, or asks for a login in a form that clients know.
async fn check_challenge(checkup: &mut Checkup, host: &RegistryHost, response: Response) -> bool {
    let name = "challenge";
    let status = response.status();
    let challenges: Vec<Challenge> = response
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Challenge::parse_all)
        .collect();
    let known = challenges.iter().find(|own| matches!(own.scheme.as_str(), "bearer" | "basic"));
    match (status, known) {
        (StatusCode::OK, _) => {
            checkup.ok(Check::of(name, ""), "no login is needed".to_owned());
            true
        }
        (StatusCode::UNAUTHORIZED, Some(challenge)) => {
            let realm = challenge.parameter("realm").unwrap_or("no realm");
            checkup.ok(Check::of(name, ""), format!("{}, {}", challenge.scheme, printable(realm)));
            true
        }
        _ => {
            let id = match status {
                StatusCode::FORBIDDEN => "CONNECTIVITY_FORBIDDEN_ERROR",
                StatusCode::TOO_MANY_REQUESTS => "CONNECTIVITY_TOOMANYREQUESTS_ERROR",
                _ => "CONNECTIVITY_CHALLENGE_ERROR",
            };
            let asker = failure::Asker { host, user: None };
            let error = failure::of_answer(response, "open /v2/", &asker).await;
            checkup.fail(Check::of(name, id), &error.hint("is this the address of a registry?"), Kind::General);
            false
        }
    }
}
