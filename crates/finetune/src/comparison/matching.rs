//! Which run of a report is which run of a plan.

use finetune_evaluation::{Failure, Report, Run};

use crate::config::RunConfig;
use crate::error::{Error, one_line};
use crate::folder::Plan;

/// Whether a run is one of that method and seed.
pub(super) fn is_of(run: &Run, config: &RunConfig) -> bool {
    (run.method.as_str(), run.seed) == (config.method_name(), config.seed)
}

/// Whether a run is among finished ones.
pub(super) fn is_done(runs: &[Run], config: &RunConfig) -> bool {
    runs.iter().any(|run| is_of(run, config))
}

/// What a report says of a run that failed.
pub(super) fn failure(config: &RunConfig, error: &Error) -> Failure {
    Failure {
        method: config.method_name().to_owned(),
        seed: config.seed,
        error: one_line(error),
    }
}

/// Puts the runs of a report in the order of the plan: they may have ended in another one.
pub(super) fn sort(report: &mut Report, plan: &Plan) {
    let place = |method: &str, seed: u64| {
        let mut runs = plan.runs.iter();
        runs.position(|run| (run.method_name(), run.seed) == (method, seed))
    };
    (report.runs).sort_by_key(|run| place(&run.method, run.seed));
    (report.failed).sort_by_key(|failure| place(&failure.method, failure.seed));
}
