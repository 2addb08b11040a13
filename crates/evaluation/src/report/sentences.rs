//! The result of a comparison in a few sentences.

use std::cmp::Ordering;

use super::differences;
use crate::format::{bytes, series, tenths as percent};
use crate::statistics::summary::{Summary, largest};

/// Accuracies that differ by no more than this are equal: means are rounded.
const SAME: f64 = 1e-9;
/// A smaller method is worth naming if it loses at most this much accuracy: one point.
const NEAR: f64 = 0.01;

/// The result of a comparison: the most accurate method, the smallest method within one point of it,
/// and the methods that the number of test images cannot distinguish from the best.
///
/// If the methods were trained on several numbers of images, only the largest number counts.
#[must_use]
pub fn finding(summaries: &[Summary]) -> String {
    let (stopped, candidates): (Vec<&Summary>, Vec<&Summary>) = largest(summaries)
        .into_iter()
        .partition(|summary| summary.stopped);
    let stopped = stopped.iter().map(|summary| {
        let accuracy = percent(summary.accuracy.mean);
        format!(
            "{} was stopped before its end, where it reached {accuracy} on the test images.",
            summary.method
        )
    });
    let stopped: Vec<String> = stopped.collect();
    if candidates.is_empty() && stopped.is_empty() {
        return "No run has finished.".to_owned();
    }
    let compared = among(&candidates);
    let sentences = [compared].into_iter().flatten().chain(stopped);
    sentences.collect::<Vec<_>>().join(" ")
}

/// The result of those methods whose runs all went to their ends; `None` if there are none.
fn among(candidates: &[&Summary]) -> Option<String> {
    let (mut yardsticks, mut candidates): (Vec<&Summary>, Vec<&Summary>) = candidates
        .iter()
        .copied()
        .partition(|one| one.yardstick().is_some());
    if candidates.is_empty() {
        std::mem::swap(&mut yardsticks, &mut candidates);
    }
    let best = candidates.iter().copied().min_by(|a, b| better(a, b))?;
    let accuracy = percent(best.accuracy.mean);
    let warnings = warnings(&[candidates.as_slice(), &yardsticks].concat());
    let beside = beside(&yardsticks);
    if !candidates
        .iter()
        .any(|one| one.beats_chance() != Some(false))
    {
        let chance = chance(best, candidates.len());
        return Some(format!("{chance}{beside}{warnings}"));
    }
    if candidates.len() == 1 {
        let differences = differences::sentences(best, &yardsticks).unwrap_or_default();
        return Some(format!(
            "{} reaches {accuracy} on the test images.{beside}{differences}{warnings}",
            best.method
        ));
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
    let smaller = others
        .iter()
        .filter(|other| behind(other) <= NEAR + SAME && size(other) < size(best))
        .min_by_key(|other| size(other));
    let second = match smaller {
        Some(smaller) => comparison(smaller, best),
        None if tied.len() == 1 => "no smaller method is within one point of it".to_owned(),
        None if tied
            .iter()
            .all(|other| other.artifact_bytes == best.artifact_bytes) =>
        {
            format!(
                "their files have the same size ({})",
                bytes(best.artifact_bytes)
            )
        }
        None => format!(
            "{} has the smallest file ({})",
            best.method,
            bytes(best.artifact_bytes)
        ),
    };
    Some(format!(
        "{head}; {second}.{beside}{}{warnings}",
        differences::sentences(best, &[others.as_slice(), &yardsticks].concat())
            .unwrap_or_else(|| indistinguishable(best, &others))
    ))
}

/// What the yardsticks reach.
fn beside(yardsticks: &[&Summary]) -> String {
    let reached = yardsticks.iter().filter_map(|one| {
        let (name, without) = (&one.method, one.yardstick()?);
        Some(format!(
            "{name} ({without}) reaches {}",
            percent(one.accuracy.mean)
        ))
    });
    match reached.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        all => format!(" As yardsticks, {}.", all.join(", and ")),
    }
}

/// Says that the best of so many methods may not be better than always answering the same class.
fn chance(best: &Summary, methods: usize) -> String {
    let share = best.commonest.map_or(0.0, |(_, share)| share);
    let (accuracy, share) = (percent(best.accuracy.mean), percent(share));
    let head = match methods {
        1 => format!(
            "{} reaches {accuracy} on the {} test images",
            best.method, best.test_images
        ),
        _ => format!(
            "No method is shown to be better than chance: the most accurate, {}, reaches {accuracy} \
             on the {} test images",
            best.method, best.test_images
        ),
    };
    let Some((low, high)) = best.interval() else {
        return format!("{head}.");
    };
    format!(
        "{head}, and always answering the commonest class would reach {share}. The 95 % interval of \
         {} is {:.1}–{:.1} %: it may have learnt nothing. Train longer, with another learning rate or \
         on more images, or look at the images and labels.",
        best.method,
        100.0 * low,
        100.0 * high
    )
}

/// Names the methods whose training diverged, and those that overfit.
fn warnings(summaries: &[&Summary]) -> String {
    [diverged(summaries), overfitted(summaries)].concat()
}

