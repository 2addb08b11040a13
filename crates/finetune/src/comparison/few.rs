//! The runs of a comparison on fewer images, as its report has them.

use std::collections::BTreeMap;
use std::path::Path;

use finetune_evaluation::{Few, Report, Run};

use super::matching::failure;
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::run::most_per_class;

/// The same runs with so many training images per class.
pub(super) fn on_fewer(runs: &[RunConfig], per_class: usize) -> Vec<RunConfig> {
    let mut runs = runs.to_vec();
    for run in &mut runs {
        run.data.train_per_class = Some(per_class);
    }
    runs
}

/// Why there is no comparison on so many training images per class, if there is none.
pub(super) fn too_many(per_class: usize, data: &Decoded) -> Option<String> {
    let most = most_per_class(&data.train).unwrap_or(0);
    (most <= per_class).then(|| {
        format!(
            "no comparison with fewer images: {per_class} per class are no fewer than there are, at most \
             {most}; --few N with a smaller number compares on them"
        )
    })
}

/// What a report says of the runs on fewer images, whose files are in `folder`.
pub(super) fn shortened(
    per_class: usize,
    folder: &Path,
    runs: &[RunConfig],
    outcome: Result<Report, Error>,
) -> Few {
    let name = folder.file_name().unwrap_or_default();
    let none = Few {
        per_class,
        folder: name.to_string_lossy().into_owned(),
        runs: Vec::new(),
        failed: Vec::new(),
        interrupted: false,
    };
    match outcome {
        Ok(report) => Few {
            runs: report.runs.into_iter().map(numbers).collect(),
            failed: report.failed,
            interrupted: report.interrupted,
            ..none
        },
        Err(Error::Stopped(_)) => Few {
            interrupted: true,
            ..none
        },
        Err(error) => Few {
            failed: runs.iter().map(|run| failure(run, &error)).collect(),
            ..none
        },
    }
}

/// A run without its pictures and files, which its own report has.
fn numbers(run: Run) -> Run {
    Run {
        mistakes: Vec::new(),
        augmented: Vec::new(),
        artifacts: Vec::new(),
        artifact_sha256: BTreeMap::new(),
        ..run
    }
}
