//! The two tiers of tests: the first fits into minutes, the second has larger sizes and longer races.

/// Whether the second tier was asked for: `cargo xtask test --long` sets `KOGGE_TEST_LONG=1`.
pub fn is_long() -> bool {
    std::env::var_os("KOGGE_TEST_LONG").is_some_and(|value| value == "1")
}
