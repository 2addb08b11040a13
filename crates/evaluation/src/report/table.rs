//! The table on the terminal.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// A line under the titles, nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

use crate::report::json::Report;
use crate::statistics::summary::{Summary, summarize};

/// The columns.
pub(crate) const TITLES: [&str; 8] = [
    "method",
    "accuracy",
    "macro-F1",
    "trained",
    "a step",
    "training",
    "peak memory",
    "file",
];

/// The comparison as a table for a terminal.
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

/// The comparison as a Markdown table.
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

/// The cells of one method.
pub(crate) fn row(summary: &Summary) -> [String; 8] {
    let method = match summary.train_per_class {
        Some(count) => format!("{} ({count} a class)", summary.method),
        None => summary.method.clone(),
    };
    [
        method,
        accuracy(summary),
        format!("{:.3}", summary.macro_f1),
        trained(summary),
        seconds(summary.seconds_per_step),
        seconds(summary.train_seconds),
        summary
            .peak_memory_bytes
            .map_or_else(|| "?".to_owned(), bytes),
        bytes(summary.artifact_bytes),
    ]
}

/// `94.80 %`, or `94.80 ± 0.61 %` over several seeds.
pub(crate) fn accuracy(summary: &Summary) -> String {
    let percent = 100.0 * summary.accuracy.mean;
    match summary.seeds {
        1 => format!("{percent:.2} %"),
        _ => format!("{percent:.2} ± {:.2} %", 100.0 * summary.accuracy.std),
    }
}

/// `4 101 (5.2 %)`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn trained(summary: &Summary) -> String {
    let share = summary.trainable_parameters as f64 / summary.total_parameters.max(1) as f64;
    format!(
        "{} ({})",
        count(summary.trainable_parameters),
        percent(share)
    )
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if percent >= 99.95 => format!("{percent:.0} %"),
        _ if percent >= 1.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.2} %"),
    }
}

/// Digits in groups of three.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `340 KiB`, `1.6 GiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 10.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `42 ms`, `8.3 s`, `3 min 05 s`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn seconds(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "?".to_owned(),
        _ if value < 0.001 => format!("{:.2} ms", value * 1e3),
        _ if value < 0.9995 => format!("{:.0} ms", value * 1e3),
        _ if value < 99.95 => format!("{value:.1} s"),
        _ => format!(
            "{} min {:02} s",
            (value / 60.0) as u64,
            (value % 60.0) as u64
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            [bytes(512), bytes(1536), bytes(300_000)],
            ["512 B", "1.5 KiB", "293 KiB"]
        );
        assert_eq!(
            [
                seconds(0.000_062),
                seconds(0.0423),
                seconds(8.31),
                seconds(185.2)
            ],
            ["0.06 ms", "42 ms", "8.3 s", "3 min 05 s"]
        );
        assert_eq!(
            [percent(1.0), percent(0.052), percent(0.0005)],
            ["100 %", "5.2 %", "0.05 %"]
        );
    }
}
