//! Progress bars on standard error: shown on a terminal only, and not with `--quiet`.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::tell;

/// How often a bar without news moves, so that it is seen to live.
const TICK: Duration = Duration::from_millis(120);

/// The bars of one command.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    quiet: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), quiet }
    }

    /// A bar for `total` bytes of `label`. It goes when it is dropped.
    pub(crate) fn bytes(&self, label: &str, total: u64) -> Meter {
        let style = ProgressStyle::with_template(
            "{prefix} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        )
        .expect("the template is well formed")
        .progress_chars("=> ");
        self.add(ProgressBar::new(total).with_style(style), label)
    }

    /// A line that says what is being done and counts, for work whose size is not known.
    pub(crate) fn activity(&self, label: &str) -> Meter {
        let style = ProgressStyle::with_template("{spinner} {prefix} {msg}").expect("the template is well formed");
        let meter = self.add(ProgressBar::new_spinner().with_style(style), label);
        if !self.bars.is_hidden() {
            meter.bar.enable_steady_tick(TICK);
        }
        meter
    }

    fn add(&self, bar: ProgressBar, label: &str) -> Meter {
        let bar = self.bars.add(bar);
        bar.set_prefix(label.to_owned());
        Meter { bar }
    }

    /// Says something on standard error that is no error, above the bars.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// Says something that matters even with `--quiet`, above the bars.
    pub(crate) fn warn(&self, text: &str) {
        self.bars.suspend(|| tell(text));
    }
}

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    bar: ProgressBar,
}

impl Meter {
    /// A meter that nobody sees.
    #[cfg(test)]
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    /// Sets how far the work is, in bytes from its beginning.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    pub(crate) fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
