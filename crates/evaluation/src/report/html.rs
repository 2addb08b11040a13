//! `report.html`: the comparison as a single page without scripts or other files.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::EvaluationError;
use crate::format::tenths;
use crate::pictures::Picture;
use crate::pictures::charts::{bars, curves, learning_curve};
use crate::pictures::looks::Looks;
use crate::pictures::sweep::sweep;
use crate::report::augmented;
use crate::report::costs::costs;
use crate::report::differences;
use crate::report::few::Both;
use crate::report::json::Report;
use crate::report::matrix::{caption, confusions};
use crate::report::measured::measured;
use crate::report::mistakes;
use crate::report::recommendation::recommendation;
use crate::report::run::Run;
use crate::report::sentences::finding;
use crate::report::skipped;
use crate::report::table::{TITLES, row};
use crate::statistics::summary::{Summary, summarize};

const STYLE: &str = include_str!("report.css");

/// The report as an HTML page that contains its pictures and styles.
///
/// # Errors
///
/// [`EvaluationError::Plot`] if a picture cannot be drawn.
pub fn html(report: &Report) -> Result<String, EvaluationError> {
    let summaries = summarize(report);
    let looks = Looks::of(&summaries);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Fine-tuning " (report.model) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "Fine-tuning " (report.model) " " span.quiet { "on " (report.dataset.path) } }
                @if let Some(sentence) = recommendation(&summaries, report.prefer) {
                    p.lead { (sentence) }
                    p { (finding(&summaries)) }
                } @else {
                    p.lead { (finding(&summaries)) }
                }
                (notes(report))
                @if let Some(both) = Both::of(report) {
                    (both.section(&looks))
                    @if !summaries.is_empty() { h2 { "With " (both.all_images()) } }
                }
                @if !summaries.is_empty() { (results(report, &summaries, &looks)?) }
                (skipped::list(&report.dataset))
                section { h2 { "Environment" } (environment(report)) }
            } }
        }
    };
    Ok(page.into_string())
}

/// The sections that need at least one run.
fn results(
    report: &Report,
    summaries: &[Summary],
    looks: &Looks,
) -> Result<Markup, EvaluationError> {
    let panels = bars(summaries, looks)?;
    let curves = curves(report, summaries, looks)?;
    let learning = learning_curve(summaries, looks)?;
    let mut sweeps = Vec::new();
    for run in &report.runs {
        sweeps.extend(sweep(run)?);
    }
    let several = summaries.iter().any(|summary| summary.seeds > 1);
    let measured = measured(summaries);
    Ok(html! {
        (table(summaries, looks))
        @if let Some(measured) = &measured { p.quiet { (measured) } }
        (differences::table(summaries))
        (costs(summaries, looks)?)
        @if !panels.is_empty() { section {
            h2 { "Accuracy and costs of each method" }
            (figures(&panels))
            p.quiet {
                "The line through an accuracy is its 95 % interval (Wilson), which depends on the "
                "number of test images alone."
                @if several { " The small dots below it are the individual seeds." }
                " Time per step is the median. Peak memory is the highest resident memory of the "
                "process of each run. The file is the smallest one that restores the model "
                "together with the base weights."
                @if let Some(measured) = &measured { " " (measured) }
            }
        } }
        @if !curves.is_empty() { section {
            h2 { "Learning curves" }
            (multiples(&curves))
            p.quiet {
                @if several { (BANDS) " " }
                "Training loss and accuracy are means over an epoch, while the model changes and on the "
                "images as they are augmented."
            }
        } }
        @if !sweeps.is_empty() {
            section { h2 { "Learning rate range test" } (figures(&sweeps)) }
        }
        @if let Some(learning) = learning {
            section { h2 { "Accuracy by number of training images" }
                (multiples(&[learning]))
                @if several { p.quiet { (BANDS) } }
            }
        }
        section {
            h2 { "Confusion matrices" }
            div.grid { (confusions(report, summaries)) }
            p.quiet {
                (caption(report))
                @if several { " Counts are sums over the seeds." }
            }
        }
        (mistakes::gallery(report, summaries))
        (mistakes::scores(report, summaries))
        (augmented::samples(report, summaries))
        section { h2 { "Settings" } (settings(report)) (tried(report)) }
    })
}

/// What lines and bands are, with several seeds.
const BANDS: &str =
    "Lines are means over the seeds, and bands go from the lowest to the highest seed.";

/// Small pictures, three beside each other if there is room.
fn multiples(pictures: &[Picture]) -> Markup {
    html! { div.multiples { @for picture in pictures { figure { (PreEscaped(picture.on_page())) } } } }
}

fn figures(pictures: &[Picture]) -> Markup {
    html! { div.grid { @for picture in pictures { figure { (PreEscaped(picture.on_page())) } } } }
}

fn notes(report: &Report) -> Markup {
    html! {
        (skipped::note(&report.dataset))
        @if report.interrupted { p.note { "The comparison was stopped before all runs were finished." } }
        @for failure in &report.failed {
            p.note { (failure.method) " (seed " (failure.seed) ") did not finish: " (failure.error) }
        }
    }
}

