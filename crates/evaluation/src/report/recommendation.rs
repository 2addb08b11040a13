//! Which method to take, by a stated rule.
//!
//! Among the methods whose runs went to their ends, that are better than chance and that train more
//! than a yardstick does, the most accurate one is recommended, unless a method that is nearly as
//! accurate costs less. What "nearly" and "costs" mean is chosen by [`Prefer`].

use std::cmp::Ordering;

use super::differences::against;
use super::prefer::Prefer;
use super::side_by_side::Measured;
use crate::format::{bytes, points, series, tenths as percent};
use crate::statistics::summary::{Summary, largest};

/// Means are rounded: accuracies that differ by no more than this are equal.
const SAME: f64 = 1e-9;

/// The method to take and why, in one sentence; `None` if there is nothing to choose from, or no method
/// is shown to be better than chance.
#[must_use]
pub fn recommendation(summaries: &[Summary], prefer: Prefer) -> Option<String> {
    let finished = largest(summaries).into_iter().filter(|one| !one.stopped);
    let useful = |one: &&Summary| {
        one.beats_chance() != Some(false) && !one.diverged() && one.yardstick().is_none()
    };
    let methods: Vec<&Summary> = finished.filter(useful).collect();
    if methods.len() < 2 {
        return None;
    }
    let measured = Measured::of(methods.iter().flat_map(|one| &one.side_by_side));
    let cost = |one: &Summary| cost(one, prefer, measured);
    let cheaper = |a: &Summary, b: &Summary| cost(a).total_cmp(&cost(b));
    let better = |a: &Summary, b: &Summary| match b.accuracy.mean - a.accuracy.mean {
        apart if apart.abs() <= SAME => cheaper(a, b),
        apart if apart > 0.0 => Ordering::Greater,
        _ => Ordering::Less,
    };
    let best = methods.iter().copied().min_by(|a, b| better(a, b))?;
    let near = |one: &&Summary| best.accuracy.mean - one.accuracy.mean <= prefer.margin() + SAME;
    let near = methods.iter().copied().filter(near);
    let taken = near.min_by(|a, b| cheaper(a, b).then(better(a, b)))?;
    if taken.method == best.method {
        return Some(format!(
            "Take {}: it is the most accurate ({}), and {}.",
            best.method,
            percent(best.accuracy.mean),
            prefer.none_is_better(measured)
        ));
    }
    let behind = best.accuracy.mean - taken.accuracy.mean;
    let mut accuracy = if behind <= SAME {
        format!("as accurate as {}", best.method)
    } else {
        format!(
            "{} points less accurate than {}",
            points(behind),
            best.method
        )
    };
    if let Some(difference) = against(best, taken) {
        accuracy = format!(
            "{accuracy} (95 % interval of the difference {} to {})",
            points(difference.low),
            points(difference.high)
        );
    }
    Some(format!(
        "Take {}: {accuracy}, with {}.",
        taken.method,
        costs(taken, best, measured)
    ))
}

/// What a method costs beside another one.
#[allow(clippy::cast_precision_loss)]
fn costs(taken: &Summary, best: &Summary, measured: Measured) -> String {
    let share =
        |mine: f64, other: f64| format!("{:.0} %", 100.0 * mine / other.max(f64::MIN_POSITIVE));
    let mut parts = Vec::new();
    if let (Some(mine), Some(other)) = (taken.peak_memory_bytes, best.peak_memory_bytes) {
        parts.push(format!(
            "{} of its peak memory ({} instead of {})",
            share(mine as f64, other as f64),
            bytes(mine),
            bytes(other)
        ));
    }
    if taken.train_seconds > 0.0 && best.train_seconds > 0.0 {
        let time = share(taken.train_seconds, best.train_seconds);
        match measured {
            Measured::Alone => parts.push(format!("{time} of its training time")),
            Measured::SideBySide(way) => parts.push(format!(
                "about {time} of its training time (with up to {} runs at the same time)",
                way.runs
            )),
            Measured::Differently => {}
        }
    }
    parts.push(format!(
        "a file of {} beside the base instead of {}",
        bytes(taken.artifact_bytes),
        bytes(best.artifact_bytes)
    ));
    series(&parts)
}

