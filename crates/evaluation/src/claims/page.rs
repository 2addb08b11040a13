//! The claims as a page of Markdown.

use std::fmt::Write;

use super::judge::accuracy;
use super::{Claim, Judgement, judge, per_class};
use crate::format::count;
use crate::report::Report;

/// The claims, what was measured, and the learning curves.
#[must_use]
pub fn claims_page(reports: &[Report]) -> String {
    let claims = judge(reports);
    let mut sizes: Vec<&Report> = reports.iter().collect();
    sizes.sort_by_key(|report| per_class(report));
    let Some(all) = sizes.last() else {
        return String::new();
    };
    let mut page = format!(
        "# What the measurements say\n\n{} on `{}` ({} classes, {} test images), {}, {} thread(s).\n\n",
        all.model,
        all.dataset.path,
        all.dataset.classes.len(),
        count(all.dataset.test as u64),
        all.device,
        all.threads,
    );
    page += "| claim | judgement | measured |\n|---|---|---|\n";
    for Claim {
        claim,
        found,
        judgement,
        ..
    } in &claims
    {
        let mark = match judgement {
            Judgement::Confirmed | Judgement::Refuted => format!("**{}**", judgement.name()),
            _ => judgement.name().to_owned(),
        };
        let _ = writeln!(page, "| {claim} | {mark} | {} |", found.join("; "));
    }
    page += "\n## Test accuracy by the number of training images\n\n";
    let mut methods: Vec<&str> = Vec::new();
    for run in sizes.iter().flat_map(|report| &report.runs) {
        if !methods.contains(&run.method.as_str()) {
            methods.push(&run.method);
        }
    }
    let _ = writeln!(page, "| images a class | {} |", methods.join(" | "));
    let _ = writeln!(page, "|--:|{}", "--:|".repeat(methods.len()));
    for report in &sizes {
        let cells = methods.iter();
        let cells = cells.map(|method| accuracy(report, method).unwrap_or_else(|| "–".to_owned()));
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(page, "| {} | {} |", per_class(report), cells.join(" | "));
    }
    page += "\nMean and standard deviation over the seeds. \"Images a class\" are those of the largest class, \
             validation images not counted.\n\n## Rules\n\n";
    for claim in &claims {
        let _ = writeln!(page, "- {}: {}.", claim.claim, claim.rule);
    }
    page += "\nIntervals of differences in accuracy are over images and seeds. Of the ratios, the median and \
             the range over the seeds are given: with five seeds, the range contains the true median in 94 % \
             of all cases, whatever the distribution.\n";
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn the_page_has_a_row_per_claim_and_per_size() {
        let mut few = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.6), ("lora", 0, 0.4)]);
        for run in &mut few.runs {
            run.train_per_class_found = Some(10);
        }
        let mut all = with_runs(&[("sft", 0, 0.9), ("sft", 1, 0.9)]);
        for run in &mut all.runs {
            run.train_per_class_found = Some(150);
        }
        let page = claims_page(&[all, few]);
        // The standard deviation of 0.5 and 0.6 is √0.005. With all images there is `sft` alone, and no claim is
        // about one method.
        assert!(
            page.contains("| 10 | 55.0 ± 7.1 % | 40.0 % |\n| 150 | 90.0 ± 0.0 % | – |\n"),
            "{page}"
        );
        assert_eq!(
            page.lines()
                .filter(|line| line.contains("not measured"))
                .count(),
            6
        );
        assert!(claims_page(&[]).is_empty());
    }
}
