//! Several reports as one, so that runs of different commands stand side by side.

use std::collections::BTreeSet;

use super::json::Report;

impl Report {
    /// Puts the runs of reports side by side: each method gets the name of its report before its own,
    /// `first/lora`. `same_tests` says whether all reports are about the same test images; if they are
    /// not, differences between methods are not paired, and are left out.
    ///
    /// Failures are not taken over. A single report stays as it is.
    #[must_use]
    pub fn beside(mut reports: Vec<(String, Self)>, same_tests: bool) -> Option<Self> {
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
        for (name, report) in &mut reports {
            all.interrupted |= report.interrupted;
            for mut run in report.runs.drain(..) {
                run.method = format!("{name}/{}", run.method);
                if !same_tests {
                    run.outcomes = None;
                }
                all.runs.push(run);
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
}
