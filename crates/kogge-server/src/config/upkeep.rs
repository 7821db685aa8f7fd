//! `[gc]`, `[uploads]` and `[scrub]`: what the registry does on its own.

use std::time::Duration;

use kogge_types::limits;
use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::quantity::{write_duration, write_size};
use super::raw::{RawDuration, RawSize};

/// How often garbage is looked for unless configured.
const GC_INTERVAL_DEFAULT: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGc {
    grace: Option<RawDuration>,
    interval: Option<RawDuration>,
}

/// Garbage collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gc {
    /// How long content that nothing names is kept. Default `1d`.
    #[serde(serialize_with = "write_duration")]
    pub grace: Duration,
    /// How often garbage is looked for. Default `15m`.
    #[serde(serialize_with = "write_duration")]
    pub interval: Duration,
}

impl Gc {
    pub(super) fn check(raw: &RawGc, problems: &mut Problems) -> Self {
        let interval = raw.interval.map_or(GC_INTERVAL_DEFAULT, |raw| raw.0);
        if interval.is_zero() {
            problems.add("gc.interval", "must be longer than 0s");
        }
        Self { grace: raw.grace.map_or(limits::GC_GRACE_DEFAULT, |raw| raw.0), interval }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawUploads {
    life: Option<RawDuration>,
    sparse_images: Option<bool>,
}

/// Upload sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uploads {
    /// How long a session may lie idle before it is removed. Default `1d`.
    #[serde(serialize_with = "write_duration")]
    pub life: Duration,
    /// Lets an image name blobs that its repository does not hold. Default false.
    pub sparse_images: bool,
}

impl Uploads {
    pub(super) fn check(raw: &RawUploads, problems: &mut Problems) -> Self {
        let life = raw.life.map_or(limits::UPLOAD_LIFE_DEFAULT, |raw| raw.0);
        if life.is_zero() {
            problems.add("uploads.life", "must be longer than 0s");
        }
        Self { life, sparse_images: raw.sparse_images.unwrap_or(false) }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawScrub {
    rate: Option<RawSize>,
}

/// The scrubber, which hashes stored blobs again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scrub {
    /// Bytes per second that it reads; 0 turns it off. Default `4MiB`.
    #[serde(serialize_with = "write_size")]
    pub rate: u64,
}

impl Scrub {
    pub(super) fn check(raw: &RawScrub) -> Self {
        Self { rate: raw.rate.map_or(limits::SCRUB_BYTES_PER_SECOND_DEFAULT, |raw| raw.0) }
    }
}
