//! Measured values, and what they are compared with.

use std::time::Instant;

use anyhow::Result;

use super::process::Tree;

/// What one round of one server came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Units of work per second.
    pub(super) rate: f64,
    /// CPU seconds of the server per unit of work.
    pub(super) cpu: f64,
}

/// Time and CPU of a server while it works.
pub(super) struct Watch {
    tree: Tree,
    started: Instant,
    cpu: f64,
}

impl Watch {
    pub(super) fn start(tree: Tree) -> Result<Self> {
        Ok(Self { tree, cpu: tree.cpu_seconds()?, started: Instant::now() })
    }

    /// Ends the round, in which `units` of work were done.
    pub(super) fn stop_after(self, units: f64) -> Result<Sample> {
        let seconds = self.started.elapsed().as_secs_f64();
        Ok(Sample { rate: units / seconds, cpu: (self.tree.cpu_seconds()? - self.cpu) / units })
    }
}

/// Rounds of one subject: a server, or a limit of the machine.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    rates: Vec<f64>,
    cpus: Vec<f64>,
}

impl Series {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rates: Vec::new(), cpus: Vec::new() }
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.rates.push(sample.rate);
        self.cpus.push(sample.cpu);
    }

    /// Adds a round of something that is no server.
    pub(super) fn add_rate(&mut self, rate: f64) {
        self.rates.push(rate);
    }

    /// Units per second, median.
    pub(super) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    /// CPU seconds per unit, median. NaN for a limit.
    pub(super) fn cpu(&self) -> f64 {
        median(&self.cpus)
    }

    /// The median of the rounds' own ratios to `other`: what disturbed a whole round disturbs it less.
    pub(super) fn ratio(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self.rates.iter().zip(&other.rates).map(|(own, other)| own / other).collect();
        median(&ratios)
    }

    /// The smaller of two limits, round by round.
    pub(super) fn at_most(&self, other: &Self) -> Self {
        let rates = self.rates.iter().zip(&other.rates).map(|(own, other)| own.min(*other)).collect();
        Self { name: format!("smaller of {} and {}", self.name, other.name), rates, cpus: Vec::new() }
    }
}

/// The middle of `values`; NaN of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
