//! What a comparison shows of the differences between its methods: in words and as a table.

use std::fmt::Write;

use maud::{Markup, html};

use crate::format::{points, series};
use crate::pictures::forest::Row;
use crate::statistics::summary::{Summary, largest};
use crate::statistics::{Difference, MIN_SEEDS, Outcomes, Pair, Verdict, compare};

/// Up to so many methods, sentences have the numbers of each difference.
const FEW: usize = 3;

/// All pairs of methods; `None` if the outcomes of a method are not known, or are not those of the same
/// images.
fn pairs(methods: &[&Summary]) -> Option<Vec<Pair>> {
    let outcomes = methods.iter().map(|method| method.outcomes.clone());
    let outcomes: Vec<Outcomes> = outcomes.collect::<Option<_>>()?;
    compare(&outcomes).ok()
}

/// The difference between two methods; `None` if the outcomes of the images are not known.
pub(super) fn against(best: &Summary, other: &Summary) -> Option<Difference> {
    pairs(&[best, other])?.first()?.difference
}

/// The difference between the methods of these names, as it is judged among all pairs of a comparison;
/// `None` if one of them was not compared, or the outcomes of the images are not known.
pub(super) fn between(summaries: &[Summary], first: &str, second: &str) -> Option<Pair> {
    let mut methods = compared(summaries);
    methods.sort_by_key(|one| (one.method != first, one.method != second));
    let [one, other, ..] = methods.as_slice() else {
        return None;
    };
    if (one.method.as_str(), other.method.as_str()) != (first, second) {
        return None;
    }
    let mut pairs = pairs(&methods)?.into_iter();
    pairs.find(|pair| (pair.first, pair.second) == (0, 1))
}

/// Says whether the test images and seeds show that `best` is better than `others`; `None` if the
/// outcomes of the images are not known.
pub(super) fn sentences(best: &Summary, others: &[&Summary]) -> Option<String> {
    let methods = [&[best], others].concat();
    let pairs = pairs(&methods)?;
    let with_best = pairs.iter().filter(|pair| pair.first == 0);
    let with_best: Vec<(&Summary, &Pair, Difference)> = with_best
        .filter_map(|pair| Some((methods[pair.second], pair, pair.difference?)))
        .collect();
    if with_best.is_empty() {
        return Some(String::new());
    }
    let seeds = methods.iter().map(|method| method.seeds).min().unwrap_or(0);
    if seeds < MIN_SEEDS {
        return Some(of_models(best, &with_best));
    }
    let of = |wanted: fn(Verdict) -> bool| -> Vec<_> {
        let pairs = with_best.iter().copied();
        pairs.filter(|(_, pair, _)| wanted(pair.verdict)).collect()
    };
    let better = of(|verdict| verdict == Verdict::First);
    let worse = of(|verdict| verdict == Verdict::Second);
    let open = of(|verdict| matches!(verdict, Verdict::NotShown(_)));
    let mut text = String::new();
    for (word, shown) in [("better", &better), ("worse", &worse)] {
        if shown.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            " Over {seeds} seeds and {} test images, {} is {word} than {}.",
            best.test_images,
            best.method,
            listed(shown)
        );
    }
    if !open.is_empty() {
        let head = if better.is_empty() && worse.is_empty() {
            format!(
                "With {seeds} seeds and {} test images, {}",
                best.test_images, best.method
            )
        } else {
            "It".to_owned()
        };
        let _ = write!(
            text,
            " {head} is not shown to be better than {}",
            listed(&open)
        );
        let most = |number: fn(&Pair) -> Option<usize>| {
            let numbers = open.iter().map(|(_, pair, _)| number(pair));
            numbers.collect::<Option<Vec<_>>>()?.into_iter().max()
        };
        let images =
            most(|pair| pair.more_images).map(|more| format!("{} more test images", rounded(more)));
        let seeds = most(|pair| pair.more_seeds).map(|more| format!("{more} more seeds"));
        let more: Vec<String> = images.into_iter().chain(seeds).collect();
        if more.is_empty() {
            text.push('.');
        } else {
            let size = if open.len() == 1 {
                "a difference of this size"
            } else {
                "differences of this size"
            };
            let _ = write!(
                text,
                "; about {} would probably show {size}.",
                more.join(" or ")
            );
        }
    }
    Some(text)
}

