//! What the numbers say, in one plain sentence.

use crate::summary::Summary;
use crate::table::bytes;

/// The finding of a comparison: the most accurate method, and the leanest that is about as good.
///
/// "About as good" is within one point of accuracy.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn finding(summaries: &[Summary]) -> String {
    let by_accuracy = |a: &&Summary, b: &&Summary| a.accuracy.mean.total_cmp(&b.accuracy.mean);
    let Some(best) = summaries.iter().max_by(by_accuracy) else {
        return "No run has finished.".to_owned();
    };
    let percent = |summary: &Summary| format!("{:.1} %", 100.0 * summary.accuracy.mean);
    if summaries.len() == 1 {
        return format!(
            "{} reaches {} on the test images.",
            best.method,
            percent(best)
        );
    }
    let near = summaries
        .iter()
        .filter(|other| best.accuracy.mean - other.accuracy.mean <= 0.01);
    let smallest = near.min_by_key(|other| (other.artifact_bytes, other.trainable_parameters));
    let head = format!("{} is the most accurate ({})", best.method, percent(best));
    match smallest {
        Some(lean) if lean.method != best.method => {
            let points = 100.0 * (best.accuracy.mean - lean.accuracy.mean);
            let share =
                100.0 * lean.trainable_parameters as f64 / best.trainable_parameters.max(1) as f64;
            format!(
                "{head}; {} is within {points:.1} points of it with {share:.1} % of its trained \
                 parameters and a file of {} instead of {}.",
                lean.method,
                bytes(lean.artifact_bytes),
                bytes(best.artifact_bytes)
            )
        }
        _ => format!("{head}; no smaller method comes within one point of it."),
    }
}
