//! `[limits]`: how many connections there may be and how slow a client may get.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::quantity::{write_duration, write_size};
use super::raw::{RawDuration, RawSize};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLimits {
    max_connections: Option<u32>,
    connections_per_address: Option<u32>,
    handshake_timeout: Option<RawDuration>,
    header_timeout: Option<RawDuration>,
    idle_timeout: Option<RawDuration>,
    body_stall_timeout: Option<RawDuration>,
    body_rate_min: Option<RawSize>,
    body_rate_grace: Option<RawDuration>,
    write_stall_timeout: Option<RawDuration>,
    stop_timeout: Option<RawDuration>,
}

/// How many connections there may be and how slow a client may get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue. Default 4096.
    pub max_connections: u32,
    /// Connections at once from one address (IPv6: one /64), trusted proxies excepted; further ones are closed.
    /// Default 1024.
    pub connections_per_address: u32,
    /// Time until a new connection must have said its first byte and finished its TLS handshake. Default `10s`.
    #[serde(serialize_with = "write_duration")]
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request's head to its last. Default `15s`.
    #[serde(serialize_with = "write_duration")]
    pub header_timeout: Duration,
    /// Time that a connection may stay open with no request. Default `75s`.
    #[serde(serialize_with = "write_duration")]
    pub idle_timeout: Duration,
    /// Time that a request's body may stand still while the registry waits for it. Default `30s`.
    #[serde(serialize_with = "write_duration")]
    pub body_stall_timeout: Duration,
    /// Bytes per second that a request's body must reach, averaged over the time that the registry waited for it;
    /// 0 turns this off. Default `1KiB`.
    #[serde(serialize_with = "write_size")]
    pub body_rate_min: u64,
    /// Waiting time before `body-rate-min` counts. Default `30s`.
    #[serde(serialize_with = "write_duration")]
    pub body_rate_grace: Duration,
    /// Time that a client may take no byte of an answer that is ready for it. Default `60s`.
    #[serde(serialize_with = "write_duration")]
    pub write_stall_timeout: Duration,
    /// Time that running requests get to finish when the server stops. Default `25s`.
    #[serde(serialize_with = "write_duration")]
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            connections_per_address: 1024,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            body_stall_timeout: Duration::from_secs(30),
            body_rate_min: 1024,
            body_rate_grace: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(25),
        }
    }
}

impl Limits {
    pub(super) fn check(raw: &RawLimits, problems: &mut Problems) -> Self {
        let standard = Self::default();
        let mut count = |key: &str, value: Option<u32>, default: u32| {
            let value = value.unwrap_or(default);
            if value == 0 {
                problems.add(&format!("limits.{key}"), "must be at least 1");
            }
            value
        };
        let max_connections = count("max-connections", raw.max_connections, standard.max_connections);
        let connections_per_address =
            count("connections-per-address", raw.connections_per_address, standard.connections_per_address);
        let mut time = |key: &str, value: Option<RawDuration>, default: Duration| {
            let value = value.map_or(default, |raw| raw.0);
            if value.is_zero() {
                problems.add(&format!("limits.{key}"), "must be longer than 0s");
            }
            value
        };
        Self {
            max_connections,
            connections_per_address,
            handshake_timeout: time("handshake-timeout", raw.handshake_timeout, standard.handshake_timeout),
            header_timeout: time("header-timeout", raw.header_timeout, standard.header_timeout),
            idle_timeout: time("idle-timeout", raw.idle_timeout, standard.idle_timeout),
            body_stall_timeout: time("body-stall-timeout", raw.body_stall_timeout, standard.body_stall_timeout),
            body_rate_min: raw.body_rate_min.map_or(standard.body_rate_min, |raw| raw.0),
            body_rate_grace: time("body-rate-grace", raw.body_rate_grace, standard.body_rate_grace),
            write_stall_timeout: time("write-stall-timeout", raw.write_stall_timeout, standard.write_stall_timeout),
            stop_timeout: time("stop-timeout", raw.stop_timeout, standard.stop_timeout),
        }
    }
}
