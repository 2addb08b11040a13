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
    /// Whether all runs are done on fewer images as well; `None` is the default of the comparison.
    pub few: Option<Few>,
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

/// Whether runs are done on fewer images as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Few {
    /// They are not.
    Off,
    /// On so many training images per class.
    PerClass(usize),
}

impl Few {
    /// Reads what is typed: a number or `off`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "off" => Ok(Self::Off),
            number => match number.parse() {
                Ok(images) if images > 0 => Ok(Self::PerClass(images)),
                _ => Err("write a whole number, 1 or more, or off".to_owned()),
            },
        }
    }
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
