//! A table that is printed page by page, so that a long one begins at once and takes no memory.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, Table, Width};
use serde_json::Value;

use super::{Output, raw_while_read, shape, table_lines};
use crate::args::OutputForm;
use crate::error::Result;

/// One column: what it is called, and what it shows of an entry.
pub(crate) struct Column {
    header: &'static str,
    show: Show,
}

enum Show {
    /// The value at a pointer (RFC 6901).
    At(&'static str),
    By(Box<dyn Fn(&Value) -> String + Send + Sync>),
}

impl Column {
    /// The value at `pointer`, such as `/properties/loginServer`.
    pub(crate) fn at(header: &'static str, pointer: &'static str) -> Self {
        Self { header, show: Show::At(pointer) }
    }

    pub(crate) fn by(header: &'static str, show: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self { header, show: Show::By(Box::new(show)) }
    }

    fn cell(&self, entry: &Value) -> String {
        match &self.show {
            Show::At(pointer) => entry.pointer(pointer).map_or_else(String::new, shape::cell),
            // What is made of values of others is no safer than they are.
            Show::By(show) => shape::cell(&Value::String(show(entry))),
        }
    }
}

/// A table under way.
pub(crate) struct Sheet {
    form: OutputForm,
    columns: Vec<Column>,
    /// How wide each column has been.
    widths: Vec<u16>,
}

impl Sheet {
    pub(crate) fn new(output: &Output, columns: Vec<Column>) -> Self {
        Self { form: output.form, columns, widths: Vec::new() }
    }

    /// Prints a page of entries. Says whether somebody still reads.
    pub(crate) fn page(&mut self, entries: &[Value]) -> Result<bool> {
        let rows: Vec<Vec<String>> =
            entries.iter().map(|entry| self.columns.iter().map(|column| column.cell(entry)).collect()).collect();
        let text = match self.form {
            OutputForm::Tsv => super::tsv(&rows),
            OutputForm::Table | OutputForm::Json => self.lay_out(rows),
        };
        if text.is_empty() { Ok(true) } else { raw_while_read(format!("{text}\n").as_bytes()) }
    }

    /// Rows under the columns of the pages before; a longer cell moves what follows it.
    fn lay_out(&mut self, rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        if self.widths.is_empty() {
            table.set_header(self.columns.iter().map(|column| column.header));
        }
        table.add_rows(rows);
        let so_wide = |width: &u16| ColumnConstraint::LowerBoundary(Width::Fixed(*width));
        table.set_constraints(self.widths.iter().map(so_wide).collect::<Vec<_>>());
        // The widest cell and a space on both sides.
        let widest = table.column_max_content_widths().into_iter().map(|width| width.saturating_add(2));
        let before = std::mem::take(&mut self.widths).into_iter().chain(std::iter::repeat(0));
        self.widths = widest.zip(before).map(|(now, before)| now.max(before)).collect();
        table_lines(&table)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_pages_stand_under_the_first_one() {
        let output = Output { form: OutputForm::Table, query: None };
        let columns = vec![Column::at("NAME", "/name"), Column::by("SIZE", |entry| format!("{} B", entry["size"]))];
        let mut sheet = Sheet::new(&output, columns);
        let row = |name: &str, size: u64| vec![name.to_owned(), format!("{size} B")];
        let first = sheet.lay_out(vec![row("a-long-name", 1)]);
        let second = sheet.lay_out(vec![row("b", 2)]);
        let lines: Vec<&str> = first.lines().chain(second.lines()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!([lines[0].find("SIZE"), lines[1].find("1 B"), lines[2].find("2 B")], [Some(13); 3], "{lines:?}");
        let shown = sheet.columns.iter().map(|column| column.cell(&json!({ "name": "x\u{1b}", "size": 3 })));
        assert_eq!(shown.collect::<Vec<_>>(), ["x ", "3 B"]);
    }
}
