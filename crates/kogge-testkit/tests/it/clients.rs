//! Real clients against the real program, over plain HTTP and over TLS with a CA of the server's own making.
//!
//! The programs come from `.kogge-tools/clients` (`cargo xtask tools`); docker, podman and buildah need root.

mod azure;
mod buildah;
mod cosign;
mod crane;
mod docker;
mod image;
mod kogge;
mod notation;
mod oras;
mod podman;
mod sandbox;
mod skopeo;

/// Makes two tests of one function: over plain HTTP and over TLS.
macro_rules! over_both_schemes {
    ($($name:ident),+ $(,)?) => {
        mod plain {
            $(#[test]
            fn $name() {
                super::$name(&crate::clients::sandbox::Sandbox::start(crate::clients::kogge::Scheme::Plain));
            })+
        }
        mod tls {
            $(#[test]
            fn $name() {
                super::$name(&crate::clients::sandbox::Sandbox::start(crate::clients::kogge::Scheme::Tls));
            })+
        }
    };
}
use over_both_schemes;
