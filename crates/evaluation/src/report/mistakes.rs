//! The test images that models are most confidently wrong about, and how far their probabilities can be
//! trusted.

use maud::{Markup, html};

use super::details::{Mistake, Scores};
use super::embedded::jpeg;
use super::json::Report;
use super::run::Run;
use super::table::name;
use crate::format::tenths as percent;
use crate::statistics::summary::{Summary, largest};

/// The first run of a method among those that are shown.
fn first<'a>(report: &'a Report, summary: &Summary) -> Option<&'a Run> {
    report.runs.iter().find(|run| summary.contains(run))
}

/// The most confident mistakes of each method's first run, with their pictures.
pub(super) fn gallery(report: &Report, summaries: &[Summary]) -> Markup {
    let shown = largest(summaries).into_iter();
    let shown = shown.filter_map(|summary| Some((summary, first(report, summary)?)));
    let shown: Vec<(&Summary, &Run)> = shown.filter(|(_, run)| !run.mistakes.is_empty()).collect();
    html! { @if !shown.is_empty() { section {
        h2 { "Most confident mistakes" }
        @for (index, (summary, run)) in shown.iter().enumerate() {
            details open[index == 0] {
                summary {
                    b { (name(summary)) }
                    span.quiet { ", seed " (run.seed) }
                }
                div.gallery { @for mistake in &run.mistakes { (picture(mistake, &report.dataset.classes)) } }
            }
        }
        p.quiet {
            "Test images whose class the model misses with the highest probability. Some may carry the "
            "wrong label."
        }
    } } }
}

fn picture(mistake: &Mistake, classes: &[String]) -> Markup {
    let class = |index: usize| classes.get(index).map_or("?", String::as_str);
    let (truth, predicted) = (class(mistake.truth), class(mistake.predicted));
    html! { figure.mistake {
        (jpeg(&mistake.picture, &format!("a {truth} that is taken for a {predicted}")))
        figcaption {
            (truth) " → " b { (predicted) }
            br;
            span.quiet { (format!("{:.0} %", 100.0 * mistake.probability)) " sure" }
            @if let Some(file) = mistake.image.rsplit('/').next().filter(|file| !file.is_empty()) {
                br;
                span.file title=(mistake.image) { (file) }
            }
        }
    } }
}

/// What accuracy does not show, as a table; nothing if no run has it.
pub(super) fn scores(report: &Report, summaries: &[Summary]) -> Markup {
    let rows = largest(summaries).into_iter().filter_map(|summary| {
        let runs = report.runs.iter().filter(|run| summary.contains(run));
        let scores: Vec<_> = runs.map(|run| run.scores).collect::<Option<_>>()?;
        (!scores.is_empty()).then_some((summary, scores))
    });
    let rows: Vec<_> = rows.collect();
    let many = report.dataset.classes.len() > 5;
    html! { @if !rows.is_empty() { section {
        h2 { "Beyond accuracy" }
        div.scroll { table {
            thead { tr {
                @for title in ["method", "balanced accuracy", "macro-F1"] { th scope="col" { (title) } }
                @if many { th scope="col" { "top-5 accuracy" } }
                @for title in ["log-loss", "calibration error"] { th scope="col" { (title) } }
            } }
            tbody { @for (summary, scores) in &rows { tr {
                @let mean = |of: fn(&Scores) -> f64| mean(scores.iter().map(of));
                th scope="row" { (name(summary)) }
                td { (percent(mean(|one| one.balanced_accuracy))) }
                td { (percent(summary.macro_f1)) }
                @if many { td { (percent(mean(|one| one.top_5))) } }
                td { (format!("{:.3}", mean(|one| one.log_loss))) }
                td { (percent(mean(|one| one.calibration_error))) }
            } } }
        } }
        p.quiet {
            "Balanced accuracy is the mean of the classes' recalls. Log-loss punishes confident "
            "mistakes. The calibration error is how far, on average, the share of correct answers lies "
            "from the probability that the model gives them (15 bins); with few images it is too high."
        }
    } } }
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1);
    values.sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests {
    use crate::report::details::{Mistake, Scores};
    use crate::report::json::tests::with_runs;

    #[test]
    fn mistakes_are_shown_with_pictures_and_names_that_are_escaped() {
        let mut report = with_runs(&[("lora", 0, 0.5), ("sft", 0, 0.5), ("sft", 1, 0.5)]);
        let page = |report: &crate::Report| crate::html(report).unwrap();
        assert!(!page(&report).contains("Most confident mistakes"));
        let mistake = |image: &str, picture: &str| Mistake {
            image: image.to_owned(),
            truth: 0,
            predicted: 1,
            probability: 0.974,
            picture: picture.to_owned(),
        };
        report.runs[1].mistakes = vec![
            mistake("cat/1<2>.jpg", "/9j/4AAQ="),
            mistake("b", "\" onerror=\"alert(1)"),
            Mistake {
                truth: 77,
                ..mistake("c", "")
            },
        ];
        report.runs[2].mistakes = vec![mistake("of another seed", "AAAA")];
        let page = page(&report);
        assert!(
            page.contains("src=\"data:image/jpeg;base64,/9j/4AAQ=\""),
            "{page}"
        );
        assert!(
            page.contains("a → <b>b</b>")
                && page.contains("97 %")
                && page.contains("cat/1&lt;2&gt;.jpg")
        );
        assert!(page.contains("? → <b>b</b>"));
        assert!(!page.contains("onerror") && !page.contains("of another seed"));
    }

    #[test]
    fn scores_are_means_over_seeds() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5), ("lora", 0, 0.5)]);
        for (run, loss) in report.runs.iter_mut().zip([0.5, 0.7, 0.0]) {
            run.scores = (loss > 0.0).then_some(Scores {
                balanced_accuracy: 0.8,
                top_5: 1.0,
                log_loss: loss,
                calibration_error: 0.123,
            });
        }
        let page = crate::html(&report).unwrap();
        assert!(page.contains("Beyond accuracy") && page.contains("<td>0.600</td>"));
        assert!(page.contains("80.0 %") && page.contains("12.3 %"));
        // Two classes have no fifth one.
        assert!(!page.contains("top-5"));
    }
}
