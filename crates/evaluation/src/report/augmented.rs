//! What the augmentation does to sample images.

use maud::{Markup, html};

use super::details::AugmentedImage;
use super::embedded::jpeg;
use super::json::Report;
use crate::format::series;
use crate::statistics::summary::{Summary, largest};

/// Training images beside augmented versions of them, once for all methods with the same ones; nothing
/// if no run has any.
pub(super) fn samples(report: &Report, summaries: &[Summary]) -> Markup {
    let all = largest(summaries);
    let mut groups: Vec<(&[AugmentedImage], Vec<String>)> = Vec::new();
    for summary in &all {
        let first = report.runs.iter().find(|run| summary.contains(run));
        let Some(run) = first.filter(|run| !run.augmented.is_empty()) else {
            continue;
        };
        match groups
            .iter_mut()
            .find(|(images, _)| *images == run.augmented)
        {
            Some((_, methods)) => methods.push(run.method.clone()),
            None => groups.push((&run.augmented, vec![run.method.clone()])),
        }
    }
    let for_all = groups.iter().any(|(_, methods)| methods.len() == all.len());
    html! { @if !groups.is_empty() { section {
        h2 { "What the augmentation does" }
        @for (images, methods) in &groups {
            @if !for_all { h3 { (series(methods)) } }
            div.multiples { @for image in *images { (sample(image, &report.dataset.classes)) } }
        }
        p.quiet {
            "Framed: training images as they are. Beside them: the same images as two epochs show them. "
            "In every epoch, an image is changed anew, unless the number of views is limited."
        }
    } } }
}

fn sample(image: &AugmentedImage, classes: &[String]) -> Markup {
    let class = classes.get(image.class).map_or("?", String::as_str);
    html! { figure.sample {
        (jpeg(&image.original, &format!("a {class}")))
        @for augmented in &image.augmented { (jpeg(augmented, &format!("the same {class}, augmented"))) }
        figcaption { (class) }
    } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    const TITLE: &str = "What the augmentation does";

    fn image(original: &str, augmented: [&str; 2]) -> AugmentedImage {
        AugmentedImage {
            class: 1,
            original: original.to_owned(),
            augmented: augmented.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn methods_with_the_same_augmentation_show_it_once() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("sft", 1, 0.5), ("lora", 0, 0.5)]);
        assert!(!crate::html(&report).unwrap().contains(TITLE));
        for run in &mut report.runs {
            run.augmented = vec![image("AAAA", ["BBBB", "CCCC"])];
        }
        report.runs[1].augmented = vec![image("DDDD", ["EEEE", "FFFF"])];
        let page = crate::html(&report).unwrap();
        for (picture, count) in [("AAAA", 1), ("BBBB", 1), ("CCCC", 1), ("DDDD", 0)] {
            let source = format!("src=\"data:image/jpeg;base64,{picture}\"");
            assert_eq!(page.matches(&source).count(), count, "{picture}");
        }
        assert!(page.contains("alt=\"the same b, augmented\"") && !page.contains("<h3>"));
        // Others are named with their methods.
        report.runs[2].augmented = vec![image("GGGG", ["\"><script>", "HHHH"])];
        let page = crate::html(&report).unwrap();
        assert!(page.contains("<h3>sft</h3>") && page.contains("<h3>lora</h3>"));
        assert!(page.contains("GGGG") && !page.contains("script>"));
        // A method that is not augmented is not among those that are.
        report.runs[2].augmented.clear();
        let page = crate::html(&report).unwrap();
        assert!(page.contains("<h3>sft</h3>") && !page.contains("<h3>lora</h3>"));
    }
}