/// With few seeds, only the models that were trained can be compared.
fn of_models(best: &Summary, others: &[(&Summary, &Pair, Difference)]) -> String {
    let of = |wanted: fn(&Difference) -> bool| -> Vec<_> {
        let others = others.iter().copied();
        others.filter(|(_, _, found)| wanted(found)).collect()
    };
    let apart = of(|found| found.low > 0.0);
    let ahead = of(|found| found.high < 0.0);
    let near = of(|found| found.low <= 0.0 && found.high >= 0.0);
    let mut parts = Vec::new();
    if !apart.is_empty() {
        parts.push(format!(
            "{} would be more accurate than {}",
            best.method,
            listed(&apart)
        ));
    }
    if !ahead.is_empty() {
        parts.push(format!(
            "{} would be less accurate than {}",
            best.method,
            listed(&ahead)
        ));
    }
    if !near.is_empty() {
        parts.push(format!("{} may be as accurate", listed(&near)));
    }
    format!(
        " On other images of this kind, with the models of these runs, {}. Another seed may order the \
         methods otherwise: --seeds {MIN_SEEDS} or more compares methods and not single models.",
        parts.join(", and ")
    )
}

/// `linear (3.1 points, 95 % interval 1.0 to 5.2) and lora (…)`, or names only if there are many.
fn listed(methods: &[(&Summary, &Pair, Difference)]) -> String {
    let named = methods.iter().map(|(method, _, difference)| {
        if methods.len() > FEW {
            method.method.clone()
        } else {
            let interval = interval(difference);
            format!(
                "{} ({} points, 95 % interval {interval})",
                method.method,
                points(difference.value)
            )
        }
    });
    series(&named.collect::<Vec<_>>())
}

pub(super) fn interval(difference: &Difference) -> String {
    format!("{} to {}", points(difference.low), points(difference.high))
}

/// A number with two digits that are not 0.
fn rounded(number: usize) -> usize {
    let digits = number.checked_ilog10().unwrap_or(0);
    let unit = 10_usize.pow(digits.saturating_sub(1));
    number.div_ceil(unit) * unit
}

/// All pairs of methods as lines of a Markdown table; none if there is one method, or outcomes are not
/// known.
pub(super) fn markdown(summaries: &[Summary]) -> Vec<String> {
    let methods = compared(summaries);
    let pairs = pairs(&methods).unwrap_or_default();
    let mut lines: Vec<String> = pairs
        .iter()
        .filter_map(|pair| {
            let difference = pair.difference?;
            let better = match pair.verdict {
                Verdict::First => format!("{} is better", methods[pair.first].method),
                Verdict::Second => format!("{} is better", methods[pair.second].method),
                Verdict::NotShown(_) => "–".to_owned(),
            };
            Some(format!(
                "| {} − {} | {} points | {} | {} | {better} |",
                methods[pair.first].method,
                methods[pair.second].method,
                points(difference.value),
                interval(&difference),
                p_value(pair)
            ))
        })
        .collect();
    if !lines.is_empty() {
        let head = "| pair | difference in accuracy | 95 % interval | p | shown |";
        lines.splice(0..0, [head.to_owned(), "|---|--:|--:|--:|---|".to_owned()]);
    }
    lines
}

/// The methods whose runs all went to their ends, with the largest number of training images.
pub(super) fn compared(summaries: &[Summary]) -> Vec<&Summary> {
    let methods = largest(summaries).into_iter();
    methods.filter(|one| !one.stopped).collect()
}

