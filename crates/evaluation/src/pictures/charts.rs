//! Selects the numbers of a report that each picture shows.

use crate::error::EvaluationError;
use crate::format::{accuracy, bytes, seconds};
use crate::pictures::bars::{Kind, Panel, Row, panels};
use crate::pictures::lines::{Axes, Series, lines};
use crate::pictures::looks::Looks;
use crate::report::json::{Epoch, Report, Run};
use crate::statistics::Spread;
use crate::statistics::summary::{Summary, largest, summarize};

/// Draws accuracy, memory, time and file size of each method as one SVG file, for a README.
///
/// # Errors
///
/// [`EvaluationError::Plot`] if it cannot be drawn.
pub fn picture(report: &Report) -> Result<String, EvaluationError> {
    let summaries = summarize(report);
    panels(&costs(&summaries, &Looks::of(&summaries)))
}

/// Accuracy and costs of each method, for the largest number of training images.
pub(crate) fn costs(summaries: &[Summary], looks: &Looks) -> Vec<Panel> {
    let panel = |title: &str, kind, row: fn(&Summary) -> (f64, String)| Panel {
        title: title.to_owned(),
        kind,
        rows: largest(summaries)
            .into_iter()
            .map(|summary| {
                let (value, label) = row(summary);
                let shares = kind == Kind::Dots;
                Row {
                    name: summary.method.clone(),
                    look: looks.get(&summary.method),
                    value,
                    label,
                    seeds: if shares {
                        summary.accuracies.clone()
                    } else {
                        Vec::new()
                    },
                    interval: summary.interval().filter(|_| shares),
                }
            })
            .collect(),
    };
    vec![
        panel("Test accuracy", Kind::Dots, |summary| {
            (summary.accuracy.mean, accuracy(summary))
        }),
        panel("Peak memory", Kind::Bars, |summary| {
            match summary.peak_memory_bytes {
                Some(number) => (as_f64(number), bytes(number)),
                None => (f64::NAN, String::new()),
            }
        }),
        panel("Time per step", Kind::Bars, |summary| {
            (summary.seconds_per_step, seconds(summary.seconds_per_step))
        }),
        panel(
            "File size (without the base weights)",
            Kind::Bars,
            |summary| {
                (
                    as_f64(summary.artifact_bytes),
                    bytes(summary.artifact_bytes),
                )
            },
        ),
    ]
}

/// Training loss and accuracy over the epochs, for the largest number of training images.
pub(crate) fn curves(
    report: &Report,
    summaries: &[Summary],
    looks: &Looks,
) -> Result<Vec<String>, EvaluationError> {
    let of = |pick: fn(&Epoch) -> Option<f64>| over_epochs(report, summaries, looks, pick);
    let loss = of(|epoch| Some(epoch.train_loss));
    let valid = of(|epoch| epoch.valid_accuracy);
    let (title, accuracy) = if valid.iter().any(|line| !line.points.is_empty()) {
        ("Validation accuracy", valid)
    } else {
        ("Training accuracy", of(|epoch| Some(epoch.train_accuracy)))
    };
    let loss_axes = Axes {
        title: "Training loss (cross-entropy)",
        x: "epoch",
        share: false,
    };
    let accuracy_axes = Axes {
        title,
        x: "epoch",
        share: true,
    };
    let pictures = vec![lines(&loss, loss_axes)?, lines(&accuracy, accuracy_axes)?];
    Ok(pictures
        .into_iter()
        .filter(|picture| !picture.is_empty())
        .collect())
}

fn over_epochs(
    report: &Report,
    summaries: &[Summary],
    looks: &Looks,
    pick: fn(&Epoch) -> Option<f64>,
) -> Vec<Series> {
    let series = largest(summaries).into_iter().map(|summary| {
        let runs = report.runs.iter().filter(|run| summary.contains(run));
        let singles: Vec<Vec<(f64, f64)>> = runs.map(|run| points(run, pick)).collect();
        Series {
            name: summary.method.clone(),
            look: looks.get(&summary.method),
            points: mean(&singles),
            singles,
        }
    });
    series.collect()
}

fn points(run: &Run, pick: fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |epoch: &Epoch| Some((as_f64(epoch.epoch as u64), pick(epoch)?));
    run.epochs.iter().filter_map(point).collect()
}

/// The mean of the finite values at each place at which any line has one. A seed whose loss becomes
/// NaN does not end the line of the other seeds.
fn mean(lines: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let finite = || lines.iter().flatten().filter(|(_, y)| y.is_finite());
    let mut places: Vec<f64> = finite().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let at = |place: f64| finite().filter(move |(x, _)| x.total_cmp(&place).is_eq());
    places
        .into_iter()
        .map(|place| {
            (
                place,
                Spread::of(&at(place).map(|(_, y)| *y).collect::<Vec<_>>()).mean,
            )
        })
        .collect()
}

/// Test accuracy over the number of training images; empty if there are fewer than two numbers.
pub(crate) fn learning_curve(
    summaries: &[Summary],
    looks: &Looks,
) -> Result<String, EvaluationError> {
    let mut series: Vec<Series> = Vec::new();
    for summary in summaries {
        let Some(count) = summary.train_per_class else {
            continue;
        };
        let point = (as_f64(count as u64), summary.accuracy.mean);
        match series.iter_mut().find(|line| line.name == summary.method) {
            Some(line) => line.points.push(point),
            None => series.push(Series {
                name: summary.method.clone(),
                look: looks.get(&summary.method),
                points: vec![point],
                singles: Vec::new(),
            }),
        }
    }
    if series.iter().all(|line| line.points.len() < 2) {
        return Ok(String::new());
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let axes = Axes {
        title: "Test accuracy",
        x: "training images per class",
        share: true,
    };
    lines(&series, axes)
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn means_ignore_values_that_are_nan() {
        let lines = [
            vec![(1.0, 2.0), (2.0, f64::NAN)],
            vec![(1.0, 4.0), (2.0, 6.0), (3.0, 1.0)],
        ];
        assert_eq!(mean(&lines), [(1.0, 3.0), (2.0, 6.0), (3.0, 1.0)]);
    }

    #[test]
    fn learning_curves_need_two_numbers_of_images() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 0, 0.8)]);
        let curve = |report: &Report| {
            let summaries = summarize(report);
            learning_curve(&summaries, &Looks::of(&summaries)).unwrap()
        };
        assert_eq!(curve(&report), "");
        report.runs[0].train_per_class = Some(5);
        report.runs[1].train_per_class = Some(20);
        assert!(curve(&report).contains("training images per class"));
        // The other pictures show only the runs with the larger number of images.
        let summaries = summarize(&report);
        let panels = costs(&summaries, &Looks::of(&summaries));
        assert_eq!(panels[0].rows.len(), 1);
        assert_eq!(panels[0].rows[0].label, "80.00 %");
    }
}
