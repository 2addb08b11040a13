//! Confusion matrices as HTML tables.

use maud::{Markup, html};

use super::json::Report;
use super::table::name;
use crate::format::accuracy;
use crate::statistics::summary::{Summary, largest};

/// One matrix per method, summed over its seeds, for the largest number of training images.
pub(crate) fn confusions(report: &Report, summaries: &[Summary]) -> Markup {
    html! { @for summary in largest(summaries) { figure {
        figcaption {
            b { (name(summary)) } " " (accuracy(summary))
            @if let Some((low, high)) = summary.interval() {
                span.quiet { ", 95 % interval " (percent(low)) "–" (percent(high)) " %" }
            }
        }
        (matrix(&report.dataset.classes, &summed(report, summary)))
    } } }
}

fn matrix(classes: &[String], counts: &[Vec<u64>]) -> Markup {
    html! { div.scroll { table.confusion {
        thead { tr {
            th.quiet { "actual \\ predicted" }
            @for class in classes { th { (class) } }
            th.quiet { "correct" }
        } }
        tbody { @for (truth, (class, line)) in classes.iter().zip(counts).enumerate() {
            @let all: u64 = line.iter().sum();
            tr {
                th scope="row" { (class) }
                @for (predicted, count) in line.iter().enumerate() {
                    td style=(heat(*count, all, truth == predicted)) {
                        @if *count > 0 { (count) } @else { span.quiet { "·" } }
                    }
                }
                td.quiet { (percent(share(line[truth], all))) " %" }
            }
        } }
    } } }
}

fn summed(report: &Report, summary: &Summary) -> Vec<Vec<u64>> {
    let classes = report.dataset.classes.len();
    let mut counts = vec![vec![0; classes]; classes];
    for run in report.runs.iter().filter(|run| summary.contains(run)) {
        for (sums, line) in counts.iter_mut().zip(&run.confusion) {
            for (sum, count) in sums.iter_mut().zip(line) {
                *sum += count;
            }
        }
    }
    counts
}

/// The colour of a cell: blue for correct images, orange for wrong ones. Orange is stronger, because
/// a few wrong images matter.
fn heat(count: u64, all: u64, correct: bool) -> String {
    let share = share(count, all);
    let (color, strength) = if correct {
        ("0,114,178", 0.45 * share)
    } else {
        ("213,94,0", (1.6 * share).min(0.8))
    };
    format!("background:rgba({color},{strength:.2})")
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    #[test]
    fn matrices_are_summed_over_seeds() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5), ("lora", 0, 0.5)]);
        report.runs[0].confusion = vec![vec![3, 1], vec![0, 4]];
        report.runs[1].confusion = vec![vec![4, 0], vec![2, 2]];
        let summaries = summarize(&report);
        assert_eq!(summed(&report, &summaries[0]), [[7, 1], [2, 6]]);
        let page = confusions(&report, &summaries[..1]).into_string();
        assert!(page.contains("87.5 %") && page.contains("75.0 %"), "{page}");
        // A matrix that does not match the classes is truncated and does not cause a panic.
        report.runs[0].confusion = vec![vec![1, 2, 3]];
        confusions(&report, &summaries);
    }

    #[test]
    fn colours_are_stronger_for_larger_shares() {
        assert_eq!(heat(4, 4, true), "background:rgba(0,114,178,0.45)");
        assert_eq!(heat(1, 4, false), "background:rgba(213,94,0,0.40)");
        assert_eq!(heat(0, 0, false), "background:rgba(213,94,0,0.00)");
    }
}
