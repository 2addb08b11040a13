//! `report.html`: the comparison as one page that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::EvaluationError;
use crate::plots::{Bar, Series, bars, color, css, lines, panels};
use crate::report::{Epoch, Report, Run};
use crate::sentence::finding;
use crate::summary::{Spread, Summary, summarize, wilson};
use crate::table::{TITLES, accuracy, bytes, row, seconds};

const STYLE: &str = include_str!("report.css");

/// The report as an HTML page.
///
/// # Errors
///
/// [`EvaluationError::Plot`] where a picture cannot be drawn.
pub fn html(report: &Report) -> Result<String, EvaluationError> {
    let summaries = summarize(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Fine-tuning " (report.model) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Fine-tuning " (report.model) " " span.quiet { "on " (report.dataset.path) } }
                    p.lead { (finding(&summaries)) }
                    (notes(report))
                    (table(&summaries))
                    section {
                        h2 { "What each method costs and gives" }
                        div.grid { (costs(&summaries)?) }
                    }
                    section { h2 { "While training" } div.grid.wide { (curves(report)?) } }
                    @if let Some(learning) = learning_curve(&summaries)? {
                        section { h2 { "How many images it takes" } (learning) }
                    }
                    section { h2 { "Which classes are mistaken for which" } div.grid { (confusions(report, &summaries)) } }
                    section { h2 { "Settings" } (settings(report)) (environment(report)) }
                }
            }
        }
    };
    Ok(page.into_string())
}

/// A picture of accuracy, memory, time and file size, for a README.
///
/// # Errors
///
/// [`EvaluationError::Plot`] where it cannot be drawn.
pub fn picture(report: &Report) -> Result<String, EvaluationError> {
    let summaries = summarize(report);
    panels(&COSTS.map(|(title, pick)| (title.to_owned(), cost(&summaries, pick))))
}

fn notes(report: &Report) -> Markup {
    html! {
        @if report.interrupted { p.note { "The comparison was stopped before all runs were done." } }
        @for failure in &report.failed {
            p.note { (failure.method) " (seed " (failure.seed) ") did not finish: " (failure.error) }
        }
    }
}

fn table(summaries: &[Summary]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { @for title in TITLES { th { (title) } } } }
            tbody { @for (index, summary) in summaries.iter().enumerate() {
                tr { @for (column, cell) in row(summary).into_iter().enumerate() {
                    @if column == 0 {
                        th scope="row" { span.dot style={ "background:" (css(color(&summary.method, index))) } {} (cell) }
                    } @else { td { (cell) } }
                } }
            } }
        } }
    }
}

/// What a bar shows: its value, single values behind it, and its label.
type Cost = (f64, Vec<f64>, String);
type PickCost = fn(&Summary) -> Cost;

const COSTS: [(&str, PickCost); 4] = [
    ("test accuracy", |summary| {
        (
            summary.accuracy.mean,
            summary.accuracies.clone(),
            accuracy(summary),
        )
    }),
    ("peak memory", |summary| match summary.peak_memory_bytes {
        Some(number) => (as_f64(number), Vec::new(), bytes(number)),
        None => (f64::NAN, Vec::new(), String::new()),
    }),
    ("time of a step", |summary| {
        (
            summary.seconds_per_step,
            Vec::new(),
            seconds(summary.seconds_per_step),
        )
    }),
    ("file beside the base weights", |summary| {
        (
            as_f64(summary.artifact_bytes),
            Vec::new(),
            bytes(summary.artifact_bytes),
        )
    }),
];

fn cost(summaries: &[Summary], pick: PickCost) -> Vec<Bar> {
    // With several numbers of training images, the bars show the largest.
    let most = summaries
        .iter()
        .map(per_class)
        .max_by(f64::total_cmp)
        .unwrap_or(0.0);
    summaries
        .iter()
        .enumerate()
        .filter(|(_, summary)| per_class(summary).total_cmp(&most).is_eq())
        .map(|(index, summary)| {
            let (value, dots, label) = pick(summary);
            let name = summary.method.clone();
            Bar {
                color: color(&name, index),
                name,
                value,
                dots,
                label,
            }
        })
        .collect()
}

fn costs(summaries: &[Summary]) -> Result<Markup, EvaluationError> {
    let mut pictures = Vec::new();
    for (title, pick) in COSTS {
        pictures.push(bars(title, &cost(summaries, pick))?);
    }
    Ok(html! { @for picture in pictures { figure { (PreEscaped(picture)) } } })
}

/// The mean over a method's runs of something that each epoch has.
fn over_epochs(report: &Report, pick: fn(&Epoch) -> Option<f64>) -> Vec<Series> {
    let mut methods: Vec<&str> = Vec::new();
    for run in &report.runs {
        if !methods.contains(&run.method.as_str()) {
            methods.push(&run.method);
        }
    }
    methods
        .into_iter()
        .enumerate()
        .map(|(index, method)| {
            let runs: Vec<&Run> = report
                .runs
                .iter()
                .filter(|run| run.method == method)
                .collect();
            let longest = runs.iter().map(|run| run.epochs.len()).max().unwrap_or(0);
            let points = (0..longest).filter_map(|i| {
                let values: Vec<f64> = runs
                    .iter()
                    .filter_map(|run| pick(run.epochs.get(i)?))
                    .collect();
                (!values.is_empty()).then(|| (as_f64(i as u64 + 1), Spread::of(&values).mean))
            });
            Series {
                name: method.to_owned(),
                color: color(method, index),
                points: points.collect(),
            }
        })
        .collect()
}