/// All pairs of methods as a table; nothing if there is one method, or outcomes are not known.
pub(super) fn table(summaries: &[Summary]) -> Markup {
    let methods = compared(summaries);
    let pairs = pairs(&methods).unwrap_or_default();
    let known = pairs
        .iter()
        .filter_map(|pair| Some((pair, pair.difference?)));
    let known: Vec<(&Pair, Difference)> = known.collect();
    let ends = known
        .iter()
        .flat_map(|(_, found)| [found.low.abs(), found.high.abs()]);
    let reach = ends.fold(0.001, f64::max);
    html! { @if !known.is_empty() { section {
        h2 { "Differences" }
        div.scroll { table {
            thead { tr {
                @for title in ["pair", "difference in accuracy", "95 % interval"] {
                    th scope="col" { (title) }
                }
                th scope="col" { "from " (points(-reach)) " to " (points(reach)) " points" }
                @for title in ["p", "shown"] { th scope="col" { (title) } }
            } }
            tbody { @for (pair, difference) in &known { tr {
                th scope="row" { (methods[pair.first].method) " − " (methods[pair.second].method) }
                td { (points(difference.value)) " points" }
                td { (interval(difference)) }
                td { (plot(difference, reach)) }
                td { (p_value(pair)) }
                td { @match pair.verdict {
                    Verdict::First => { (methods[pair.first].method) " is better" },
                    Verdict::Second => { (methods[pair.second].method) " is better" },
                    Verdict::NotShown(_) => span.quiet { "–" },
                } }
            } } }
        } }
        p.quiet {
            "All methods are tested on the same images, so that differences are paired. "
            @if known.iter().all(|(_, difference)| difference.over_seeds) {
                "The intervals are over images and seeds. "
            } @else {
                "With one seed, the interval is that of these very models on other images. "
            }
            "A method is called better if both have at least " (MIN_SEEDS) " seeds and p, which is "
            "corrected for the number of pairs (Holm), is at most 0.05. "
            @if known.iter().any(|(pair, _)| pair.mcnemar.is_some()) {
                "With one seed, p is that of McNemar's exact test, without correction."
            }
        }
    } } }
}

/// The differences between all pairs of methods as rows of a picture; none if there is one method, or
/// outcomes are not known.
pub(super) fn rows(summaries: &[Summary]) -> Vec<Row> {
    let methods = compared(summaries);
    let pairs = pairs(&methods).unwrap_or_default().into_iter();
    let rows = pairs.filter_map(|pair| {
        let [first, second] = [pair.first, pair.second].map(|one| methods[one].method.as_str());
        let Difference {
            value, low, high, ..
        } = pair.difference?;
        Some(Row {
            name: format!("{first} − {second}"),
            value,
            low,
            high,
        })
    });
    rows.collect()
}

/// An interval around its difference, on a scale from `-reach` to `reach` with a line at 0.
fn plot(difference: &Difference, reach: f64) -> Markup {
    const WIDTH: f64 = 180.0;
    let x = |value: f64| format!("{:.1}", WIDTH / 2.0 + value / reach * (WIDTH / 2.0 - 6.0));
    let apart = difference.low > 0.0 || difference.high < 0.0;
    html! {
        svg.forest width="180" height="16" viewBox="0 0 180 16" role="img"
            aria-label={ (points(difference.value)) " points, " (interval(difference)) } {
            line.zero x1=(x(0.0)) x2=(x(0.0)) y1="0" y2="16" {}
            line.interval x1=(x(difference.low)) x2=(x(difference.high)) y1="8" y2="8" {}
            circle.apart[apart] cx=(x(difference.value)) cy="8" r="4" {}
        }
    }
}

