//! The comparison as a table, for a terminal and in Markdown.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::json::Report;
use crate::format::{accuracy, bytes, count, percent, seconds};
use crate::statistics::summary::{Summary, summarize};

/// A line under the titles and no other borders.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Titles of the columns.
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

/// The comparison as a table for a terminal, one row per method.
#[must_use]
pub fn table(report: &Report) -> String {
    let summaries = summarize(report);
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(TITLES);
    for summary in &summaries {
        table.add_row(row(summary));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The comparison as a Markdown table, one row per method.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut lines = vec![
        format!("| {} |", TITLES.join(" | ")),
        format!("|---|{}", "--:|".repeat(7)),
    ];
    let rows = summarize(report);
    lines.extend(
        rows.iter()
            .map(|summary| format!("| {} |", row(summary).join(" | "))),
    );
    lines.join("\n")
}

/// The cells of one method, in the order of [`TITLES`].
pub(crate) fn row(summary: &Summary) -> [String; 8] {
    [
        name(summary),
        accuracy(summary),
        format!("{:.3}", summary.macro_f1),
        trainable(summary),
        seconds(summary.seconds_per_step),
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
