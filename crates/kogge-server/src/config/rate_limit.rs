//! `[rate-limit]`: how many requests a minute there may be.

use serde::{Deserialize, Serialize};

use super::problem::Problems;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawRateLimit {
    preset: Option<String>,
    registry_reads: Option<u32>,
    identity_reads: Option<u32>,
    registry_writes: Option<u32>,
    identity_writes: Option<u32>,
    registry_deletes: Option<u32>,
    identity_deletes: Option<u32>,
    registry_referrers: Option<u32>,
    identity_referrers: Option<u32>,
    registry_logins: Option<u32>,
}

/// Limits that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    #[default]
    Off,
    AcrBasic,
    AcrStandard,
    AcrPremium,
}

/// Requests a minute; 0 is no limit. What is not set is the preset's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RateLimit {
    /// `off`, or the limits that ACR publishes for a tier: `acr-basic`, `acr-standard`, `acr-premium`. Default `off`.
    pub preset: Preset,
    /// GET and HEAD on the distribution and metadata API, of one registry.
    pub registry_reads: u32,
    /// The same, of one identity at one registry.
    pub identity_reads: u32,
    /// PUT, PATCH and POST.
    pub registry_writes: u32,
    pub identity_writes: u32,
    pub registry_deletes: u32,
    pub identity_deletes: u32,
    /// Listings of referrers, which count as reads too.
    pub registry_referrers: u32,
    pub identity_referrers: u32,
    /// Requests for tokens.
    pub registry_logins: u32,
}

impl Preset {
    const NAMES: [(&'static str, Self); 4] = [
        ("off", Self::Off),
        ("acr-basic", Self::AcrBasic),
        ("acr-standard", Self::AcrStandard),
        ("acr-premium", Self::AcrPremium),
    ];

    fn limits(self) -> RateLimit {
        // Reads, writes, deletes and referrers, each of a registry and of an identity; logins of a registry.
        let rows: [u32; 9] = match self {
            Self::Off => [0; 9],
            Self::AcrBasic | Self::AcrStandard => [10_000, 5_000, 2_000, 1_000, 1_000, 500, 500, 250, 10_000],
            Self::AcrPremium => [20_000, 10_000, 4_000, 2_000, 4_000, 2_000, 2_000, 1_000, 20_000],
        };
        RateLimit {
            preset: self,
            registry_reads: rows[0],
            identity_reads: rows[1],
            registry_writes: rows[2],
            identity_writes: rows[3],
            registry_deletes: rows[4],
            identity_deletes: rows[5],
            registry_referrers: rows[6],
            identity_referrers: rows[7],
            registry_logins: rows[8],
        }
    }
}

impl RateLimit {
    pub(super) fn check(raw: &RawRateLimit, problems: &mut Problems) -> Self {
        let preset = raw.preset.as_deref().map_or(Some(Preset::Off), |text| {
            Preset::NAMES.iter().find(|(name, _)| *name == text).map(|(_, preset)| *preset)
        });
        if preset.is_none() {
            problems.add("rate-limit.preset", "write off, acr-basic, acr-standard or acr-premium");
        }
        let preset = preset.unwrap_or_default().limits();
        Self {
            preset: preset.preset,
            registry_reads: raw.registry_reads.unwrap_or(preset.registry_reads),
            identity_reads: raw.identity_reads.unwrap_or(preset.identity_reads),
            registry_writes: raw.registry_writes.unwrap_or(preset.registry_writes),
            identity_writes: raw.identity_writes.unwrap_or(preset.identity_writes),
            registry_deletes: raw.registry_deletes.unwrap_or(preset.registry_deletes),
            identity_deletes: raw.identity_deletes.unwrap_or(preset.identity_deletes),
            registry_referrers: raw.registry_referrers.unwrap_or(preset.registry_referrers),
            identity_referrers: raw.identity_referrers.unwrap_or(preset.identity_referrers),
            registry_logins: raw.registry_logins.unwrap_or(preset.registry_logins),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &RawRateLimit) -> Result<RateLimit, String> {
        let mut problems = Problems::default();
        let checked = RateLimit::check(raw, &mut problems);
        problems.into_result().map(|()| checked).map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_is_limited_unless_somebody_says_so() {
        assert_eq!(check(&RawRateLimit::default()), Ok(RateLimit::default()));
    }

    #[test]
    fn a_preset_gives_what_a_key_does_not() {
        let preset = |name: &str| RawRateLimit { preset: Some(name.to_owned()), ..RawRateLimit::default() };
        let premium = check(&preset("acr-premium")).unwrap();
        assert_eq!((premium.registry_reads, premium.identity_reads), (20_000, 10_000));
        assert_eq!((premium.registry_referrers, premium.registry_logins), (2_000, 20_000));
        let standard = check(&preset("acr-standard")).unwrap();
        assert_eq!((standard.registry_writes, standard.identity_deletes), (2_000, 500));
        let raw = RawRateLimit { identity_reads: Some(7), registry_logins: Some(0), ..preset("acr-basic") };
        let own = check(&raw).unwrap();
        assert_eq!((own.registry_reads, own.identity_reads, own.registry_logins), (10_000, 7, 0));
        assert!(check(&preset("acr")).unwrap_err().contains("rate-limit.preset"));
    }
}
