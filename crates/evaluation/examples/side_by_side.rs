//! Prints the accuracies of several comparisons side by side, one row per method:
//!
//! ```text
//! cargo run --example side_by_side -- [--valid] FOLDER…
//! ```
//!
//! Cells are mean and standard deviation over the seeds, in percent: of the test accuracy, or with
//! `--valid` of the validation accuracy after the last epoch (or after the selected one). The last
//! column is the mean difference between the last and the first folder over the seeds that both
//! have, and the number of seeds for which the last one is better.

use std::path::Path;
use std::process::ExitCode;

use finetune_evaluation::{EvaluationError, Report, Run, Spread};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let valid = arguments.first().is_some_and(|first| first == "--valid");
    if valid {
        arguments.remove(0);
    }
    match side_by_side(&arguments, valid) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn side_by_side(folders: &[String], valid: bool) -> Result<String, EvaluationError> {
    let reports = folders
        .iter()
        .map(|folder| Report::read(&Path::new(folder).join("report.json")))
        .collect::<Result<Vec<_>, _>>()?;
    let mut methods: Vec<&str> = Vec::new();
    for run in reports.iter().flat_map(|report| &report.runs) {
        if !methods.contains(&run.method.as_str()) {
            methods.push(&run.method);
        }
    }
    let mut lines = vec![
        format!("| method | {} | difference |", folders.join(" | ")),
        format!("|{}", "---|".repeat(folders.len() + 2)),
    ];
    for method in methods {
        let accuracies = |report: &Report| -> Vec<(u64, f64)> {
            let runs = report.runs.iter().filter(|run| run.method == method);
            runs.map(|run| (run.seed, accuracy(run, valid))).collect()
        };
        let all: Vec<_> = reports.iter().map(accuracies).collect();
        let cells = all.iter().map(|runs| {
            let values: Vec<f64> = runs.iter().map(|(_, value)| 100.0 * value).collect();
            let spread = Spread::of(&values);
            format!("{:.2} ± {:.2}", spread.mean, spread.std)
        });
        let cells: Vec<_> = cells.collect();
        let difference = match all.as_slice() {
            [first, .., last] => difference(first, last),
            _ => String::new(),
        };
        lines.push(format!(
            "| {method} | {} | {difference} |",
            cells.join(" | ")
        ));
    }
    Ok(lines.join("\n"))
}

fn accuracy(run: &Run, valid: bool) -> f64 {
    if !valid {
        return run.accuracy;
    }
    let selected = run.settings.get("weights of epoch");
    let selected = selected.and_then(|epoch| epoch.parse::<usize>().ok());
    let epoch = selected.map_or(run.epochs.last(), |epoch| run.epochs.get(epoch - 1));
    epoch
        .and_then(|epoch| epoch.valid_accuracy)
        .unwrap_or(f64::NAN)
}

#[allow(clippy::cast_precision_loss)]
fn difference(first: &[(u64, f64)], last: &[(u64, f64)]) -> String {
    let differences: Vec<f64> = first
        .iter()
        .filter_map(|(seed, before)| {
            let (_, after) = last.iter().find(|(other, _)| other == seed)?;
            Some(100.0 * (after - before))
        })
        .collect();
    let better = differences.iter().filter(|value| **value > 0.0).count();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    format!("{mean:+.2} ({better} of {})", differences.len())
}
