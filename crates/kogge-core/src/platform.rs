//! What an image runs on, as its config says. Nothing that is wrong with a config keeps its image from being pushed.

use futures_util::StreamExt;
use kogge_types::manifest::Platform;
use kogge_types::{Digest, Manifest, limits, media_type};
use serde::Deserialize;

use crate::core::{Core, Target};

/// The part of an image's config that is read (OCI image specification, "Image Configuration").
#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
}

impl Core {
    /// The platform of an image whose config its repository holds.
    pub(crate) async fn platform_of(&self, target: &Target, manifest: &Manifest) -> Option<Platform> {
        let config = self.read_config(target, &config_of(manifest)?).await?;
        let Config { architecture, os } = serde_json::from_slice(&config).ok()?;
        let plausible = [&architecture, &os].into_iter().all(|word| {
            (1..=limits::PLATFORM_CHARS_MAX).contains(&word.chars().count()) && !word.chars().any(char::is_control)
        });
        plausible.then_some(Platform { architecture, os, variant: None })
    }

    async fn read_config(&self, target: &Target, digest: &Digest) -> Option<Vec<u8>> {
        let link = self.meta.link(target.registry.key, &target.repository, digest).await.ok()??;
        if link.size > limits::CONFIG_BYTES_MAX {
            return None;
        }
        let mut chunks = self.store.open(digest, link.copy).await.ok()?.stream(0..link.size);
        let mut config = Vec::new();
        while let Some(chunk) = chunks.next().await {
            config.extend_from_slice(&chunk.ok()?);
        }
        Some(config)
    }
}

/// The config of a container image; an artifact's may be anything.
fn config_of(manifest: &Manifest) -> Option<Digest> {
    let kind = manifest.config_media_type.as_deref()?;
    let config = manifest.blobs.last().filter(|config| config.media_type == kind)?;
    matches!(kind, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG).then_some(config.digest)
}

#[cfg(test)]
mod tests;
