//! The comparison as a table, for a terminal and in Markdown.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::json::Report;
use crate::format::{accuracy, bytes, count, percent, seconds};
use crate::statistics::summary::{Summary, summarize};

/// A line under the titles and no other borders.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Titles of the columns of a comparison.
pub(crate) const TITLES: [&str; 8] = [
    "method",
    "accuracy",
    "macro-F1",
    "trainable",
    "per step",
    "training",
    "peak memory",
    "file",
];

/// Indices of these columns beside the first, the least important one first.
const LEAST_IMPORTANT: [usize; 7] = [2, 5, 4, 3, 7, 6, 1];

/// The comparison as a table for a terminal, one row per method.
#[must_use]
pub fn table(report: &Report) -> String {
    of_comparison(report).shown(None)
}

/// The same for a terminal with so many columns. What has no room beside the most important columns
/// follows in tables below, so that no row is broken.
#[must_use]
pub fn table_within(report: &Report, width: usize) -> String {
    of_comparison(report).shown(Some(width))
}

/// The comparison as a Markdown table, one row per method.
#[must_use]
pub fn markdown(report: &Report) -> String {
    of_comparison(report).markdown()
}

fn of_comparison(report: &Report) -> Cells {
    Cells {
        titles: TITLES.map(str::to_owned).to_vec(),
        rows: (summarize(report).iter())
            .map(|summary| row(summary).to_vec())
            .collect(),
        least_important: &LEAST_IMPORTANT,
    }
}

/// A table whose first column names the rows.
pub(super) struct Cells {
    pub(super) titles: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Indices of the columns beside the first, in the order in which they leave a table that is too
    /// wide.
    pub(super) least_important: &'static [usize],
}

impl Cells {
    /// The table for a terminal with so many columns. What has no room beside the most important
    /// columns follows in tables below, so that no row is broken.
    pub(super) fn shown(&self, width: Option<usize>) -> String {
        let mut tables = Vec::new();
        let mut left: Vec<usize> = (1..self.titles.len()).collect();
        while !left.is_empty() {
            let mut columns = left.clone();
            let table = loop {
                let table = self.with_columns(&[&[0], columns.as_slice()].concat());
                let widest = table
                    .lines()
                    .map(|line| line.trim_end().chars().count())
                    .max();
                let fits = width
                    .zip(widest)
                    .is_none_or(|(width, widest)| widest <= width);
                if columns.len() == 1 || fits {
                    break table;
                }
                let mut least = self.least_important.iter();
                let least = least.find(|column| columns.contains(column));
                columns.retain(|column| Some(column) != least);
            };
            left.retain(|column| !columns.contains(column));
            tables.push(table);
        }
        tables.join("\n\n")
    }

    /// A table of some of the columns.
    fn with_columns(&self, columns: &[usize]) -> String {
        let mut table = Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|column| &self.titles[*column]));
        for row in &self.rows {
            table.add_row(columns.iter().map(|column| &row[*column]));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        // The line under the titles ends where the titles do.
        table.trim_fmt()
    }

    pub(super) fn markdown(&self) -> String {
        let mut lines = vec![
            format!("| {} |", self.titles.join(" | ")),
            format!("|---|{}", "--:|".repeat(self.titles.len() - 1)),
        ];
        let rows = self.rows.iter();
        lines.extend(rows.map(|row| format!("| {} |", row.join(" | "))));
        lines.join("\n")
    }
}

/// The cells of one method, in the order of [`TITLES`].
pub(crate) fn row(summary: &Summary) -> [String; 8] {
    [
        name(summary),
        accuracy(summary),
        format!("{:.3}", summary.macro_f1),
        trainable(summary),
        summary
            .seconds_per_step
            .map_or_else(|| "–".to_owned(), seconds),
        seconds(summary.train_seconds),
        summary
            .peak_memory_bytes
            .map_or_else(|| "?".to_owned(), bytes),
        bytes(summary.artifact_bytes),
    ]
}

/// `lora`, or `lora (25 per class)` if the training images were limited, or
/// `lora (20 per class, 25 asked for)` if there are fewer.
pub(crate) fn name(summary: &Summary) -> String {
    let method = &summary.method;
    match (summary.train_per_class, summary.train_per_class_found) {
        (Some(asked), Some(found)) if found < asked => {
            format!("{method} ({found} per class, {asked} asked for)")
        }
        (Some(count), _) => format!("{method} ({count} per class)"),
        (None, _) => method.clone(),
    }
}

/// `4 101 (5.2 %)`.
#[allow(clippy::cast_precision_loss)]
fn trainable(summary: &Summary) -> String {
    let share = summary.trainable_parameters as f64 / summary.total_parameters.max(1) as f64;
    format!(
        "{} ({})",
        count(summary.trainable_parameters),
        percent(share)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn a_table_that_is_too_wide_continues_below() {
        let report = with_runs(&[("sft", 0, 0.5), ("lora", 0, 0.5), ("lora", 1, 0.6)]);
        let titles = |table: &str| -> Vec<Vec<String>> {
            let heads = table.split("\n\n").map(|part| part.lines().next().unwrap());
            let columns = heads.map(|head| head.split("  ").map(str::trim));
            let columns = columns.map(|titles| titles.filter(|title| !title.is_empty()));
            columns
                .map(|titles| titles.map(str::to_owned).collect())
                .collect()
        };
        assert_eq!(table_within(&report, 200), table(&report));
        assert_eq!(titles(&table(&report)), [TITLES]);
        let two = [
            &[
                "method",
                "accuracy",
                "trainable",
                "per step",
                "peak memory",
                "file",
            ][..],
            &["method", "macro-F1", "training"],
        ];
        assert_eq!(titles(&table_within(&report, 80)), two);
        for width in [80, 60, 40, 30] {
            let table = table_within(&report, width);
            let fits = |line: &str| line.chars().count() <= width;
            assert!(table.lines().all(fits), "{width}\n{table}");
            for summary in &summarize(&report) {
                for cell in row(summary) {
                    assert!(table.contains(&cell), "{cell} {width}\n{table}");
                }
            }
        }
        // A column is there however narrow the terminal is.
        assert_eq!(titles(&table_within(&report, 1)).len(), 7);
    }

    #[test]
    fn terminal_and_markdown_show_the_same_cells() {
        let mut report = with_runs(&[("lora", 0, 0.5)]);
        report.runs[0].train_per_class = Some(5);
        let markdown = markdown(&report);
        let lines: Vec<&str> = markdown.lines().collect();
        assert_eq!(
            lines[0],
            "| method | accuracy | macro-F1 | trainable | per step | training | peak memory | file |"
        );
        assert_eq!(
            lines[2],
            "| lora (5 per class) | 50.00 % | 0.400 | 12 (21.4 %) | 190 ms | 31.0 s | 123 B | 45 B |"
        );
        report.runs[0].train_per_class = Some(1000);
        report.runs[0].train_per_class_found = Some(20);
        let name = name(&summarize(&report)[0]);
        assert_eq!(name, "lora (20 per class, 1000 asked for)");
        let table = table(&report);
        for cell in row(&summarize(&report)[0]) {
            assert!(table.contains(&cell), "{cell}: {table}");
        }
    }
}