fn p_value(pair: &Pair) -> String {
    match pair.adjusted_p_value.or(pair.mcnemar) {
        None => "–".to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::Report;
    use crate::report::json::tests::with_runs;
    use crate::report::run::outcomes;
    use crate::statistics::summary::summarize;

    /// Runs on 200 test images whose first ones are classified correctly.
    #[allow(clippy::cast_precision_loss)]
    fn report(runs: &[(&str, u64, usize)]) -> Report {
        let named: Vec<_> = runs
            .iter()
            .map(|(method, seed, correct)| (*method, *seed, *correct as f64 / 200.0))
            .collect();
        let mut report = with_runs(&named);
        for (run, (_, _, correct)) in report.runs.iter_mut().zip(runs) {
            let wrong = 200 - *correct as u64;
            run.confusion = vec![vec![100, 0], vec![wrong, 100 - wrong]];
            run.outcomes = Some(outcomes((0..200).map(|image| image < *correct)));
        }
        report
    }

    fn said(report: &Report) -> String {
        crate::finding(&summarize(report))
    }

    #[test]
    fn one_seed_compares_models_and_not_methods() {
        // 20 discordant images, all in favour of sft: 20/202 ± 1.96 · sqrt((22/202 − (20/202)²) / 202)
        // is 0.0990 ± 0.0434; 1 image: 1/202 ± 1.96 · sqrt((3/202 − (1/202)²) / 202), 0.0050 ± 0.0168.
        let text = said(&report(&[
            ("sft", 0, 190),
            ("linear", 0, 170),
            ("lora", 0, 189),
        ]));
        assert!(
            text.contains(
                " On other images of this kind, with the models of these runs, sft would be more \
                 accurate than linear (10.0 points, 95 % interval 5.6 to 14.2), and lora (0.5 points, \
                 95 % interval −1.2 to 2.2) may be as accurate. Another seed may order the methods \
                 otherwise: --seeds 3 or more compares methods and not single models."
            ),
            "{text}"
        );
        assert!(!text.contains("is better"));
    }

    #[test]
    fn a_yardstick_is_not_recommended_but_compared() {
        // 9 discordant images in favour of scratch: −9/202 ± 1.96 · sqrt((11/202 − (9/202)²) / 202) is
        // −0.0446 ± 0.0316.
        let text = said(&report(&[("scratch", 0, 199), ("sft", 0, 190)]));
        assert!(
            text.starts_with(
                "sft reaches 95.0 % on the test images. As yardsticks, scratch (no pretraining) \
                 reaches 99.5 %. On other images of this kind, with the models of these runs, sft would \
                 be less accurate than scratch (−4.5 points, 95 % interval −7.6 to −1.3). Another seed"
            ),
            "{text}"
        );
        let alone = said(&report(&[("scratch", 0, 199), ("linear", 0, 190)]));
        assert!(
            alone.starts_with("scratch is the most accurate (99.5 %)"),
            "{alone}"
        );
        let mut runs = Vec::new();
        for seed in 0..3 {
            runs.extend([("sft", seed, 150), ("scratch", seed, 190)]);
        }
        let text = said(&report(&runs));
        assert!(
            text.contains(" Over 3 seeds and 200 test images, sft is worse than scratch (−20.0"),
            "{text}"
        );
    }

    #[test]
    fn several_seeds_show_a_large_difference_and_not_a_small_one() {
        let mut runs = Vec::new();
        for seed in 0..4 {
            runs.extend([
                ("sft", seed, 190),
                ("linear", seed, 150),
                ("lora", seed, 189),
            ]);
        }
        let text = said(&report(&runs));
        assert!(
            text.contains(
                " Over 4 seeds and 200 test images, sft is better than linear (20.0 points"
            ),
            "{text}"
        );
        assert!(
            text.contains(" It is not shown to be better than lora (0.5 points"),
            "{text}"
        );
        assert!(
            text.contains("more test images would probably show a difference of this size."),
            "{text}"
        );
        let page = crate::html(&report(&runs)).unwrap();
        assert!(page.contains("<h2>Differences</h2>") && page.contains("sft is better"));
    }

    #[test]
    fn outcomes_that_are_not_known_or_do_not_fit_say_nothing() {
        let mut report = report(&[("sft", 0, 190), ("linear", 0, 150)]);
        report.runs[1].outcomes = Some("10x".to_owned());
        assert!(!said(&report).contains("models of these runs"));
        assert!(!crate::html(&report).unwrap().contains("Differences"));
        report.runs[1].outcomes = None;
        assert!(!crate::html(&report).unwrap().contains("Differences"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1, 12, 123, 98_765].map(rounded), [1, 12, 130, 99_000]);
        assert_eq!(
            [0.0123, -0.0123, -0.0001].map(points),
            ["1.2", "−1.2", "0.0"]
        );
    }
}
