//! What the flags say about this process, not about a run.

use std::path::PathBuf;

use finetune::evaluation::Prefer;

use crate::terminal::exit::Usage;
use crate::terminal::progress::Ui;

/// Where runs come from and go to, and how they are shown.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // independent flags
pub struct Process {
    /// Folder for the results.
    pub out: Option<PathBuf>,
    /// Whether this folder may hold files already.
    pub force: bool,
    /// Folder of an unfinished run or comparison that is to be resumed.
    pub resume: Option<PathBuf>,
    /// The `config.json` of finished runs that are to be repeated.
    pub config: Option<PathBuf>,
    /// Whether stdout is one JSON document.
    pub json: bool,
    /// Seconds that each run has.
    pub budget: Option<f64>,
    /// Number of candidates among which the settings of each method are chosen.
    pub tune: Option<usize>,
    /// Whether common claims are judged by comparisons on training sets of several sizes.
    pub claims: bool,
    /// Whether runs are only tried, to say how long they would take.
    pub dry_run: bool,
    /// Number of runs at the same time.
    pub jobs: Option<usize>,
    /// What counts besides accuracy for the recommendation; `None` is the default, or as before if a
    /// comparison is resumed.
    pub prefer: Option<Prefer>,
    /// How progress is shown, if not as the terminal suggests.
    pub ui: Option<Ui>,
    /// Number of classes (`inspect`).
    pub classes: usize,
}

impl Process {
    /// How progress is shown.
    ///
    /// # Errors
    ///
    /// It is a dashboard that is not built in.
    pub fn ui(&self) -> Result<Ui, Usage> {
        Ui::fitting(self.ui)
    }
}