/// Names the methods that overfit, with the numbers of the worst.
fn overfitted(summaries: &[&Summary]) -> String {
    let gap = |one: &Summary| {
        one.last_accuracies
            .map_or(0.0, |[train, valid]| train - valid)
    };
    let overfit = summaries.iter().copied().filter(|one| one.overfits());
    let mut overfit: Vec<&Summary> = overfit.collect();
    overfit.sort_by(|a, b| gap(b).total_cmp(&gap(a)));
    let Some((worst, [train, valid])) = overfit
        .first()
        .and_then(|worst| Some((worst, worst.last_accuracies?)))
    else {
        return String::new();
    };
    let others = match overfit.len() {
        1 => String::new(),
        _ => format!(" (and so {})", names(&overfit[1..])),
    };
    format!(
        " {} classifies {} of the training images correctly and {} of the validation images{others}: \
         it overfits. More images help most; otherwise stronger augmentation (--augment strong) or fewer \
         epochs.",
        worst.method,
        percent(train),
        percent(valid)
    )
}

fn diverged(summaries: &[&Summary]) -> String {
    let diverged = summaries.iter().filter(|summary| summary.diverged());
    let warnings = diverged.map(|summary| {
        let ended = match summary.last_loss {
            Some(last) if last.is_finite() => {
                let guessing = summary.guessing();
                format!("ended at {}, but guessing has {guessing:.2}", loss(last))
            }
            _ => "is not a number".to_owned(),
        };
        format!(
            " The training loss of {} {ended}: the training diverged; try a smaller learning rate.",
            summary.method
        )
    });
    warnings.collect()
}

/// A loss that may be huge.
fn loss(value: f64) -> String {
    if value.abs() < 1e6 {
        format!("{value:.2}")
    } else {
        format!("{value:.2e}")
    }
}

/// Orders the more accurate method first, and the smaller of equally accurate ones.
pub(super) fn better(a: &Summary, b: &Summary) -> Ordering {
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
fn comparison(smaller: &Summary, best: &Summary) -> String {
    let points = 100.0 * (best.accuracy.mean - smaller.accuracy.mean);
    // Rounded up, so that "within" is true of the rounded number as well.
    let points = (10.0 * points - 1e-6).ceil() / 10.0;
    let share =
        100.0 * smaller.trainable_parameters as f64 / best.trainable_parameters.max(1) as f64;
    format!(
        "{} is within {points:.1} points of {} with {share:.1} % of its trainable parameters and a \
         file of {} instead of {}",
        smaller.method,
        best.method,
        bytes(smaller.artifact_bytes),
        bytes(best.artifact_bytes)
    )
}

/// Names the methods whose accuracy lies inside the interval of the best one.
fn indistinguishable(best: &Summary, others: &[&Summary]) -> String {
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
        " With {} test images, the 95 % interval of {} is {:.1}–{:.1} %, so {} may be as accurate.",
        best.test_images,
        best.method,
        100.0 * low,
        100.0 * high,
        names(&inside)
    )
}

