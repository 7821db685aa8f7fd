//! The HTTP edge: listeners, TLS, routes, login, signals, the admin socket and the local verbs.

pub mod access_log;
mod acr;
mod admin;
pub mod app;
mod audit;
mod authority;
mod body;
pub mod config;
mod credential;
mod error;
pub mod forwarded;
#[cfg(test)]
mod fuzz;
mod hosts;
pub mod installation;
pub mod listen;
pub mod local;
pub mod log;
mod management;
pub mod metrics;
mod observe;
mod oci;
mod presence;
mod range;
mod rate_limit;
pub mod route;
pub mod serve;
mod served;
mod signals;
pub mod tls;
mod token;
pub mod trace;
