//! Confusion matrices as HTML tables, and as pictures.

use maud::{Markup, html};

use super::json::Report;
use super::run::Run;
use super::table::name;
use crate::error::EvaluationError;
use crate::format::accuracy;
use crate::metrics::Confusion;
use crate::pictures::Picture;
use crate::pictures::confusion::{Matrix, confusion, strength};
use crate::statistics::summary::{Summary, largest};

/// With more classes than this, a matrix is a map of colours without numbers, and a list says where it
/// counts most wrong images: nobody reads forty columns.
const FEW_CLASSES: usize = 12;

/// With more classes than this, there is only the list: no browser shows a million cells.
const MOST_CLASSES: usize = 100;

/// Side of a map of colours, pixels.
const MAP: usize = 360;

/// How many of the most frequent confusions are shown.
const SHOWN: usize = 30;

/// One matrix per method, summed over its seeds, for the largest number of training images.
pub(crate) fn confusions(report: &Report, summaries: &[Summary]) -> Markup {
    let classes = &report.dataset.classes;
    html! { @for summary in largest(summaries) { figure {
        figcaption {
            b { (name(summary)) } " " (accuracy(summary))
            @if let Some((low, high)) = summary.interval() {
                span.quiet { ", 95 % interval " (percent(low)) "–" (percent(high)) " %" }
            }
        }
        @let confusion = summed(report, summary);
        @if classes.len() <= FEW_CLASSES {
            (matrix(classes, &confusion.rows()))
        } @else {
            @if classes.len() <= MOST_CLASSES { (map(classes, &confusion)) }
            (most_frequent(classes, &confusion))
        }
    } } }
}

/// The matrices as pictures.
pub(crate) fn pictures(
    report: &Report,
    summaries: &[Summary],
) -> Result<Vec<Picture>, EvaluationError> {
    let mut pictures: Vec<Picture> = Vec::new();
    for summary in largest(summaries) {
        let mut name = confusion_chart(&summary.method);
        while pictures.iter().any(|other| other.name == name) {
            name.push('-');
        }
        let matrix = Matrix {
            name,
            title: format!(
                "Confusion matrix of {}: {}",
                summary.method,
                accuracy(summary)
            ),
            classes: &report.dataset.classes,
            confusion: summed(report, summary),
        };
        pictures.extend(confusion(&matrix)?);
    }
    Ok(pictures)
}

/// The name of the picture of a method's confusion matrix, whatever characters the method's name has.
#[must_use]
pub fn confusion_chart(method: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let name = method.chars().map(|it| if plain(it) { it } else { '-' });
    format!("confusion-{}", name.collect::<String>())
}

/// What the matrices show, in words.
pub(crate) fn caption(report: &Report) -> Markup {
    html! {
        @if report.dataset.classes.len() > FEW_CLASSES {
            @if report.dataset.classes.len() <= MOST_CLASSES {
                "Rows of the maps are actual classes, columns are predicted classes, in the order of the "
                "data set: correct images lie on the diagonal. "
            }
            "The most frequent confusions of each method, with their share of the images of the "
            "actual class; report.json has all counts."
        } @else {
            "Rows are actual classes, columns are predicted classes."
        }
    }
}

/// A map of colours: a row per actual class, a column per predicted one.
fn map(classes: &[String], confusion: &Confusion) -> Markup {
    let images = confusion.per_class();
    let count = classes.len();
    let known = |count: &&(usize, usize, u64)| count.0.max(count.1) < classes.len();
    let cells = confusion
        .counts()
        .iter()
        .filter(known)
        .filter(|cell| cell.2 > 0);
    html! {
        svg.map viewBox=(format!("0 0 {count} {count}")) width=(MAP) height=(MAP) role="img"
            shape-rendering="crispEdges" aria-label="confusion matrix as a map of colours" {
            rect.frame width=(count) height=(count) {}
            @for (truth, predicted, wrong) in cells {
                rect x=(predicted) y=(truth) width="1" height="1"
                    fill=(color(*wrong, images[*truth], truth == predicted)) {
                    title { (classes[*truth]) " → " (classes[*predicted]) ": " (wrong) }
                }
            }
        }
    }
}

fn most_frequent(classes: &[String], confusion: &Confusion) -> Markup {
    let images = confusion.per_class();
    let known = |count: &&(usize, usize, u64)| count.0.max(count.1) < classes.len();
    let wrong = confusion.counts().iter().filter(known);
    let mut wrong: Vec<_> = wrong.filter(|count| count.0 != count.1).collect();
    wrong.sort_by_key(|count| std::cmp::Reverse(count.2));
    let rest: u64 = wrong.iter().skip(SHOWN).map(|count| count.2).sum();
    html! { div.scroll { table {
        thead { tr {
            @for title in ["actual", "predicted", "images", "share"] { th scope="col" { (title) } }
        } }
        tbody {
            @for (actual, predicted, count) in wrong.into_iter().take(SHOWN) { tr {
                th scope="row" { (classes[*actual]) }
                td { (classes[*predicted]) }
                td { (count) }
                td { (percent(share(*count, images[*actual]))) " %" }
            } }
            @if rest > 0 { tr { td.quiet colspan="4" { "and " (rest) " more wrong images" } } }
        }
    } } }
}

