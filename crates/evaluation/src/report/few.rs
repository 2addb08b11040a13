//! The results on fewer training images, beside those on all of them.

use finetune_files::visible;
use maud::{Markup, html};

use super::beside_scratch::BesideScratch;
use super::differences::{against, compared, interval};
use super::json::{Few, Report};
use super::sentences::better;
use super::table::Cells;
use crate::format::{accuracy, count, points, tenths};
use crate::pictures::looks::Looks;
use crate::statistics::summary::{SCRATCH, Summary, largest, summarize, summarize_runs};

/// Indices of the columns beside the first, the least important one first.
const LEAST_IMPORTANT: [usize; 4] = [4, 3, 2, 1];

/// Number of columns up to the accuracies of both ends.
const ENDS: usize = 3;

/// What a report says about fewer training images, for a terminal with so many columns; `None` if it
/// has no runs on them.
#[must_use]
pub fn fewer_images(report: &Report, width: Option<usize>) -> Option<String> {
    let both = Both::of(report)?;
    let table = (!both.fewer.is_empty()).then(|| both.cells().shown(width));
    let said = both.sentence().into_iter().chain(both.notes());
    let said: Vec<String> = said.collect();
    let parts = table
        .into_iter()
        .chain((!said.is_empty()).then(|| said.join(" ")));
    Some(parts.collect::<Vec<_>>().join("\n\n"))
}

/// The heading of the section.
const TITLE: &str = "With fewer images";

/// `25 images per class`.
fn images(per_class: usize) -> String {
    match per_class {
        1 => "1 image per class".to_owned(),
        several => format!("{} images per class", count(several as u64)),
    }
}

/// A report's methods on fewer images and on all.
pub(super) struct Both<'a> {
    few: &'a Few,
    fewer: Vec<Summary>,
    all: Vec<Summary>,
}

impl<'a> Both<'a> {
    /// `None` if the report has no runs on fewer images.
    pub(super) fn of(report: &'a Report) -> Option<Self> {
        let few = report.few.as_ref()?;
        Some(Self {
            few,
            fewer: summarize_runs(&few.runs),
            all: largest(&summarize(report)).into_iter().cloned().collect(),
        })
    }

    /// `25 images per class`.
    fn number(&self) -> String {
        images(self.few.per_class)
    }

    /// `all images`, or a number of them if the training images were limited.
    pub(super) fn all_images(&self) -> String {
        let limit = self.all.first().and_then(|one| one.train_per_class);
        limit.map_or_else(|| "all images".to_owned(), images)
    }

    /// The heading and the text of a page of Markdown.
    pub(super) fn markdown(&self) -> Vec<String> {
        let mut parts = vec![format!("## {TITLE}")];
        parts.extend(self.sentence());
        parts.extend(self.notes().iter().map(|note| visible(note).into_owned()));
        if !self.fewer.is_empty() {
            parts.push(self.cells().markdown());
        }
        parts
    }

    /// The section of a page.
    pub(super) fn section(&self, looks: &Looks) -> Markup {
        let Cells { titles, rows, .. } = self.cells();
        let least = self.least();
        html! { section {
            h2 { (TITLE) }
            @if let Some(sentence) = self.sentence() { p { (sentence) } }
            @for note in self.notes() { p.note { (note) } }
            @if !self.fewer.is_empty() {
                div.scroll { table {
                    thead { tr {
                        @for title in &titles[..ENDS] { th scope="col" { (title) } }
                        th scope="col" { "○ few, ● all, from " (format!("{:.0}", 100.0 * least)) " to 100 %" }
                        @for title in &titles[ENDS..] { th scope="col" { (title) } }
                    } }
                    tbody { @for row in &rows {
                        @let color = looks.get(&row[0]).css();
                        tr {
                            th scope="row" { span.dot style={ "background:" (color) } {} (row[0]) }
                            @for cell in &row[1..ENDS] { td { (cell) } }
                            td { (self.plot(&row[0], least, &color)) }
                            @for cell in &row[ENDS..] { td { (cell) } }
                        }
                    } }
                } }
                p.quiet {
                    "The difference is what fewer images cost: test accuracy with " (self.number())
                    " minus that with " (self.all_images()) ", on the same test images. "
                    @if self.fewer.iter().any(|one| one.method == SCRATCH) {
                        (SCRATCH) " starts from random weights, the others from pretrained ones. "
                    }
                    "Models, files and all numbers of these runs are in the folder "
                    code { (self.few.folder) } "."
                }
            }
        } }
    }

