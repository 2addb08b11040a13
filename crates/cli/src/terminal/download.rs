//! Files of the Hugging Face Hub: a bar on a terminal, a line otherwise, while they are downloaded.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use finetune::evaluation::format::bytes as size;
use finetune::weights::{OnProgress, Progress, Published, locate_telling, verified};

use super::bar::Bar;
use super::output::note;

/// The file that the name of weights stands for, downloaded if it is not here. If `sha256` is given, the
/// file must have it.
///
/// # Errors
///
/// There is no such file, it cannot be downloaded, or it has another SHA-256.
pub fn locate(name: &str, sha256: Option<&str>) -> Result<PathBuf> {
    Ok(locate_telling(name, sha256, Some(shown()))?)
}

/// The file of the weights that are published for a model, downloaded if it is not here.
///
/// # Errors
///
/// As [`locate`].
pub fn locate_published(
    published: &Published,
    model: &str,
    sha256: Option<&str>,
) -> Result<PathBuf> {
    Ok(verified(published.locate(model, Some(shown()))?, sha256)?)
}

/// Shows how far a download is.
fn shown() -> OnProgress {
    let on_terminal = std::io::stderr().is_terminal();
    let state = Mutex::new(State::default());
    OnProgress::new(move |progress| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.show(progress, on_terminal);
    })
}

/// What is shown.
#[derive(Default)]
struct State {
    file: String,
    bar: Option<Bar>,
}

impl State {
    fn show(&mut self, progress: &Progress, on_terminal: bool) {
        let Progress { file, bytes, of } = progress;
        if bytes >= of {
            self.bar = None;
            return;
        }
        let begins = self.file != *file;
        self.file.clone_from(file);
        if on_terminal {
            let bar = self.bar.get_or_insert_with(|| Bar::new("download", *of));
            let text = format!("{file}, {} of {}", size(*bytes), size(*of));
            bar.show(usize::try_from(*bytes).unwrap_or(usize::MAX), text);
        } else if begins {
            note(&format!("downloading {file} ({})", size(*of)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_there_while_a_file_grows() {
        let mut state = State::default();
        let progress = |bytes| Progress {
            file: "model.safetensors".to_owned(),
            bytes,
            of: 1000,
        };
        // A file that the cache has is complete at once.
        state.show(&progress(1000), true);
        assert!(state.bar.is_none());
        state.show(&progress(250), true);
        let bar = &state.bar.as_ref().unwrap().drawn;
        assert_eq!((bar.position(), bar.length()), (250, Some(1000)));
        assert!(bar.message().starts_with("model.safetensors, "));
        state.show(&progress(1000), true);
        assert!(state.bar.is_none());
    }
}
