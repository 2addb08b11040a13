//! Selects the numbers of a report that each picture shows.

use crate::error::EvaluationError;
use crate::format::{accuracy, bytes, seconds};
use crate::pictures::bars::{Kind, Panel, Row, panel, panels};
use crate::pictures::lines::{Axes, Series, lines};
use crate::pictures::looks::Looks;
use crate::pictures::pareto::{Point, Tradeoff};
use crate::pictures::picture::Picture;
use crate::pictures::scale::Unit;
use crate::report::json::Report;
use crate::report::run::{Epoch, Run};
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
    let panel = |name, title: &str, kind, row: fn(&Summary) -> (f64, String)| Panel {
        name,
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
        panel("test-accuracy", "Test accuracy", Kind::Dots, |summary| {
            (summary.accuracy.mean, accuracy(summary))
        }),
        panel(
            "peak-memory",
            "Peak memory",
            Kind::Bars,
            |summary| match summary.peak_memory_bytes {
                Some(number) => (as_f64(number), bytes(number)),
                None => (f64::NAN, String::new()),
            },
        ),
        panel("time-per-step", "Time per step", Kind::Bars, |summary| {
            let time = summary.seconds_per_step;
            (
                time.unwrap_or(f64::NAN),
                time.map_or_else(String::new, seconds),
            )
        }),
        panel(
            "file-size",
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

/// The panels of [`costs`]; none of a single method, which there is nothing to compare with.
pub(crate) fn bars(summaries: &[Summary], looks: &Looks) -> Result<Vec<Picture>, EvaluationError> {
    let panels = costs(summaries, looks).into_iter();
    let several = panels.filter(|panel| panel.rows.len() > 1);
    several.map(|several| panel(&several)).collect()
}

/// Accuracy over each cost, for the methods whose runs went to their ends, with the largest number of
/// training images. Costs that were measured for fewer than two methods are left out.
pub(crate) fn tradeoffs(summaries: &[Summary], looks: &Looks) -> Vec<Tradeoff> {
    let methods = largest(summaries).into_iter();
    let methods: Vec<&Summary> = methods.filter(|one| !one.stopped).collect();
    let tradeoff = |cost, unit, of: fn(&Summary) -> Option<f64>| {
        let point = |summary: &&Summary| {
            let cost = of(summary).filter(|cost| cost.is_finite() && *cost >= 0.0)?;
            Some(Point {
                name: summary.method.clone(),
                look: looks.get(&summary.method),
                cost,
                accuracy: summary.accuracy.mean,
                yardstick: summary.yardstick().is_some(),
            })
        };
        Tradeoff {
            cost,
            unit,
            points: methods.iter().filter_map(point).collect(),
        }
    };
    let all = [
        tradeoff("peak memory", Unit::Bytes, |one| {
            one.peak_memory_bytes.map(as_f64)
        }),
        tradeoff("training time", Unit::Seconds, |one| {
            Some(one.train_seconds)
        }),
        tradeoff("trainable parameters", Unit::Number, |one| {
            Some(as_f64(one.trainable_parameters))
        }),
    ];
    let several = all.into_iter().filter(|one| one.points.len() > 1);
    several.collect()
}

/// Training loss, training accuracy and, if there is any, validation accuracy over the epochs, for the
/// largest number of training images. A single epoch has no curve.
pub(crate) fn curves(
    report: &Report,
    summaries: &[Summary],
    looks: &Looks,
) -> Result<Vec<Picture>, EvaluationError> {
    let of = |pick: fn(&Epoch) -> Option<f64>| over_epochs(report, summaries, looks, pick);
    let loss = of(|epoch| Some(epoch.train_loss));
    let train = of(|epoch| Some(epoch.train_accuracy));
    let valid = of(|epoch| epoch.valid_accuracy);
    let curved = |series: &[Series]| series.iter().any(|line| line.points.len() > 1);
    let axes = |name, title, share| Axes {
        name,
        title,
        x: "epoch",
        share,
    };
    let all = [
        (
            loss,
            axes("training-loss", "Training loss (cross-entropy)", false),
        ),
        (train, axes("training-accuracy", "Training accuracy", true)),
        (
            valid,
            axes("validation-accuracy", "Validation accuracy", true),
        ),
    ];
    let mut pictures = Vec::new();
    for (series, axes) in all.iter().filter(|(series, _)| curved(series)) {
        pictures.extend(lines(series, *axes)?);
    }
    Ok(pictures)
}

fn over_epochs(
    report: &Report,
    summaries: &[Summary],
    looks: &Looks,
    pick: fn(&Epoch) -> Option<f64>,
) -> Vec<Series> {
    let series = largest(summaries).into_iter().map(|summary| {
        let runs = report.runs.iter().filter(|run| summary.contains(run));
        let seeds: Vec<Vec<(f64, f64)>> = runs.map(|run| points(run, pick)).collect();
        Series {
            name: summary.method.clone(),
            look: looks.get(&summary.method),
            points: mean(&seeds),
            band: if seeds.len() > 1 {
                range(&seeds)
            } else {
                Vec::new()
            },
        }
    });
    series.collect()
}

fn points(run: &Run, pick: fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |epoch: &Epoch| Some((as_f64(epoch.epoch as u64), pick(epoch)?));
    run.epochs.iter().filter_map(point).collect()
}

/// The finite values at each place at which any line has one. A seed whose loss becomes NaN does not
/// end the line of the other seeds.
fn by_place(lines: &[Vec<(f64, f64)>]) -> Vec<(f64, Vec<f64>)> {
    let finite = || lines.iter().flatten().filter(|(_, y)| y.is_finite());
    let mut places: Vec<f64> = finite().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let at = |place: f64| finite().filter(move |(x, _)| x.total_cmp(&place).is_eq());
    let values = |place| (place, at(place).map(|(_, y)| *y).collect());
    places.into_iter().map(values).collect()
}

fn mean(lines: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let places = by_place(lines).into_iter();
    let mean = places.map(|(place, values)| (place, Spread::of(&values).mean));
    mean.collect()
}

/// The lowest and the highest value at each place.
fn range(lines: &[Vec<(f64, f64)>]) -> Vec<(f64, f64, f64)> {
    let places = by_place(lines).into_iter();
    let range = places.map(|(place, values)| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
        (place, low, high)
    });
    range.collect()
}

/// Test accuracy over the number of training images; `None` if there are fewer than two numbers.
pub(crate) fn learning_curve(
    summaries: &[Summary],
    looks: &Looks,
) -> Result<Option<Picture>, EvaluationError> {
    let mut series: Vec<Series> = Vec::new();
    for summary in summaries {
        let Some(count) = summary.train_per_class else {
            continue;
        };
        let seeds = summary.accuracies.iter();
        let seeds: Vec<_> = seeds
            .map(|one| vec![(as_f64(count as u64), *one)])
            .collect();
        let index = series.iter().position(|line| line.name == summary.method);
        let index = index.unwrap_or_else(|| {
            series.push(Series {
                name: summary.method.clone(),
                look: looks.get(&summary.method),
                points: Vec::new(),
                band: Vec::new(),
            });
            series.len() - 1
        });
        series[index].points.extend(mean(&seeds));
        if seeds.len() > 1 {
            series[index].band.extend(range(&seeds));
        }
    }
    if series.iter().all(|line| line.points.len() < 2) {
        return Ok(None);
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        line.band.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let axes = Axes {
        name: "accuracy-by-training-images",
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
    fn means_and_ranges_ignore_values_that_are_nan() {
        let lines = [
            vec![(1.0, 2.0), (2.0, f64::NAN)],
            vec![(1.0, 4.0), (2.0, 6.0), (3.0, 1.0)],
        ];
        assert_eq!(mean(&lines), [(1.0, 3.0), (2.0, 6.0), (3.0, 1.0)]);
        assert_eq!(
            range(&lines),
            [(1.0, 2.0, 4.0), (2.0, 6.0, 6.0), (3.0, 1.0, 1.0)]
        );
    }

    #[test]
    fn curves_need_two_epochs_and_show_what_was_measured() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5)]);
        let names = |report: &Report| -> Vec<String> {
            let summaries = summarize(report);
            let pictures = curves(report, &summaries, &Looks::of(&summaries)).unwrap();
            pictures.into_iter().map(|picture| picture.name).collect()
        };
        assert!(names(&report).is_empty());
        for run in &mut report.runs {
            let second = Epoch {
                epoch: 2,
                train_accuracy: 0.25 + 0.5 * as_f64(run.seed),
                ..run.epochs[0].clone()
            };
            run.epochs.push(second);
        }
        let all = ["training-loss", "training-accuracy", "validation-accuracy"];
        assert_eq!(names(&report), all);
        let summaries = summarize(&report);
        let looks = Looks::of(&summaries);
        let train = over_epochs(&report, &summaries, &looks, |epoch| {
            Some(epoch.train_accuracy)
        });
        assert_eq!(train[0].points, [(1.0, 0.0), (2.0, 0.5)]);
        assert_eq!(train[0].band, [(1.0, 0.0, 0.0), (2.0, 0.25, 0.75)]);
        for epoch in report.runs.iter_mut().flat_map(|run| &mut run.epochs) {
            epoch.valid_accuracy = None;
        }
        assert_eq!(names(&report), all[..2]);
    }

    #[test]
    fn learning_curves_need_two_numbers_of_images() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 0, 0.8)]);
        let curve = |report: &Report| {
            let summaries = summarize(report);
            learning_curve(&summaries, &Looks::of(&summaries)).unwrap()
        };
        assert_eq!(curve(&report), None);
        report.runs[0].train_per_class = Some(5);
        report.runs[1].train_per_class = Some(20);
        let picture = curve(&report).unwrap().file();
        assert!(picture.contains("training images per class"));
        // The other pictures show only the runs with the larger number of images.
        let summaries = summarize(&report);
        let panels = costs(&summaries, &Looks::of(&summaries));
        assert_eq!(panels[0].rows.len(), 1);
        assert_eq!(panels[0].rows[0].label, "80.00 %");
    }

    #[test]
    fn charts_that_compare_methods_need_two_methods() {
        let of = |report: &Report| {
            let summaries = summarize(report);
            let looks = Looks::of(&summaries);
            let bars = bars(&summaries, &looks).unwrap().len();
            (bars, tradeoffs(&summaries, &looks))
        };
        let (bars, costs) = of(&with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.6)]));
        assert_eq!((bars, costs.len()), (0, 0));
        let mut report = with_runs(&[("sft", 0, 0.5), ("linear", 0, 0.4), ("lora", 0, 0.6)]);
        report.runs[0].peak_memory_bytes = None;
        report.runs[1].trainable_parameters = 3;
        let (bars, costs) = of(&report);
        assert_eq!((bars, costs.len()), (4, 3));
        // sft's memory is not known; linear is a yardstick.
        let names = |one: &Tradeoff| -> Vec<String> {
            one.points.iter().map(|point| point.name.clone()).collect()
        };
        assert_eq!(names(&costs[0]), ["linear", "lora"]);
        assert_eq!(names(&costs[2]), ["sft", "linear", "lora"]);
        assert!(costs[2].points[1].yardstick && !costs[2].points[2].yardstick);
        assert!((costs[2].points[1].cost - 3.0).abs() < 1e-12);
        // The time of a run that was stopped says nothing.
        report.runs[2].stopped = true;
        let (_, costs) = of(&report);
        assert_eq!(costs.len(), 2);
        assert_eq!(names(&costs[0]), ["sft", "linear"]);
    }
}
