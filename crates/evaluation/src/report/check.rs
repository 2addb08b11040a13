//! Checks of a report that was read from a file: what is computed from its numbers must be possible.

use super::json::{Report, Run};

/// The largest count that is believed: sums of counts stay exact in `f64`, and do not overflow.
const MOST: u64 = 1 << 53;

/// What is wrong with a report, if anything.
pub(super) fn problem(report: &Report) -> Option<String> {
    report.runs.iter().find_map(|run| {
        let what = of_run(run)?;
        Some(format!(
            "{what} of the run `{}` {} out of range",
            run.method,
            is(what)
        ))
    })
}

fn is(what: &str) -> &'static str {
    if what.ends_with('s') { "are" } else { "is" }
}

fn of_run(run: &Run) -> Option<&'static str> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let shares = |values: &[f64]| values.iter().all(|value| share(*value));
    let duration = |value: f64| value.is_finite() && value >= 0.0;
    let mut counts = run.confusion.iter().flatten();
    let images = counts.try_fold(0_u64, |sum, count| sum.checked_add(*count));
    let parameters = [
        run.trainable_parameters,
        run.total_parameters,
        run.artifact_bytes,
    ];
    let test = run.range_test.as_ref();
    let checks = [
        ("the accuracy", share(run.accuracy) && share(run.macro_f1)),
        ("the accuracies", shares(&run.per_class_accuracy)),
        (
            "the confusion matrix",
            images.is_some_and(|images| images <= MOST),
        ),
        (
            "the parameters",
            parameters.iter().all(|count| *count <= MOST),
        ),
        (
            "the memory",
            run.peak_memory_bytes.is_none_or(|bytes| bytes <= MOST),
        ),
        (
            "the times",
            duration(run.train_seconds) && duration(run.seconds_per_step),
        ),
        (
            "the learning rate range test",
            test.is_none_or(|test| test.rates.len() == test.losses.len()),
        ),
    ];
    let mut checks = checks.into_iter();
    checks.find_map(|(what, valid)| (!valid).then_some(what))
}
