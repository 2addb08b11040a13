//! The charts of a report as files of their own.

use super::differences::rows;
use super::json::Report;
use super::matrix;
use crate::error::EvaluationError;
use crate::pictures::Picture;
use crate::pictures::charts::{bars, curves, learning_curve, tradeoffs};
use crate::pictures::forest::forest;
use crate::pictures::looks::Looks;
use crate::pictures::pareto;
use crate::statistics::summary::summarize;

/// The names of all charts that a report may have, besides the [confusion
/// matrices](super::confusion_chart).
pub const CHARTS: [&str; 10] = [
    "differences",
    "accuracy-and-costs",
    "test-accuracy",
    "peak-memory",
    "time-per-step",
    "file-size",
    "training-loss",
    "training-accuracy",
    "validation-accuracy",
    "accuracy-by-training-images",
];

/// The charts of a report, those that its page has, and the confusion matrix of each method. Charts that
/// compare methods are left out if there is one method, curves if there is one epoch, and matrices if there
/// are more than 100 classes.
///
/// # Errors
///
/// [`EvaluationError::Plot`] if one cannot be drawn.
pub fn charts(report: &Report) -> Result<Vec<Picture>, EvaluationError> {
    let summaries = summarize(report);
    let looks = Looks::of(&summaries);
    let mut charts = Vec::new();
    charts.extend(forest(&rows(&summaries))?);
    charts.extend(pareto::tradeoffs(&tradeoffs(&summaries, &looks))?);
    charts.extend(bars(&summaries, &looks)?);
    charts.extend(curves(report, &summaries, &looks)?);
    charts.extend(learning_curve(&summaries, &looks)?);
    charts.extend(matrix::pictures(report, &summaries)?);
    Ok(charts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::report::run::{Epoch, outcomes};

    #[test]
    fn each_chart_is_a_file_of_its_own() {
        let mut report = with_runs(&[
            ("sft", 0, 0.5),
            ("a<b", 0, 0.5),
            ("sft", 0, 0.4),
            ("a<b", 0, 0.4),
        ]);
        for (index, run) in report.runs.iter_mut().enumerate() {
            run.outcomes = Some(outcomes([true, index % 2 == 0]));
            run.train_per_class = Some(if index < 2 { 20 } else { 10 });
            let second = Epoch {
                epoch: 2,
                ..run.epochs[0].clone()
            };
            run.epochs.push(second);
        }
        let all = charts(&report).unwrap();
        let names: Vec<&str> = all.iter().map(|chart| chart.name.as_str()).collect();
        let matrices = ["confusion-sft", "confusion-a-b"];
        assert_eq!(names, [&CHARTS[..], &matrices].concat());
        for chart in &all {
            let svg = chart.file();
            assert!(
                svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
                "{svg}"
            );
            assert!(
                svg.contains("xmlns=\"http://www.w3.org/2000/svg\""),
                "{svg}"
            );
            let of_another = chart.name == "confusion-sft";
            assert!(
                svg.contains("a&lt;b") != of_another && !svg.contains("a<b"),
                "{svg}"
            );
            for of_a_page in ["currentColor", "var(", "class="] {
                assert!(!svg.contains(of_a_page), "{of_a_page}: {svg}");
            }
        }
    }

    #[test]
    fn one_method_and_one_epoch_have_a_confusion_matrix_only() {
        let charts_of_one = charts(&with_runs(&[("sft", 0, 0.5)])).unwrap();
        let names: Vec<&str> = charts_of_one.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["confusion-sft"]);
        assert_eq!(charts(&with_runs(&[])).unwrap(), []);
    }
}
