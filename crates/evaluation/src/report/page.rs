//! `report.md`: what a comparison found, to be pasted into notes, an issue or a paper's appendix.

use finetune_files::{quoted, visible};

use super::differences;
use super::few::Both;
use super::json::Report;
use super::measured::measured;
use super::recommendation::recommendation;
use super::sentences::finding;
use super::table::markdown;
use crate::statistics::summary::summarize;

/// The report as Markdown: recommendation, finding, fewer images if there are some, results, differences, and the command.
#[must_use]
pub fn page(report: &Report) -> String {
    let summaries = summarize(report);
    let mut parts = vec![format!(
        "# Fine-tuning {} on {}",
        visible(&report.model),
        quoted(&report.dataset.path)
    )];
    parts.extend(recommendation(&summaries, report.prefer));
    parts.push(finding(&summaries));
    if let Some(both) = Both::of(report) {
        parts.extend(both.markdown());
        parts.push(format!("## With {}", both.all_images()));
    }
    if !summaries.is_empty() {
        parts.push(markdown(report));
        parts.extend(measured(&summaries));
    }
    let differences = differences::markdown(&summaries);
    if !differences.is_empty() {
        parts.push("## Differences".to_owned());
        parts.push(differences.join("\n"));
    }
    let data = &report.dataset;
    let precision = report.precision.as_ref().map(|text| format!(", {text}"));
    parts.push(format!(
        "{} training, {} validation and {} test images in {} classes; {}, {} thread(s){}.",
        data.train,
        data.valid,
        data.test,
        data.classes.len(),
        visible(&report.device),
        report.threads,
        precision.unwrap_or_default()
    ));
    if !report.command.is_empty() {
        parts.push(format!("```\n{}\n```", visible(&report.command)));
    }
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::report::run::outcomes;

    #[test]
    fn the_page_has_the_finding_the_results_and_the_differences() {
        let mut report = with_runs(&[("sft", 0, 0.9), ("lora", 0, 0.8)]);
        for (run, wrong) in report.runs.iter_mut().zip([10, 20]) {
            run.confusion = vec![vec![50, 0], vec![wrong, 50 - wrong]];
            run.outcomes = Some(outcomes((0..100).map(|image| image >= wrong)));
        }
        report.command = "finetune compare".to_owned();
        let page = page(&report);
        let parts: Vec<&str> = page.split("\n\n").collect();
        assert_eq!(parts[0], "# Fine-tuning m on `d`");
        assert!(parts[1].starts_with("Take sft: "), "{page}");
        assert!(
            parts[2].starts_with("sft is the most accurate (90.0 %)"),
            "{page}"
        );
        assert!(parts[3].starts_with("| method |"), "{page}");
        assert!(parts[5].contains("| sft − lora | 10.0 points |"), "{page}");
        assert!(page.ends_with("```\nfinetune compare\n```\n"));
    }
}
