//! What the flags say about this process, not about a run.

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::terminal::progress::Ui;

/// Where runs come from and go to, and how they are shown.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Folder for the results.
    pub out: Option<PathBuf>,
    /// Folder of an unfinished run or comparison that is to be resumed.
    pub resume: Option<PathBuf>,
    /// The `config.json` of finished runs that are to be repeated.
    pub config: Option<PathBuf>,
    /// Whether stdout is one JSON document.
    pub json: bool,
    /// How progress is shown, if not as the terminal suggests.
    pub ui: Option<Ui>,
    /// Number of classes (`inspect`).
    pub classes: usize,
}

impl Process {
    /// How progress is shown.
    #[must_use]
    pub fn ui(&self) -> Ui {
        let ui = self.ui.unwrap_or_else(Ui::fitting);
        // The dashboard draws on stdout, so it needs a terminal there.
        if ui == Ui::Tui && !std::io::stdout().is_terminal() {
            Ui::Plain
        } else {
            ui
        }
    }
}