fn table(summaries: &[Summary], looks: &Looks) -> Markup {
    html! { div.scroll { table {
        thead { tr { @for title in TITLES { th scope="col" { (title) } } } }
        tbody { @for (i, summary) in summaries.iter().enumerate() { tr.group[starts_group(summaries, i)] {
            @for (column, cell) in row(summary).into_iter().enumerate() {
                @if column == 0 {
                    th scope="row" {
                        span.dot style={ "background:" (looks.get(&summary.method).css()) } {}
                        (cell)
                    }
                } @else { td { (cell) } }
            }
        } } }
    } } }
}

/// Whether a row has another number of training images than the row above it.
fn starts_group(summaries: &[Summary], row: usize) -> bool {
    row > 0 && summaries[row].train_per_class != summaries[row - 1].train_per_class
}

fn settings(report: &Report) -> Markup {
    let mut shown: Vec<&Run> = Vec::new();
    for run in &report.runs {
        if !shown.iter().any(|other| other.method == run.method) {
            shown.push(run);
        }
    }
    let mut names: Vec<&String> = shown.iter().flat_map(|run| run.settings.keys()).collect();
    names.sort();
    names.dedup();
    let (same, differ): (Vec<&String>, Vec<&String>) = names.into_iter().partition(|name| {
        let mut values = shown.iter().map(|run| run.settings.get(*name));
        let first = values.next();
        shown.len() > 1 && values.all(|value| Some(value) == first)
    });
    let cell = |run: &Run, name: &String| {
        html! { @match run.settings.get(name) {
            Some(value) => (value),
            None => span.quiet { "–" },
        } }
    };
    html! {
        @if !differ.is_empty() { div.scroll { table {
            thead { tr {
                th scope="col" { "setting" }
                @for run in &shown { th scope="col" { (run.method) } }
            } }
            tbody { @for name in differ { tr {
                th scope="row" { (name) }
                @for run in &shown { td { (cell(run, name)) } }
            } } }
        } } }
        @if !same.is_empty() { details {
            summary { "The same for all methods" }
            dl { @for name in same { dt { (name) } dd { (cell(shown[0], name)) } } }
        } }
    }
}

/// The settings that were tried.
fn tried(report: &Report) -> Markup {
    html! { @if !report.tried.is_empty() { details {
        summary { "What was tried (" (report.tried.len()) " runs, by validation accuracy)" }
        div.scroll { table.words {
            thead { tr { @for title in ["method", "settings", "epochs", "validation accuracy", ""] {
                th scope="col" { (title) }
            } } }
            tbody { @for tried in &report.tried { tr {
                th scope="row" { (tried.method) }
                td { (tried.settings) }
                td { (tried.epochs) }
                td { (tenths(tried.accuracy)) }
                td { @if tried.chosen { "chosen" } }
            } } }
        } }
    } } }
}

fn environment(report: &Report) -> Markup {
    let data = &report.dataset;
    let mut seeds: Vec<u64> = report.runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    html! {
        dl {
            dt { "images" }
            dd {
                (data.train) " training, " (data.valid) " validation, " (data.test) " test, in "
                (data.classes.len()) " classes"
            }
            @if !report.weights.is_empty() { dt { "weights" } dd { (report.weights) } }
            dt { "device" }
            dd {
                (report.device)
                @if report.threads > 0 { ", " (report.threads) " thread" @if report.threads > 1 { "s" } }
                @if let Some(precision) = &report.precision { ", " (precision) }
            }
            @if !seeds.is_empty() { dt { "seeds" } dd { (seeds.join(", ")) } }
            @if !report.command.is_empty() { dt { "command" } dd { code { (report.command) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::report::run::Failure;

    #[test]
    fn markup_is_escaped_and_missing_numbers_are_named() {
        let mut report = with_runs(&[("lora", 0, 0.5), ("sft", 0, 0.5)]);
        report.dataset.classes[0] = "<script>".to_owned();
        report.runs[0].method = "<script>".to_owned();
        report.runs[0].epochs[0].train_loss = f64::NAN;
        report.runs[0].seconds_per_step = f64::NAN;
        report.runs[0].peak_memory_bytes = None;
        let page = html(&report).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(page.contains("not measured") && !page.contains("NaN"));
        report.runs[0].epochs.clear();
        report.runs[0].confusion.clear();
        html(&report).unwrap();
    }

    #[test]
    fn a_page_without_runs_shows_the_errors() {
        let mut report = with_runs(&[]);
        report.interrupted = true;
        let error = "out of memory".to_owned();
        report.failed.push(Failure {
            method: "sft".to_owned(),
            seed: 1,
            error,
        });
        let page = html(&report).unwrap();
        assert!(page.contains("No run has finished."));
        assert!(page.contains("sft (seed 1) did not finish: out of memory"));
        assert!(page.contains("stopped before all runs were finished"));
    }

    #[test]
    fn a_page_refers_to_no_other_file() {
        let page = html(&with_runs(&[
            ("sft", 0, 0.5),
            ("sft", 1, 0.7),
            ("lora", 0, 0.6),
        ]))
        .unwrap();
        for outside in ["<script", "<link", "@import", "url(", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