fn matrix(classes: &[String], counts: &[Vec<u64>]) -> Markup {
    html! { div.scroll { table.confusion {
        thead { tr {
            th.quiet { "actual \\ predicted" }
            @for class in classes { th { (class) } }
            th.quiet { "correct" }
        } }
        tbody { @for (truth, (class, line)) in classes.iter().zip(counts).enumerate() {
            @let all: u64 = line.iter().sum();
            tr {
                th scope="row" { (class) }
                @for (predicted, count) in line.iter().take(classes.len()).enumerate() {
                    td style=(heat(*count, all, truth == predicted)) {
                        @if *count > 0 { (count) } @else { span.quiet { "·" } }
                    }
                }
                td.quiet { (percent(share(line[truth], all))) " %" }
            }
        } }
    } } }
}

fn summed(report: &Report, summary: &Summary) -> Confusion {
    let runs = report.runs.iter().filter(|run| summary.contains(run));
    let none = Confusion::new(report.dataset.classes.len());
    Confusion::sum(std::iter::once(none).chain(runs.map(Run::confusion)))
}

fn heat(count: u64, all: u64, correct: bool) -> String {
    format!("background:{}", color(count, all, correct))
}

/// The colour of a cell: blue for correct images, orange for wrong ones, equally strong for equal
/// shares.
fn color(count: u64, all: u64, correct: bool) -> String {
    let color = if correct { "0,114,178" } else { "213,94,0" };
    format!("rgba({color},{:.2})", strength(share(count, all)))
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    #[test]
    fn matrices_are_summed_over_seeds() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5), ("lora", 0, 0.5)]);
        report.runs[0].confusion = vec![vec![3, 1], vec![0, 4]];
        report.runs[1].confusion = vec![vec![4, 0], vec![2, 2]];
        let summaries = summarize(&report);
        assert_eq!(summed(&report, &summaries[0]).rows(), [[7, 1], [2, 6]]);
        let page = confusions(&report, &summaries[..1]).into_string();
        assert!(page.contains("87.5 %") && page.contains("75.0 %"), "{page}");
        // A matrix that does not match the classes is truncated and does not cause a panic.
        report.runs[0].confusion = vec![vec![1, 2, 3]];
        confusions(&report, &summaries);
    }

    #[test]
    fn each_method_has_a_picture_of_its_own() {
        let mut report = with_runs(&[("a/lora", 0, 0.5), ("a lora", 0, 0.5), ("sft", 0, 0.5)]);
        report.runs[2].confusion.clear();
        let pictures = pictures(&report, &summarize(&report)).unwrap();
        let names: Vec<&str> = pictures.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["confusion-a-lora", "confusion-a-lora-"]);
        assert_eq!(pictures[0].title, "Confusion matrix of a/lora: 50.00 %");
    }

    #[test]
    fn of_many_classes_the_most_frequent_confusions_are_shown() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5)]);
        let classes = 5000;
        report.dataset.classes = (0..classes).map(|class| format!("c{class}")).collect();
        // In both runs, 3 of the 4 images of class 7 are taken for class 4999, and one each of 31
        // other classes for class 0.
        let mut actual = vec![7, 7, 7, 7];
        let mut predicted = vec![4999, 4999, 4999, 7];
        actual.extend(100..131);
        predicted.extend([0; 31]);
        for run in &mut report.runs {
            let confusion = Confusion::from_predictions(classes, &actual, &predicted);
            (run.confusion, run.confusion_counts) = confusion.unwrap().written();
        }
        let page = confusions(&report, &summarize(&report)).into_string();
        let first =
            "<tbody><tr><th scope=\"row\">c7</th><td>c4999</td><td>6</td><td>75.0 %</td></tr>";
        assert!(page.contains(first), "{page}");
        assert!(page.contains("and 4 more wrong images"), "{page}");
        assert!(page.len() < 5000, "{}", page.len());
        assert!(caption(&report).into_string().contains("report.json"));
    }

    #[test]
    fn of_some_classes_there_is_a_map_beside_the_list() {
        let mut report = with_runs(&[("sft", 0, 0.5)]);
        report.dataset.classes = (0..20).map(|class| format!("c{class}")).collect();
        let (actual, predicted) = ([3, 3, 3, 3, 5], [4, 3, 3, 3, 5]);
        let confusion = Confusion::from_predictions(20, &actual, &predicted).unwrap();
        (report.runs[0].confusion, report.runs[0].confusion_counts) = confusion.written();
        let page = confusions(&report, &summarize(&report)).into_string();
        let cell = "<rect x=\"4\" y=\"3\" width=\"1\" height=\"1\" fill=\"rgba(213,94,0,0.30)\">\
                    <title>c3 → c4: 1</title></rect>";
        assert!(page.contains(cell), "{page}");
        assert_eq!(page.matches("<title>").count(), 3);
        assert!(page.contains("<th scope=\"row\">c3</th><td>c4</td><td>1</td><td>25.0 %</td>"));
    }

    #[test]
    fn colours_are_stronger_for_larger_shares() {
        assert_eq!(heat(4, 4, true), "background:rgba(0,114,178,0.60)");
        assert_eq!(heat(1, 4, false), "background:rgba(213,94,0,0.30)");
        assert_eq!(heat(1, 4, true), "background:rgba(0,114,178,0.30)");
        assert_eq!(heat(0, 0, false), "background:rgba(213,94,0,0.00)");
    }
}
