//! How many columns the terminal has.

use comfy_table::Table;

/// Columns of text on stderr if that is no terminal: what fits everywhere.
const NARROW: usize = 80;

/// Columns in which text is still easy to read.
const WIDE: usize = 110;

/// Columns of the terminal that stdout is; `None` if it is none.
#[must_use]
pub fn of_stdout() -> Option<usize> {
    columns(&Table::new())
}

/// Columns for text on stderr.
#[must_use]
pub fn of_text_on_stderr() -> usize {
    columns(Table::new().use_stderr()).map_or(NARROW, |width| width.min(WIDE))
}

/// A terminal that does not know its width says 0.
fn columns(table: &Table) -> Option<usize> {
    table.width().map(usize::from).filter(|width| *width > 0)
}