    /// The lowest accuracy of both ends, rounded down to ten points.
    fn least(&self) -> f64 {
        let methods = self.fewer.iter().chain(&self.all);
        let least = methods.map(|one| one.accuracy.mean).fold(0.9, f64::min);
        (least * 10.0).floor() / 10.0
    }

    /// A method's accuracies with fewer images (a ring) and with all (a dot), on a scale from `least` to
    /// 100 %.
    fn plot(&self, method: &str, least: f64, color: &str) -> Markup {
        const WIDTH: f64 = 180.0;
        let x = |one: &Summary| {
            let share = (one.accuracy.mean - least) / (1.0 - least);
            format!("{:.1}", 6.0 + share * (WIDTH - 12.0))
        };
        let ends = self.ends(method);
        let [fewer, all] = ends.map(|end| end.map(x));
        let [few_said, all_said] = ends.map(|end| end.map_or_else(|| "–".to_owned(), accuracy));
        html! {
            svg.ends width="180" height="16" viewBox="0 0 180 16" role="img" style={ "color:" (color) }
                aria-label={ (few_said) " with fewer images, " (all_said) " with all" } {
                line.scale x1="6" x2="174" y1="8" y2="8" {}
                @if let (Some(fewer), Some(all)) = (&fewer, &all) {
                    line x1=(fewer) x2=(all) y1="8" y2="8" {}
                }
                @if let Some(all) = all { circle cx=(all) cy="8" r="4" {} }
                @if let Some(fewer) = fewer { circle.few cx=(fewer) cy="8" r="4" {} }
            }
        }
    }

    /// What happened to the runs that are missing.
    fn notes(&self) -> Vec<String> {
        let stopped = self.few.interrupted.then(|| {
            format!(
                "The runs with {} were stopped before all were finished.",
                self.number()
            )
        });
        let failed = self.few.failed.iter().map(|failure| {
            format!(
                "{} (seed {}) with {} did not finish: {}",
                failure.method,
                failure.seed,
                self.number(),
                failure.error
            )
        });
        stopped.into_iter().chain(failed).collect()
    }

    /// The table: a row per method.
    fn cells(&self) -> Cells {
        let titles = [
            "method".to_owned(),
            self.number(),
            self.all_images(),
            "difference".to_owned(),
            "95 % interval".to_owned(),
        ];
        let mut methods: Vec<&str> = Vec::new();
        for one in self.all.iter().chain(&self.fewer) {
            if !methods.contains(&one.method.as_str()) {
                methods.push(&one.method);
            }
        }
        Cells {
            titles: titles.to_vec(),
            rows: methods.into_iter().map(|method| self.row(method)).collect(),
            least_important: &LEAST_IMPORTANT,
        }
    }

    /// A method with fewer images and with all.
    fn ends(&self, method: &str) -> [Option<&Summary>; 2] {
        [&self.fewer, &self.all].map(|methods| methods.iter().find(|one| one.method == method))
    }

    fn row(&self, method: &str) -> Vec<String> {
        let nothing = || "–".to_owned();
        let ends = self.ends(method);
        let difference = match ends {
            [Some(fewer), Some(all)] => against(fewer, all),
            _ => None,
        };
        let [fewer, all] = ends.map(|one| one.map_or_else(nothing, accuracy));
        let value = difference.map(|found| format!("{} points", points(found.value)));
        let interval = difference.as_ref().map(interval);
        vec![
            method.to_owned(),
            fewer,
            all,
            value.unwrap_or_else(nothing),
            interval.unwrap_or_else(nothing),
        ]
    }

