//! Hybrid logical clock stamps: the version order of every replicated record.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, moved forward where causality needs it. A causally later write always
/// carries the greater stamp, whichever node takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Stamp(pub i64);

impl Stamp {
    /// The stamp of a write made when the wall clock showed `wall_us` and the greatest stamp known was `self`.
    #[must_use]
    pub fn next(self, wall_us: i64) -> Self {
        Self(wall_us.max(self.0.saturating_add(1)))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_write_is_greater_even_when_the_clock_went_back() {
        assert_eq!(Stamp(100).next(200), Stamp(200));
        assert_eq!(Stamp(100).next(100), Stamp(101));
        assert_eq!(Stamp(100).next(7), Stamp(101));
    }
}
