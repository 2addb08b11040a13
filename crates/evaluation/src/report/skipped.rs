//! Images that were left out because they could not be read: how many, which ones and why.

use maud::{Markup, html};

use crate::format::count;
use crate::report::json::{DatasetInfo, SkippedImage};

/// Up to this many images are listed without folding.
const OPEN: usize = 5;
/// At most this many images are listed; `report.json` has all of them.
const MOST: usize = 200;

/// A sentence that says how many images were left out; `None` if none were.
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

/// The note at the top of the page, with a link to the list.
pub(crate) fn note(data: &DatasetInfo) -> Markup {
    html! {
        @if let Some(sentence) = left_out(data) {
            p.note { (sentence) " " a href="#left-out" { "Show the list" } }
        }
    }
}

/// The list of the images, folded if it is long.
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
                        summary { (count(data.skipped.len() as u64)) " images with reasons" }
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
        thead { tr { th scope="col" { "image" } th scope="col" { "reason" } } }
        tbody { @for SkippedImage { image, reason } in skipped {
            tr { td { (image) } td { (short_reason(image, reason)) } }
        } }
    } }
}

/// The reason without the path of the image, which the table shows already.
fn short_reason<'a>(image: &str, reason: &'a str) -> &'a str {
    let rest = reason.split_once(&format!("the image {image}"));
    rest.map_or(reason, |(_, rest)| {
        rest.trim_start_matches(':').trim_start()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::html;
    use crate::report::json::tests::with_runs;

    #[test]
    fn short_lists_are_open_and_long_ones_are_folded() {
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
        assert!(page.contains("<details><summary>250 images with reasons</summary>"));
        assert_eq!(page.matches("it is empty").count(), 200);
        assert!(page.contains("and 50 more, in <code>report.json</code>"));
    }
}