fn names(summaries: &[&Summary]) -> String {
    let names = summaries.iter().map(|summary| summary.method.clone());
    series(&names.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    /// Returns the sentences for `(method, accuracy, trainable parameters, bytes)` of each run on
    /// 1000 test images.
    fn of(methods: &[(&str, f64, u64, u64)]) -> String {
        let runs: Vec<_> = methods
            .iter()
            .map(|method| (method.0, 0, method.1))
            .collect();
        let mut report = with_runs(&runs);
        for (run, method) in report.runs.iter_mut().zip(methods) {
            (run.trainable_parameters, run.artifact_bytes) = (method.2, method.3);
            run.confusion = vec![vec![500, 0], vec![0, 500]];
        }
        finding(&summarize(&report))
    }

    #[test]
    fn the_smallest_method_within_one_point_is_named() {
        let sentence = of(&[
            ("sft", 0.95, 1000, 9216),
            ("lora", 0.942, 60, 1024),
            ("linear", 0.8, 5, 99),
            ("scratch", 0.96, 1000, 9216),
        ]);
        // The Wilson interval of 950 of 1000 is 0.93469 to 0.96186.
        assert_eq!(
            sentence,
            "sft is the most accurate (95.0 %); lora is within 0.8 points of sft with 6.0 % of its \
             trainable parameters and a file of 1.0 KiB instead of 9.0 KiB. As yardsticks, linear (the \
             head alone) reaches 80.0 %, and scratch (no pretraining) reaches 96.0 %. With 1000 test images, \
             the 95 % interval of sft is 93.5–96.2 %, so lora may be as accurate."
        );
    }

    #[test]
    fn equal_accuracies_are_reported_as_equal() {
        let sentence = of(&[
            ("sft", 0.9, 1000, 9216),
            ("lora", 0.9, 60, 1024),
            ("bitfit", 0.5, 5, 99),
        ]);
        assert_eq!(
            sentence,
            "sft and lora are equally accurate (90.0 %); lora has the smallest file (1.0 KiB)."
        );
        let sentence = of(&[("sft", 0.9, 1000, 2048), ("unfrozen", 0.9, 1000, 2048)]);
        assert!(
            sentence.ends_with("; their files have the same size (2.0 KiB)."),
            "{sentence}"
        );
    }

    #[test]
    fn one_method_no_method_and_no_smaller_method_have_their_own_sentences() {
        assert_eq!(of(&[]), "No run has finished.");
        assert_eq!(
            of(&[("sft", 0.9, 1, 1)]),
            "sft reaches 90.0 % on the test images."
        );
        assert_eq!(
            of(&[("lora", 0.5, 60, 1024), ("sft", 0.9, 1000, 9216)]),
            "sft is the most accurate (90.0 %); no smaller method is within one point of it."
        );
    }

    #[test]
    fn chance_is_not_praised() {
        // Half of the images are of one class. The Wilson interval of 520 of 1000 is 0.48903 to
        // 0.55083.
        let sentence = of(&[("lora", 0.52, 60, 1024), ("sft", 0.48, 1000, 9216)]);
        assert_eq!(
            sentence,
            "No method is shown to be better than chance: the most accurate, lora, reaches 52.0 % on \
             the 1000 test images, and always answering the commonest class would reach 50.0 %. The \
             95 % interval of lora is 48.9–55.1 %: it may have learnt nothing. Train longer, with \
             another learning rate or on more images, or look at the images and labels."
        );
        let sentence = of(&[("lora", 0.1, 60, 1024)]);
        assert!(sentence.starts_with("lora reaches 10.0 % on the 1000 test images, and"));
        // 540 of 1000: 0.50904 to 0.57068.
        let sentence = of(&[("lora", 0.54, 60, 1024)]);
        assert_eq!(sentence, "lora reaches 54.0 % on the test images.");
    }

    #[test]
    fn a_loss_far_above_that_of_guessing_is_named() {
        let mut report = with_runs(&[("lora", 0, 0.9), ("sft", 0, 0.9)]);
        for run in &mut report.runs {
            run.confusion = vec![vec![500, 0], vec![0, 500]];
        }
        let said = |report: &crate::Report| finding(&summarize(report));
        assert!(!said(&report).contains("diverged"));
        report.runs[1].epochs[0].train_loss = 20368.4;
        assert!(
            said(&report).ends_with(
                " The training loss of sft ended at 20368.40, but guessing has 0.69: the training \
                 diverged; try a smaller learning rate."
            ),
            "{}",
            said(&report)
        );
        // The first epoch of a method that learns may well begin there.
        report.runs[1].epochs[0].train_loss = 3.0;
        assert!(!said(&report).contains("diverged"));
        report.runs[1].accuracy = 0.5;
        assert!(said(&report).contains("the training diverged"));
        report.runs[1].epochs[0].train_loss = f64::NAN;
        assert!(said(&report).contains("of sft is not a number: the training diverged"));
    }

    #[test]
    fn overfitting_is_named() {
        let mut report = with_runs(&[("lora", 0, 0.9), ("sft", 0, 0.9)]);
        let said = |report: &crate::Report| finding(&summarize(report));
        for run in &mut report.runs {
            run.confusion = vec![vec![500, 0], vec![0, 500]];
            run.epochs[0].train_accuracy = 0.99;
            run.epochs[0].valid_accuracy = Some(0.9);
        }
        assert!(!said(&report).contains("overfits"));
        report.runs[1].epochs[0].valid_accuracy = Some(0.714);
        assert!(
            said(&report).contains(
                " sft classifies 99.0 % of the training images correctly and 71.4 % of the validation \
                 images: it overfits."
            ),
            "{}",
            said(&report)
        );
        report.runs[0].epochs[0].valid_accuracy = Some(0.8);
        assert!(said(&report).contains("validation images (and so lora): it overfits."));
        // What has not been learnt is no overfitting, and without validation images nothing is known.
        report.runs[1].epochs[0].train_accuracy = 0.85;
        report.runs[0].epochs[0].valid_accuracy = None;
        assert!(!said(&report).contains("overfits"));
    }

    #[test]
    fn a_run_that_was_stopped_is_not_compared() {
        let mut report = with_runs(&[("lora", 0, 0.9), ("sft", 0, 0.95)]);
        for run in &mut report.runs {
            run.confusion = vec![vec![500, 0], vec![0, 500]];
        }
        report.runs[1].stopped = true;
        let said = |report: &crate::Report| finding(&summarize(report));
        let stopped = "sft was stopped before its end, where it reached 95.0 % on the test images.";
        assert_eq!(
            said(&report),
            format!("lora reaches 90.0 % on the test images. {stopped}")
        );
        report.runs.remove(0);
        assert_eq!(said(&report), stopped);
        report.runs.clear();
        assert_eq!(said(&report), "No run has finished.");
    }

    #[test]
    fn the_distance_is_rounded_up() {
        let sentence = of(&[("sft", 0.95, 1000, 9216), ("lora", 0.9499, 60, 1024)]);
        assert!(sentence.contains("lora is within 0.1 points"), "{sentence}");
    }
}
