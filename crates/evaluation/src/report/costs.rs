//! Accuracy against what methods cost.

use maud::{Markup, PreEscaped, html};

use crate::error::EvaluationError;
use crate::format::series;
use crate::pictures::charts::tradeoffs;
use crate::pictures::looks::Looks;
use crate::pictures::pareto::{Tradeoff, tradeoff};
use crate::report::measured::measured;
use crate::statistics::summary::Summary;

/// A picture per cost, with the Pareto front; nothing if there are not two methods to compare.
///
/// # Errors
///
/// [`EvaluationError::Plot`] if a picture cannot be drawn.
pub(super) fn costs(summaries: &[Summary], looks: &Looks) -> Result<Markup, EvaluationError> {
    let costs = tradeoffs(summaries, looks);
    let pictures = costs.iter().map(tradeoff);
    let pictures: Vec<_> = pictures.collect::<Result<_, _>>()?;
    let front = costs.iter().any(|one| !one.front().is_empty());
    let log = costs.iter().any(Tradeoff::log);
    Ok(html! { @if !costs.is_empty() { section {
        h2 { "Accuracy against cost" }
        div.multiples { @for (one, picture) in costs.iter().zip(&pictures) { figure {
            (PreEscaped(picture.on_page()))
            @if !one.front().is_empty() { figcaption.quiet { "Pareto front: " (on_front(one)) } }
        } } }
        p.quiet {
            "Better is further up and further to the left. "
            @if front {
                "The line is the Pareto front: no other method is at least as accurate for the same "
                "cost or less. Small differences in accuracy may be due to chance. "
            }
            @if let Some(yardsticks) = yardsticks(&costs) {
                "Hollow markers are yardsticks (" (yardsticks) "), which are not part of the front. "
            }
            @if log { "Costs that span more than a factor of ten are on a logarithmic axis. " }
            @if let Some(measured) = measured(summaries) { (measured) }
        }
    } } })
}

fn on_front(one: &Tradeoff) -> String {
    let names = one.front().into_iter().map(|point| point.name.clone());
    series(&names.collect::<Vec<_>>())
}

/// The yardsticks among the points; `None` if there are none.
fn yardsticks(costs: &[Tradeoff]) -> Option<String> {
    let points = costs.iter().flat_map(|one| &one.points);
    let mut names: Vec<String> = Vec::new();
    for point in points.filter(|point| point.yardstick) {
        if !names.contains(&point.name) {
            names.push(point.name.clone());
        }
    }
    (!names.is_empty()).then(|| series(&names))
}

#[cfg(test)]
mod tests {
    use crate::report::json::tests::with_runs;

    #[test]
    fn the_front_is_named_and_yardsticks_are_not_on_it() {
        let mut report = with_runs(&[
            ("sft", 0, 0.9),
            ("lora", 0, 0.9),
            ("peft", 0, 0.7),
            ("linear", 0, 0.6),
        ]);
        let memory = [800, 500, 600, 100];
        let parameters = [900, 50, 20, 5];
        for (index, run) in report.runs.iter_mut().enumerate() {
            run.peak_memory_bytes = Some(memory[index]);
            run.trainable_parameters = parameters[index];
        }
        let page = crate::html(&report).unwrap();
        // lora is as accurate as sft with less memory; peft is worse than lora and takes more memory, but
        // trains fewer parameters. All train for the same time: sft and lora are equal.
        for front in ["lora", "sft and lora", "peft and lora"] {
            let caption = format!("<figcaption class=\"quiet\">Pareto front: {front}</figcaption>");
            assert_eq!(page.matches(&caption).count(), 1, "{front}");
        }
        assert!(page.contains("yardsticks (linear)"));
    }

    #[test]
    fn one_method_has_no_charts_that_compare() {
        let page = crate::html(&with_runs(&[("sft", 0, 0.9), ("sft", 1, 0.8)])).unwrap();
        assert!(!page.contains("Accuracy against cost") && !page.contains("costs of each method"));
    }
}