    /// What both ends say of the best method with fewer images: beside training from scratch if there
    /// is that, otherwise among the others.
    fn sentence(&self) -> Option<String> {
        let candidates = |methods: &[Summary], others: &[Summary]| -> Vec<Summary> {
            let methods = compared(methods).into_iter();
            let in_both = methods.filter(|one| others.iter().any(|it| it.method == one.method));
            let own = in_both.filter(|one| one.yardstick().is_none());
            own.cloned().collect()
        };
        let fewer = candidates(&self.fewer, &self.all);
        let all = candidates(&self.all, &self.fewer);
        let best = fewer.iter().min_by(|a, b| better(a, b))?;
        let (with_fewer, with_all) = (format!("With {}", self.number()), self.all_images());
        let name = &best.method;
        let ends = [&self.fewer, &self.all].map(|methods| BesideScratch::of(methods, name));
        if let [Some(few), Some(many)] = ends {
            return Some(format!(
                "{with_fewer}, {}; with {with_all}, {}.",
                few.in_full(name),
                many.after(&few, name)
            ));
        }
        let most = all.iter().min_by(|a, b| better(a, b))?;
        let [few, many] = [best, most].map(|one| tenths(one.accuracy.mean));
        Some(if all.len() == 1 {
            format!("{with_fewer}, {name} reaches {few}; with {with_all}, {many}.")
        } else {
            format!(
                "{with_fewer}, {name} is the most accurate method ({few}); with {with_all}, {} is \
                 ({many}).",
                most.method
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::report::run::{Failure, outcomes};

    /// A method's right answers among 200 test images, with 25 images per class and with all.
    type Right = (&'static str, usize, usize);

    /// A report on these methods with so many seeds.
    fn report(methods: &[Right], seeds: u64) -> Report {
        let of = |right: fn(&Right) -> usize, per_class: usize, limit: Option<usize>| {
            let named = (0..seeds).flat_map(|seed| methods.iter().map(move |one| (one, seed)));
            let named: Vec<(&Right, u64)> = named.collect();
            let runs: Vec<_> = named
                .iter()
                .map(|(one, seed)| (one.0, *seed, 0.0))
                .collect();
            let mut report = with_runs(&runs);
            for (run, (one, _)) in report.runs.iter_mut().zip(&named) {
                let right = right(one);
                run.accuracy = f64::from(u32::try_from(right).unwrap()) / 200.0;
                let wrong = 200 - right as u64;
                run.confusion = vec![vec![100, 0], vec![wrong, 100 - wrong]];
                run.outcomes = Some(outcomes((0..200).map(|image| image < right)));
                (run.train_per_class, run.train_per_class_found) = (limit, Some(per_class));
            }
            report
        };
        let mut report_of_all = of(|one| one.2, 135, None);
        report_of_all.few = Some(Few {
            per_class: 25,
            folder: "few-25".to_owned(),
            runs: of(|one| one.1, 25, Some(25)).runs,
            failed: Vec::new(),
            interrupted: false,
        });
        report_of_all
    }

    fn said(report: &Report) -> String {
        Both::of(report).unwrap().sentence().unwrap()
    }

    #[test]
    fn one_seed_compares_the_models_of_both_ends() {
        // 40 discordant images: 40/202 ± 1.96 · sqrt((42/202 − (40/202)²) / 202) is 0.1980 ± 0.0567. With
        // all images 1, in favour of scratch: −0.0050 ± 0.0168, as in `differences`.
        let report = report(
            &[("lora", 185, 188), ("sft", 190, 189), ("scratch", 150, 190)],
            1,
        );
        assert_eq!(
            said(&report),
            "With 25 images per class, the model of sft is 20.0 points better than that of scratch (95 % \
             interval 14.1 to 25.5); with all images, no difference is shown (−0.5 points, 95 % interval \
             −2.2 to 1.2)."
        );
    }

    #[test]
    fn several_seeds_compare_the_methods() {
        let methods = [
            ("sft", 190, 190),
            ("scratch", 150, 189),
            ("linear", 195, 100),
        ];
        let text = said(&report(&methods, 4));
        assert!(
            text.starts_with(
                "With 25 images per class, sft is 20.0 points better than scratch (95 %"
            ),
            "{text}"
        );
        assert!(
            text.contains("; with all images, no difference is shown (0.5 points, 95 %"),
            "{text}"
        );
        // The other way round: it is the training set that decides, not the order of the methods.
        let text = said(&report(&[("scratch", 150, 199), ("sft", 150, 170)], 4));
        assert!(
            text.starts_with(
                "With 25 images per class, sft is not shown to be better than scratch (0.0 points, 95 %"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "; with all images, sft is 14.5 points worse than scratch (95 % interval −"
            ),
            "{text}"
        );
        let text = said(&report(&[("scratch", 150, 150), ("sft", 190, 180)], 4));
        assert!(
            text.contains("; with all images, it is 15.0 points better (95 %"),
            "{text}"
        );
    }

    #[test]
    fn without_scratch_the_best_methods_are_named() {
        let mut two = report(
            &[("sft", 190, 194), ("lora", 180, 196), ("linear", 199, 199)],
            1,
        );
        assert_eq!(
            said(&two),
            "With 25 images per class, sft is the most accurate method (95.0 %); with all images, lora is \
             (98.0 %)."
        );
        let one = report(&[("sft", 190, 194)], 1);
        assert_eq!(
            said(&one),
            "With 25 images per class, sft reaches 95.0 %; with all images, 97.0 %."
        );
        for run in &mut two.runs {
            run.train_per_class = Some(100);
        }
        assert!(said(&two).contains("; with 100 images per class, lora is"));
        let yardstick = report(&[("scratch", 150, 190)], 1);
        assert_eq!(Both::of(&yardstick).unwrap().sentence(), None);
        assert!(Both::of(&with_runs(&[("sft", 0, 0.5)])).is_none());
    }

    #[test]
    fn every_form_of_the_report_has_both_ends() {
        let mut report = report(&[("sft", 190, 189), ("scratch", 150, 190)], 1);
        // 190 of 200 and 189 of 200, and the difference of one image as above.
        let cells = ["sft", "95.00 %", "94.50 %", "0.5 points", "−1.2 to 2.2"];
        let markdown = crate::page(&report);
        assert!(
            markdown.contains(
                "| method | 25 images per class | all images | difference | 95 % interval |"
            ),
            "{markdown}"
        );
        assert!(
            markdown.contains(&format!("| {} |", cells.join(" | "))),
            "{markdown}"
        );
        let order = [
            "As yardsticks",
            "## With fewer images",
            "## With all images",
            "| method | accuracy",
        ];
        let places = order.map(|text| markdown.find(text).unwrap());
        assert!(places.is_sorted(), "{markdown}");
        let page = crate::html(&report).unwrap();
        for text in [
            "<h2>With fewer images</h2>",
            "<h2>With all images</h2>",
            "few-25",
        ] {
            assert_eq!(page.matches(text).count(), 1, "{text}");
        }
        assert!(
            page.contains("<td>0.5 points</td><td>−1.2 to 2.2</td>"),
            "{page}"
        );
        // The scale begins at 70 %: sft's ring is at 6 + 25/30 · 168, its dot at 6 + 24.5/30 · 168.
        assert!(page.contains("from 70 to 100 %"), "{page}");
        for circle in ["<circle class=\"few\" cx=\"146.0\"", "<circle cx=\"143.2\""] {
            assert!(page.contains(circle), "{circle}: {page}");
        }
        let text = fewer_images(&report, None).unwrap();
        assert!(text.ends_with(&said(&report)), "{text}");
        for cell in cells {
            assert!(text.contains(cell), "{text}");
        }
        let narrow = fewer_images(&report, Some(40)).unwrap();
        let table = narrow
            .lines()
            .filter(|line| !line.starts_with("With 25 images"));
        for line in table {
            assert!(line.chars().count() <= 40, "{narrow}");
        }

        // Runs that are missing are no reason to leave out the others.
        let missing = report.few.as_mut().unwrap();
        missing.runs.retain(|run| run.method == "sft");
        missing.interrupted = true;
        missing.failed.push(Failure {
            method: "scratch".to_owned(),
            seed: 0,
            error: "no memory".to_owned(),
        });
        let page = crate::html(&report).unwrap();
        assert!(
            page.contains("scratch (seed 0) with 25 images per class did not finish: no memory")
        );
        assert!(page.contains("The runs with 25 images per class were stopped"));
        let markdown = crate::page(&report);
        assert!(
            markdown.contains("| scratch | – | 95.00 % | – | – |"),
            "{markdown}"
        );
        assert!(report.is_interrupted() && report.failures().count() == 1);
        report.few.as_mut().unwrap().runs.clear();
        assert!(
            fewer_images(&report, None)
                .unwrap()
                .starts_with("The runs with 25")
        );
        assert!(crate::page(&report).contains("no memory"));
    }
}