/// What a method costs. Only ratios of it mean something.
#[allow(clippy::cast_precision_loss)]
fn cost(method: &Summary, prefer: Prefer, measured: Measured) -> f64 {
    // What was not measured, or not alike, is the same for all.
    let memory = method.peak_memory_bytes.map_or(1.0, |bytes| bytes as f64);
    let time = match measured {
        Measured::Differently => 1.0,
        _ => method.train_seconds,
    };
    let size = method.artifact_bytes as f64;
    match prefer {
        Prefer::Memory => memory,
        Prefer::Speed => time,
        Prefer::Size => size,
        Prefer::Balance | Prefer::Accuracy => {
            let logs = [memory, time, size].map(|cost| cost.max(f64::MIN_POSITIVE).ln());
            (logs.iter().sum::<f64>() / 3.0).exp()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::Report;
    use crate::report::json::tests::with_runs;
    use crate::report::side_by_side::SideBySide;
    use crate::statistics::summary::summarize;

    /// Methods: name, accuracy, memory in MiB, seconds, bytes.
    fn said(methods: &[(&str, f64, u64, f64, u64)], prefer: Prefer) -> Option<String> {
        recommendation(&summarize(&report(methods)), prefer)
    }

    fn report(methods: &[(&str, f64, u64, f64, u64)]) -> Report {
        let runs: Vec<_> = methods.iter().map(|one| (one.0, 0, one.1)).collect();
        let mut report = with_runs(&runs);
        for (run, method) in report.runs.iter_mut().zip(methods) {
            run.confusion = vec![vec![500, 0], vec![0, 500]];
            run.outcomes = None;
            (run.peak_memory_bytes, run.train_seconds) = (Some(method.2 << 20), method.3);
            run.artifact_bytes = method.4;
        }
        report
    }

    const METHODS: [(&str, f64, u64, f64, u64); 5] = [
        ("sft", 0.95, 400, 100.0, 9 << 20),
        ("lora", 0.942, 100, 80.0, 70 << 10),
        ("bitfit", 0.925, 90, 60.0, 10 << 10),
        ("linear", 0.949, 50, 10.0, 1 << 10),
        ("scratch", 0.99, 400, 100.0, 9 << 20),
    ];

    #[test]
    fn a_cheap_method_that_is_nearly_as_accurate_is_taken() {
        assert_eq!(
            said(&METHODS, Prefer::Balance).unwrap(),
            "Take lora: 0.8 points less accurate than sft, with 25 % of its peak memory (100 MiB \
             instead of 400 MiB), 80 % of its training time and a file of 70 KiB beside the base instead \
             of 9.0 MiB."
        );
        assert_eq!(
            said(&METHODS, Prefer::Accuracy).unwrap(),
            "Take sft: it is the most accurate (95.0 %), and no method is as accurate."
        );
        for prefer in [Prefer::Memory, Prefer::Speed, Prefer::Size] {
            let said = said(&METHODS, prefer).unwrap();
            assert!(
                said.starts_with("Take bitfit: 2.5 points less accurate than sft"),
                "{said}"
            );
        }
        let mut far = METHODS;
        (far[1].1, far[2].1) = (0.93, 0.9);
        assert_eq!(
            said(&far, Prefer::Balance).unwrap(),
            "Take sft: it is the most accurate (95.0 %), and no method within one point of it needs less \
             memory, time and file size together."
        );
    }

    #[test]
    fn times_of_runs_at_the_same_time_are_told_with_care_or_not_at_all() {
        let mut report = report(&METHODS);
        for run in &mut report.runs {
            run.side_by_side = Some(SideBySide {
                runs: 2,
                threads: 1,
            });
        }
        let said = |report: &Report, prefer| recommendation(&summarize(report), prefer).unwrap();
        let together = said(&report, Prefer::Balance);
        let time = ", about 80 % of its training time (with up to 2 runs at the same time) and";
        assert!(together.contains(time), "{together}");
        report.runs[1].side_by_side = None;
        let apart = said(&report, Prefer::Balance);
        assert!(
            apart.contains("of its peak memory (100 MiB instead of 400 MiB) and a file of"),
            "{apart}"
        );
        assert_eq!(
            said(&report, Prefer::Speed),
            "Take sft: it is the most accurate (95.0 %), and how fast methods train was not measured \
             alike."
        );
        // A run that is not among those that are recommended does not count.
        report.runs[1].side_by_side = report.runs[0].side_by_side;
        report.runs[4].side_by_side = None;
        assert_eq!(said(&report, Prefer::Balance), together);
    }

    #[test]
    fn equally_accurate_methods_are_told_apart_by_their_costs() {
        let mut equal = METHODS;
        (equal[1].1, equal[2].1) = (0.95, 0.95);
        let said = said(&equal, Prefer::Accuracy).unwrap();
        assert!(
            said.starts_with("Take bitfit: it is the most accurate (95.0 %)"),
            "{said}"
        );
    }

    #[test]
    fn nothing_is_recommended_where_there_is_no_choice() {
        assert_eq!(said(&METHODS[..1], Prefer::Balance), None);
        assert_eq!(said(&METHODS[2..], Prefer::Balance), None);
        assert_eq!(said(&[], Prefer::Balance), None);
        let chance = [("sft", 0.5, 1, 1.0, 1), ("lora", 0.51, 1, 1.0, 1)];
        assert_eq!(said(&chance, Prefer::Balance), None);
    }
}
