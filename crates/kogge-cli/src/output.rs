//! Results on standard output: a table for people, JSON and tab-separated values for programs.

pub(crate) mod query;
pub(crate) mod shape;
pub(crate) mod sheet;

use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::Value;

use self::query::Query;
use self::shape::Rows;
use crate::args::OutputForm;
use crate::error::{During as _, Result};

/// In which form results are printed, and which part of them.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) form: OutputForm,
    pub(crate) query: Option<Query>,
}

impl Output {
    /// Whether a result must be there as a whole before any of it can be printed.
    pub(crate) fn needs_all(&self) -> bool {
        self.form == OutputForm::Json || self.query.is_some()
    }

    /// Prints a result: `text` for people, `value` for programs.
    pub(crate) fn print(&self, text: impl FnOnce() -> String, value: &impl Serialize) -> Result<()> {
        if self.query.is_none() && self.form == OutputForm::Table {
            return line(&text());
        }
        self.print_value(&serde_json::to_value(value).expect("results can be written as JSON"))
    }

    /// Prints a result that has no form of its own for people.
    pub(crate) fn print_value(&self, value: &Value) -> Result<()> {
        let Some(query) = &self.query else { return self.print_shape(value, &[]) };
        self.print_shape(&query.pick(value)?, &query.column_order())
    }

    fn print_shape(&self, value: &Value, order: &[String]) -> Result<()> {
        match self.form {
            OutputForm::Json => json(value),
            OutputForm::Tsv => line(&tsv(&shape::rows(value, order).rows)),
            OutputForm::Table => match value {
                Value::Object(_) if order.is_empty() => line(&attributes(value)),
                _ => line(&table_of(shape::rows(value, order))),
            },
        }
    }
}

/// Prints a line, or several that `text` holds.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut bytes = text.as_bytes().to_vec();
    if !text.is_empty() {
        bytes.push(b'\n');
    }
    raw(&bytes)
}

pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value).expect("results can be written as JSON"))
}

/// Prints bytes as they are. A reader that has gone away is no failure.
pub(crate) fn raw(bytes: &[u8]) -> Result<()> {
    raw_while_read(bytes).map(drop)
}

/// Prints bytes as they are. Says whether somebody reads them.
pub(crate) fn raw_while_read(bytes: &[u8]) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.during(|| "write to standard output".to_owned()).map(|()| true),
    }
}

/// A table without lines, its columns under `header`.
pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table_lines(&table)
}

/// A table of an object's attributes.
pub(crate) fn attributes(value: &Value) -> String {
    table(["ATTRIBUTE", "VALUE"], shape::attributes(value))
}

fn table_of(rows: Rows) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(header) = &rows.header {
        table.set_header(header);
    }
    table.add_rows(rows.rows);
    table_lines(&table)
}

/// Rows of cells that hold no line ends and no tabs.
fn tsv(rows: &[Vec<String>]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
    lines.join("\n")
}

/// The lines of a table. Each cell has a space on both sides; the outermost ones are in the way.
fn table_lines(table: &Table) -> String {
    let lines: Vec<String> =
        table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A number of bytes for people: `12.3 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_are_readable() {
        let check = |count: u64, expected: &str| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(1_023, "1023 B");
        check(1_024, "1.0 KiB");
        check(1_536, "1.5 KiB");
        check(1024 * 1024, "1.0 MiB");
        check(u64::MAX, "16383.9 PiB");
    }

    #[test]
    fn a_table_has_its_columns_under_the_header() {
        let shown = table(["TAG", "SIZE"], [["v1".to_owned(), "1 B".to_owned()]]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("SIZE"), lines[1].find("1 B"));
    }
}
