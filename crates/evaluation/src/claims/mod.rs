//! What is commonly claimed of full fine-tuning, parameter-efficient fine-tuning and LoRA, judged by
//! measurements: comparisons of the same methods on training sets of several sizes.

mod judge;
mod page;

use serde::{Deserialize, Serialize};

use crate::report::{Report, Run};

pub use judge::judge;
pub use page::claims_page;

/// What measurements say about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It holds, by its rule.
    Confirmed,
    /// What it says is true, but less than it says.
    Partly,
    /// The opposite is shown.
    Refuted,
    /// The measurements do not decide.
    NotShown,
    /// A method or a number that it is about is missing.
    NotMeasured,
}

impl Judgement {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Partly => "partly",
            Self::Refuted => "refuted",
            Self::NotShown => "not shown",
            Self::NotMeasured => "not measured",
        }
    }
}

/// A claim, with what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What is claimed.
    pub claim: String,
    /// When it counts as confirmed, and when as refuted.
    pub rule: String,
    /// What was measured, a sentence each.
    pub found: Vec<String>,
    /// What that says about the claim.
    pub judgement: Judgement,
}

/// The runs of a method in a report, by their seeds.
fn runs<'a>(report: &'a Report, method: &str) -> Vec<&'a Run> {
    let runs = report.runs.iter();
    let mut runs: Vec<&Run> = runs
        .filter(|run| run.method == method && !run.stopped)
        .collect();
    runs.sort_by_key(|run| run.seed);
    runs
}

/// The number of training images of the largest class.
fn per_class(report: &Report) -> usize {
    let found = report
        .runs
        .iter()
        .filter_map(|run| run.train_per_class_found);
    found.max().unwrap_or(0)
}
