//! Several reports as one, so that runs of different commands stand side by side.

use std::collections::BTreeSet;

use super::json::{Few, Report};
use super::run::Run;

impl Report {
    /// Puts the runs of reports side by side: each method gets the name of its report before its own,
    /// `first/lora`. `same_tests` says whether all reports are about the same test images; if they are
    /// not, differences between methods are not paired, and are left out.
    ///
    /// Runs on fewer images are taken over if all reports have some on the same number. Failures are not. A single report stays as it is.
    #[must_use]
    pub fn beside(reports: Vec<(String, Self)>, same_tests: bool) -> Option<Self> {
        let several = reports.len() > 1;
        let models: BTreeSet<String> = reports.iter().map(|(_, one)| one.model.clone()).collect();
        let paths = reports.iter().map(|(_, one)| one.dataset.path.clone());
        let paths: BTreeSet<String> = paths.collect();
        let (_, first) = reports.first()?;
        let mut all = first.clone();
        if !several {
            return Some(all);
        }
        all.model = models.into_iter().collect::<Vec<_>>().join(", ");
        all.dataset.path = paths.into_iter().collect::<Vec<_>>().join(", ");
        (all.runs, all.failed) = (Vec::new(), Vec::new());
        (all.command, all.understood) = (String::new(), None);
        let size = |few: &Option<Few>| few.as_ref().map(|few| few.per_class);
        if reports
            .iter()
            .any(|(_, one)| size(&one.few) != size(&all.few))
        {
            all.few = None;
        }
        if let Some(few) = &mut all.few {
            (few.runs, few.failed) = (Vec::new(), Vec::new());
        }
        for (name, report) in reports {
            let named = |mut run: Run| {
                run.method = format!("{name}/{}", run.method);
                if !same_tests {
                    run.outcomes = None;
                }
                run
            };
            all.interrupted |= report.interrupted;
            all.runs.extend(report.runs.into_iter().map(named));
            if let (Some(all), Some(few)) = (&mut all.few, report.few) {
                all.interrupted |= few.interrupted;
                all.runs.extend(few.runs.into_iter().map(named));
            }
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn methods_are_named_after_their_reports() {
        let mut first = with_runs(&[("lora", 0, 0.5), ("sft", 0, 0.6)]);
        let mut second = with_runs(&[("lora", 0, 0.7)]);
        (second.model, second.interrupted) = ("n".to_owned(), true);
        second.runs[0].outcomes = Some("10".to_owned());
        let reports = || {
            vec![
                ("a".to_owned(), first.clone()),
                ("b".to_owned(), second.clone()),
            ]
        };
        let both = Report::beside(reports(), true).unwrap();
        let names: Vec<&str> = both.runs.iter().map(|run| run.method.as_str()).collect();
        assert_eq!(names, ["a/lora", "a/sft", "b/lora"]);
        assert_eq!((both.model.as_str(), both.interrupted), ("m, n", true));
        assert_eq!(both.runs[2].outcomes.as_deref(), Some("10"));
        let apart = Report::beside(reports(), false).unwrap();
        assert_eq!(apart.runs[2].outcomes, None);
        first.command = "c".to_owned();
        assert_eq!(
            Report::beside(vec![("a".to_owned(), first.clone())], true),
            Some(first)
        );
        assert_eq!(Report::beside(Vec::new(), true), None);
    }

    #[test]
    fn runs_on_fewer_images_stand_side_by_side_if_there_are_as_many_images() {
        let reports = |sizes: [Option<usize>; 2]| {
            let one = |per_class: Option<usize>| Report {
                few: per_class.map(|per_class| Few {
                    per_class,
                    folder: format!("few-{per_class}"),
                    runs: with_runs(&[("lora", 0, 0.3)]).runs,
                    failed: Vec::new(),
                    interrupted: false,
                }),
                ..with_runs(&[("lora", 0, 0.5)])
            };
            let named = ["a", "b"].map(str::to_owned).into_iter();
            let both = named.zip(sizes.map(one)).collect();
            Report::beside(both, true).unwrap()
        };
        let few = reports([Some(25), Some(25)]).few.unwrap();
        let names: Vec<&str> = few.runs.iter().map(|run| run.method.as_str()).collect();
        assert_eq!(
            (names.as_slice(), few.per_class),
            (&["a/lora", "b/lora"][..], 25)
        );
        for sizes in [[Some(25), Some(10)], [Some(25), None], [None, Some(25)]] {
            assert_eq!(reports(sizes).few, None);
        }
    }
}
