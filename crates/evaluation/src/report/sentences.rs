//! What the numbers say, in plain sentences.

use std::cmp::Ordering;

use crate::report::table::bytes;
use crate::statistics::summary::{Summary, fullest};

/// Accuracies closer than this are the same: rounding of means.
const SAME: f64 = 1e-9;
/// "About as good" is within one point of accuracy.
const NEAR: f64 = 0.01;

/// The finding of a comparison: the most accurate method, the leanest that is about as good, and
/// which others the number of test images does not tell apart from the best.
///
/// With several numbers of training images, it speaks of the largest.
#[must_use]
pub fn finding(summaries: &[Summary]) -> String {
    let candidates = fullest(summaries);
    let Some(best) = candidates.iter().copied().min_by(|a, b| better(a, b)) else {
        return "No run has finished.".to_owned();
    };
    let accuracy = percent(best.accuracy.mean);
    if candidates.len() == 1 {
        return format!("{} reaches {accuracy} on the test images.", best.method);
    }
    let behind = |other: &Summary| best.accuracy.mean - other.accuracy.mean;
    let (tied, others): (Vec<&Summary>, Vec<&Summary>) = candidates
        .into_iter()
        .partition(|other| behind(other) <= SAME);
    let head = if tied.len() == 1 {
        format!("{} is the most accurate ({accuracy})", best.method)
    } else {
        format!("{} are equally accurate ({accuracy})", names(&tied))
    };
    let lean = others
        .iter()
        .filter(|other| behind(other) <= NEAR + SAME && size(other) < size(best))
        .min_by_key(|other| size(other));
    let lean = match lean {
        Some(lean) => leaner(lean, best),
        None if tied.len() == 1 => "no smaller method comes within one point of it".to_owned(),
        None if tied
            .iter()
            .all(|other| other.artifact_bytes == best.artifact_bytes) =>
        {
            format!(
                "their files are of one size ({})",
                bytes(best.artifact_bytes)
            )
        }
        None => format!(
            "{} has the smallest file ({})",
            best.method,
            bytes(best.artifact_bytes)
        ),
    };
    format!("{head}; {lean}.{}", chance(best, &others))
}

/// The more accurate first; of equals the smaller.
fn better(a: &Summary, b: &Summary) -> Ordering {
    let (difference, by_size) = (b.accuracy.mean - a.accuracy.mean, size(a).cmp(&size(b)));
    if difference.abs() <= SAME {
        by_size
    } else {
        difference.total_cmp(&0.0)
    }
}

fn size(summary: &Summary) -> (u64, u64) {
    (summary.artifact_bytes, summary.trainable_parameters)
}

#[allow(clippy::cast_precision_loss)]
fn leaner(lean: &Summary, best: &Summary) -> String {
    let points = 100.0 * (best.accuracy.mean - lean.accuracy.mean);
    // "Within" must stay true of the rounded number.
    let points = (10.0 * points - 1e-6).ceil() / 10.0;
    let share = 100.0 * lean.trainable_parameters as f64 / best.trainable_parameters.max(1) as f64;
    format!(
        "{} is within {points:.1} points of {} with {share:.1} % of its trained parameters and a \
         file of {} instead of {}",
        lean.method,
        best.method,
        bytes(lean.artifact_bytes),
        bytes(best.artifact_bytes)
    )
}

/// Which of the others may be as good as the best.
fn chance(best: &Summary, others: &[&Summary]) -> String {
    let Some((low, high)) = best.interval() else {
        return String::new();
    };
    let inside: Vec<&Summary> = others
        .iter()
        .copied()
        .filter(|other| other.accuracy.mean >= low)
        .collect();
    if inside.is_empty() {
        return String::new();
    }
    format!(
        " With {} test images, the best one's 95 % interval is {:.1}–{:.1} %: {} may be as good.",
        best.test_images,
        100.0 * low,
        100.0 * high,
        names(&inside)
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// `a`, `a and b`, `a, b and c`.
fn names(summaries: &[&Summary]) -> String {
    let names: Vec<&str> = summaries
        .iter()
        .map(|summary| summary.method.as_str())
        .collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    /// `(method, accuracy, trained parameters, bytes)`, on 1000 test images.
    fn of(methods: &[(&str, f64, u64, u64)]) -> String {
        let runs: Vec<_> = methods
            .iter()
            .map(|method| (method.0, 0, method.1))
            .collect();
        let mut report = with_runs(&runs);
        for (run, method) in report.runs.iter_mut().zip(methods) {
            (run.trainable_parameters, run.artifact_bytes) = (method.2, method.3);
            run.confusion = vec![vec![1000, 0], vec![0, 0]];
        }
        finding(&summarize(&report))
    }

    #[test]
    fn the_leanest_within_a_point_is_named() {
        let sentence = of(&[
            ("sft", 0.95, 1000, 9216),
            ("lora", 0.942, 60, 1024),
            ("linear", 0.8, 5, 99),
        ]);
        // Wilson of 950 in 1000: 0.93469, 0.96186.
        assert_eq!(
            sentence,
            "sft is the most accurate (95.0 %); lora is within 0.8 points of sft with 6.0 % of its \
             trained parameters and a file of 1.0 KiB instead of 9.0 KiB. With 1000 test images, \
             the best one's 95 % interval is 93.5–96.2 %: lora may be as good."
        );
    }

    #[test]
    fn ties_are_called_ties() {
        let sentence = of(&[
            ("sft", 0.9, 1000, 9216),
            ("lora", 0.9, 60, 1024),
            ("linear", 0.5, 5, 99),
        ]);
        assert_eq!(
            sentence,
            "sft and lora are equally accurate (90.0 %); lora has the smallest file (1.0 KiB)."
        );
        let sentence = of(&[("sft", 0.9, 1000, 2048), ("scratch", 0.9, 1000, 2048)]);
        assert!(
            sentence.ends_with("; their files are of one size (2.0 KiB)."),
            "{sentence}"
        );
    }

    #[test]
    fn one_method_none_and_no_rival() {
        assert_eq!(of(&[]), "No run has finished.");
        assert_eq!(
            of(&[("sft", 0.9, 1, 1)]),
            "sft reaches 90.0 % on the test images."
        );
        assert_eq!(
            of(&[("lora", 0.5, 60, 1024), ("sft", 0.9, 1000, 9216)]),
            "sft is the most accurate (90.0 %); no smaller method comes within one point of it."
        );
    }

    #[test]
    fn within_is_rounded_up() {
        let sentence = of(&[("sft", 0.95, 1000, 9216), ("lora", 0.9499, 60, 1024)]);
        assert!(sentence.contains("lora is within 0.1 points"), "{sentence}");
    }
}
