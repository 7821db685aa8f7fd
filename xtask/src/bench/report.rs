//! The table: what was measured, beside each goal, and by how much it is met or missed.

use super::sample::Series;

/// Whether more or less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    AtLeast,
    AtMost,
}

/// A goal and what came of it.
#[derive(Debug)]
struct Goal {
    text: String,
    direction: Direction,
    value: f64,
    bound: f64,
    unit: &'static str,
}

/// How a row's rates and CPU figures are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    /// The rate's.
    pub(super) rate: &'static str,
    /// What CPU seconds per unit are multiplied with, and what that is called.
    pub(super) cpu: (f64, &'static str),
}

/// Requests, or other small work.
pub(super) const REQUESTS: Unit = Unit { rate: "/s", cpu: (1e6, "us CPU each") };
/// MiB of a blob.
pub(super) const BYTES: Unit = Unit { rate: "MiB/s", cpu: (1024.0, "CPU s/GiB") };

/// One kind of work.
#[derive(Debug)]
pub(super) struct Row {
    work: String,
    lines: Vec<String>,
    goals: Vec<Goal>,
}

impl Row {
    pub(super) fn new(work: impl Into<String>) -> Self {
        Self { work: work.into(), lines: Vec::new(), goals: Vec::new() }
    }

    /// Adds lines of what was measured; each is compared with the first.
    pub(super) fn measured(&mut self, series: &[&Series], unit: Unit) {
        let Some(first) = series.first() else { return };
        for one in series {
            let (factor, cpu_name) = unit.cpu;
            let mut line = format!("  {:<44} {:>10} {:<6}", one.name, number(one.rate()), unit.rate);
            if !one.cpu().is_nan() {
                line += &format!(" {:>8} {cpu_name}", number(one.cpu() * factor));
            }
            if one.name != first.name {
                line += &format!("   {} is {} x", first.name, number(first.ratio(one)));
                if !one.cpu().is_nan() {
                    line += &format!(", its CPU {} x", number(first.cpu() / one.cpu()));
                }
            }
            self.lines.push(line);
        }
    }

    /// Adds a line of a single figure.
    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &str) {
        self.lines.push(format!("  {name:<44} {:>10} {unit}", number(value)));
    }

    pub(super) fn at_least(&mut self, text: impl Into<String>, value: f64, bound: f64, unit: &'static str) {
        self.goals.push(Goal { text: text.into(), direction: Direction::AtLeast, value, bound, unit });
    }

    pub(super) fn at_most(&mut self, text: impl Into<String>, value: f64, bound: f64, unit: &'static str) {
        self.goals.push(Goal { text: text.into(), direction: Direction::AtMost, value, bound, unit });
    }

    /// The row as text, its goals last.
    pub(super) fn render(&self) -> String {
        let goals = self.goals.iter().map(Goal::render);
        let lines = std::iter::once(self.work.clone()).chain(self.lines.iter().cloned()).chain(goals);
        lines.map(|line| line + "\n").collect()
    }
}

impl Goal {
    fn render(&self) -> String {
        let (met, by) = match self.direction {
            Direction::AtLeast => (self.value >= self.bound, self.value / self.bound),
            Direction::AtMost => (self.value <= self.bound, self.value / self.bound),
        };
        let (value, bound, unit) = (number(self.value), number(self.bound), self.unit);
        let verdict = if met { "MET   " } else { "MISSED" };
        format!("  {verdict} {:<60} {value} of {bound} {unit} ({:+.0} %)", self.text, (by - 1.0) * 100.0)
    }
}

/// Three figures that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size > 0.0 => format!("{value:.3}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_tells_by_how_much_it_is_missed() {
        let mut row = Row::new("work");
        row.at_least("as fast as the other", 0.8, 1.0, "x");
        row.at_most("small", 30.0, 40.0, "MiB");
        let text = row.render();
        assert!(text.contains("MISSED as fast as the other") && text.contains("0.800 of 1.00 x (-20 %)"), "{text}");
        assert!(text.contains("MET    small") && text.contains("30.0 of 40.0 MiB (-25 %)"), "{text}");
    }
}
