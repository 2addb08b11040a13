//! Images that a run did without: how many, which and why.

use maud::{Markup, html};

use crate::report::json::{DatasetInfo, SkippedImage};
use crate::report::table::count;

/// Up to this many stand there unfolded.
const OPEN: usize = 5;
/// More than this many are left to `report.json`.
const MOST: usize = 200;

/// How many images were left out, a sentence; `None` where there are none.
#[must_use]
pub fn left_out(data: &DatasetInfo) -> Option<String> {
    let skipped = data.skipped.len();
    let all = skipped + data.train + data.valid + data.test;
    let were = if skipped == 1 { "was" } else { "were" };
    (skipped > 0).then(|| {
        format!(
            "{} of {} images could not be used and {were} left out.",
            count(skipped as u64),
            count(all as u64)
        )
    })
}

/// The note at the top of the page, which leads to the list.
pub(crate) fn note(data: &DatasetInfo) -> Markup {
    html! {
        @if let Some(sentence) = left_out(data) {
            p.note { (sentence) " " a href="#left-out" { "Which ones" } }
        }
    }
}

/// The list.
pub(crate) fn list(data: &DatasetInfo) -> Markup {
    let shown = &data.skipped[..data.skipped.len().min(MOST)];
    let more = data.skipped.len() - shown.len();
    html! {
        @if !shown.is_empty() {
            section id="left-out" {
                h2 { "Images left out" }
                @if shown.len() <= OPEN {
                    (table(shown))
                } @else {
                    details {
                        summary { (count(data.skipped.len() as u64)) " images and why" }
                        (table(shown))
                        @if more > 0 {
                            p.quiet { "and " (count(more as u64)) " more, in " code { "report.json" } }
                        }
                    }
                }
            }
        }
    }
}

fn table(skipped: &[SkippedImage]) -> Markup {
    html! { table.words {
        thead { tr { th scope="col" { "image" } th scope="col" { "why" } } }
        tbody { @for SkippedImage { image, reason } in skipped {
            tr { td { (image) } td { (why(image, reason)) } }
        } }
    } }
}

/// The reason, without the name that stands beside it.
fn why<'a>(image: &str, reason: &'a str) -> &'a str {
    let behind = reason.split_once(&format!("the image {image}"));
    behind.map_or(reason, |(_, why)| why.trim_start_matches(':').trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::html;
    use crate::report::json::tests::with_runs;

    #[test]
    fn few_are_listed_and_many_are_folded() {
        let mut report = with_runs(&[("lora", 0, 0.5)]);
        assert_eq!(left_out(&report.dataset), None);
        assert!(!html(&report).unwrap().contains("left out"));
        let skip = |index: usize| SkippedImage {
            image: format!("a/<{index}>.png"),
            reason: format!(
                "cannot decode the image a/<{index}>.png: it is empty; replace or remove it"
            ),
        };
        let (train, valid, test) = (1200, 3, 30);
        report.dataset = DatasetInfo {
            train,
            valid,
            test,
            skipped: vec![skip(0)],
            ..report.dataset
        };
        let page = html(&report).unwrap();
        assert!(
            page.contains("1 of 1\u{202f}234 images could not be used and was left out."),
            "{page}"
        );
        assert!(
            page.contains("<td>a/&lt;0&gt;.png</td><td>it is empty; replace or remove it</td>")
        );
        assert!(!page.contains("<details>"));

        report.dataset.skipped = (0..250).map(skip).collect();
        let page = html(&report).unwrap();
        assert!(page.contains("250 of 1\u{202f}483 images could not be used and were left out."));
        assert!(page.contains("<details><summary>250 images and why</summary>"));
        assert_eq!(page.matches("it is empty").count(), 200);
        assert!(page.contains("and 50 more, in <code>report.json</code>"));
    }
}