fn curves(report: &Report) -> Result<Markup, EvaluationError> {
    let loss = over_epochs(report, |epoch| Some(epoch.train_loss));
    let number: &dyn Fn(f64) -> String = &|value| format!("{value:.1}");
    let loss = lines(
        &loss,
        "epoch",
        "training loss (cross-entropy)",
        None,
        number,
    )?;
    let valid = over_epochs(report, |epoch| epoch.valid_accuracy);
    let (title, accuracy) = if valid.iter().any(|line| !line.points.is_empty()) {
        ("validation accuracy", valid)
    } else {
        (
            "training accuracy",
            over_epochs(report, |epoch| Some(epoch.train_accuracy)),
        )
    };
    let accuracy = lines(&accuracy, "epoch", title, Some(0.0..1.0), &percent)?;
    Ok(html! { figure { (PreEscaped(loss)) } figure { (PreEscaped(accuracy)) } })
}

fn learning_curve(summaries: &[Summary]) -> Result<Option<Markup>, EvaluationError> {
    let mut series: Vec<Series> = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let Some(count) = summary.train_per_class else {
            continue;
        };
        let point = (as_f64(count as u64), summary.accuracy.mean);
        match series.iter_mut().find(|line| line.name == summary.method) {
            Some(line) => line.points.push(point),
            None => series.push(Series {
                name: summary.method.clone(),
                color: color(&summary.method, index),
                points: vec![point],
            }),
        }
    }
    if series.iter().all(|line| line.points.len() < 2) {
        return Ok(None);
    }
    for line in &mut series {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let title = "training images of each class";
    let picture = lines(&series, title, "test accuracy", Some(0.0..1.0), &percent)?;
    Ok(Some(html! { figure { (PreEscaped(picture)) } }))
}

/// One matrix a method, its seeds added up.
fn confusions(report: &Report, summaries: &[Summary]) -> Markup {
    let classes = &report.dataset.classes;
    html! { @for summary in summaries {
        @let counts = added_up(report, summary, classes.len());
        @let right: u64 = (0..classes.len()).map(|class| counts[class][class]).sum();
        @let total: u64 = counts.iter().flatten().sum();
        @let (low, high) = wilson(as_f64(right), as_f64(total));
        figure {
            figcaption {
                b { (row(summary)[0]) } " " (accuracy(summary))
                span.quiet { ", 95 % interval " (percent_1(low)) "–" (percent_1(high)) " %" }
            }
            div.scroll { table.confusion {
                thead { tr { th.quiet { "is \\ said" } @for class in classes { th { (class) } } th.quiet { "right" } } }
                tbody { @for (truth, line) in counts.iter().enumerate() {
                    @let all: u64 = line.iter().sum();
                    tr {
                        th scope="row" { (classes[truth]) }
                        @for (predicted, count) in line.iter().enumerate() {
                            td style=(heat(*count, all, truth == predicted)) { @if *count > 0 { (count) } @else { span.quiet { "·" } } }
                        }
                        td.quiet { (percent_1(as_f64(line[truth]) / as_f64(all.max(1)))) " %" }
                    }
                } }
            } }
        }
    } }
}

fn added_up(report: &Report, summary: &Summary, classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    let same =
        |run: &&Run| run.method == summary.method && run.train_per_class == summary.train_per_class;
    for run in report.runs.iter().filter(same) {
        for (sums, line) in counts.iter_mut().zip(&run.confusion) {
            for (sum, count) in sums.iter_mut().zip(line) {
                *sum += count;
            }
        }
    }
    counts
}

fn heat(count: u64, all: u64, right: bool) -> String {
    let share = as_f64(count) / as_f64(all.max(1));
    let color = if right { "0,114,178" } else { "213,94,0" };
    let strength = if right {
        0.45 * share
    } else {
        (1.6 * share).min(0.8)
    };
    format!("background:rgba({color},{strength:.2})")
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
    html! { div.scroll { table {
        thead { tr { th { "setting" } @for run in &shown { th { (run.method) } } } }
        tbody { @for name in names { tr {
            th scope="row" { (name) }
            @for run in &shown { td { (run.settings.get(name).map_or("", String::as_str)) } }
        } } }
    } } }
}

fn environment(report: &Report) -> Markup {
    let data = &report.dataset;
    let mut seeds: Vec<u64> = report.runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    html! {
        p {
            (data.train) " training, " (data.valid) " validation and " (data.test) " test images in "
            (data.classes.len()) " classes. Weights: " (report.weights) ". Device: " (report.device)
            ", " (report.threads) " thread(s). Seeds: " (seeds.join(", "))
            ". Peak memory is the high-water mark of each run's own process. The file is the "
            "smallest one that, with the base weights, gives the model back."
        }
        p { "Made by " code { (report.command) } }
    }
}

fn per_class(summary: &Summary) -> f64 {
    summary
        .train_per_class
        .map_or(f64::INFINITY, |count| as_f64(count as u64))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn percent_1(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(number: u64) -> f64 {
    number as f64
}
