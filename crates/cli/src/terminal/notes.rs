//! What the library says while it runs, on stderr; and signals.

use std::path::{Path, PathBuf};

use finetune::Understood;
use finetune::folder::RunFolder;
use finetune::run::Phase;

use super::decoding::Decoding;
use super::heartbeat::Heartbeat;
use super::phase::{Phases, activity};
use super::progress::Ui;
use super::{interrupt, log, output, understood, width};

/// What the lines begin with.
const TITLE: &str = "start";

/// Prints notes and what was understood, and stops when the user presses Ctrl-C.
#[derive(Debug)]
pub struct Notes {
    ui: Ui,
    /// The log, which is opened when the runs begin.
    log: PathBuf,
    phases: Phases,
    decoding: Option<Decoding>,
    /// As long as this process works itself; runs print their own lines.
    heartbeat: Option<Heartbeat>,
    /// Whether what was understood has been said.
    said: bool,
}

impl Notes {
    /// Nothing is printed yet. Runs go into a folder, with a log of what is printed.
    #[must_use]
    pub fn new(ui: Ui, folder: &Path) -> Self {
        Self {
            ui,
            log: RunFolder::new(folder, false).log(),
            phases: Phases::new(TITLE),
            decoding: None,
            heartbeat: None,
            said: false,
        }
    }
}

impl finetune::training::Observer for Notes {}

impl finetune::Observer for Notes {
    fn note(&mut self, text: &str) {
        output::note(text);
    }

    fn on_understood(&mut self, understood: &Understood) {
        (self.decoding, self.heartbeat) = (None, None);
        let columns = width::of_text_on_stderr();
        // What follows are the same runs on fewer images.
        let lines = if self.said {
            understood::lines_of_fewer(understood, columns)
        } else {
            understood::lines(understood, columns)
        };
        self.said = true;
        for line in lines {
            output::note(&line);
        }
    }

    fn on_begin(&mut self) {
        log::open(&self.log);
        self.phases.end();
        interrupt::something_is_to_be_saved();
    }

    fn on_phase(&mut self, phase: Phase) {
        self.phases.begins(phase);
        let heartbeat = self.heartbeat.get_or_insert_with(|| Heartbeat::new(TITLE));
        heartbeat.does(activity(phase));
        let decodes = phase == Phase::Images;
        self.decoding = decodes.then(|| Decoding::new(TITLE, self.ui == Ui::Bar));
    }

    fn on_images(&mut self, decoded: usize, images: usize) {
        if let Some(decoding) = &mut self.decoding {
            decoding.show(decoded, images, self.heartbeat.as_ref());
        }
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
