//! What times and memory mean, depending on how many runs were done at the same time.

use super::side_by_side::{Measured, SideBySide};
use crate::format::series;
use crate::statistics::summary::Summary;

/// Says what times and memory cannot be compared with; `None` if each run was done alone.
#[must_use]
pub fn measured(summaries: &[Summary]) -> Option<String> {
    match Measured::of(summaries.iter().flat_map(|one| &one.side_by_side)) {
        Measured::Alone => None,
        Measured::SideBySide(way) => Some(format!(
            "Times and memory were measured {}: they cannot be compared with those of a run alone.",
            described(Some(way))
        )),
        Measured::Differently => {
            let ways = summaries.iter().map(|one| {
                let ways = one.side_by_side.iter().map(|way| described(*way));
                format!("{} {}", one.method, series(&ways.collect::<Vec<_>>()))
            });
            Some(format!(
                "Times and memory were not measured alike and cannot be compared: {}.",
                ways.collect::<Vec<_>>().join("; ")
            ))
        }
    }
}

fn described(way: Option<SideBySide>) -> String {
    let Some(SideBySide { runs, threads }) = way else {
        return "alone".to_owned();
    };
    let plural = if threads == 1 { "" } else { "s" };
    format!("with up to {runs} runs at the same time, {threads} thread{plural} each")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;
    use crate::statistics::summary::summarize;

    const TWO: Option<SideBySide> = Some(SideBySide {
        runs: 2,
        threads: 1,
    });

    #[test]
    fn a_resumed_run_counts_the_most_runs_at_the_same_time() {
        let three = Some(SideBySide {
            runs: 3,
            threads: 2,
        });
        let both = Some(SideBySide {
            runs: 3,
            threads: 1,
        });
        assert_eq!(SideBySide::most(TWO, three), both);
        assert_eq!(SideBySide::most(three, TWO), both);
        assert_eq!(SideBySide::most(TWO, None), TWO);
        assert_eq!(SideBySide::most(None, TWO), TWO);
        assert_eq!(SideBySide::most(None, None), None);
    }

    #[test]
    fn runs_at_the_same_time_are_named() {
        let mut report = with_runs(&[("sft", 0, 0.5), ("lora", 0, 0.5), ("lora", 1, 0.5)]);
        assert_eq!(measured(&summarize(&report)), None);
        for run in &mut report.runs {
            run.side_by_side = TWO;
        }
        assert_eq!(
            measured(&summarize(&report)).unwrap(),
            "Times and memory were measured with up to 2 runs at the same time, 1 thread each: they \
             cannot be compared with those of a run alone."
        );
        report.runs[1].side_by_side = None;
        assert_eq!(
            measured(&summarize(&report)).unwrap(),
            "Times and memory were not measured alike and cannot be compared: sft with up to 2 runs at \
             the same time, 1 thread each; lora alone and with up to 2 runs at the same time, 1 thread \
             each."
        );
    }
}
