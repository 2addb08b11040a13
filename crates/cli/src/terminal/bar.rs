//! Progress bars. A run beside others has its bar drawn by the command that started it, because several
//! processes would draw over each other: it sends what the bar is to show as lines on stderr.

use std::fmt;
use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

/// All bars on the terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Whether another process draws the bars of this one.
static RELAYED: AtomicBool = AtomicBool::new(false);

/// Begins the lines that say what a bar shows. Text that is printed otherwise has no such character.
const MARK: char = '\u{1e}';

/// The shortest time between two of these lines.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a bar shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Parts that are done.
    pub position: u64,
    /// All parts; 0 if they cannot be counted.
    pub length: u64,
    /// The text behind it.
    pub message: String,
}

impl Shown {
    /// What a line says, if it is about a bar.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }

    /// Sends it to the process that draws the bars.
    fn send(&self) {
        let text = serde_json::to_string(self).unwrap_or_default();
        let _ = std::io::stderr().write_all(format!("{MARK}{text}\n").as_bytes());
    }
}

/// Sends what bars show to the process that started this one, from now on.
pub fn relay() {
    RELAYED.store(true, Ordering::Relaxed);
}

/// Whether another process draws the bars of this one.
#[must_use]
pub fn is_relayed() -> bool {
    RELAYED.load(Ordering::Relaxed)
}

/// Says in place of a relayed bar what goes on that has no bar.
pub fn does(activity: &str) {
    if is_relayed() {
        let message = activity.to_owned();
        let shown = Shown {
            message,
            ..Shown::default()
        };
        shown.send();
    }
}

/// Does something that prints, above all bars.
pub fn above(print: impl FnOnce()) {
    BARS.suspend(print);
}

/// A bar, which disappears when it is dropped.
pub struct Bar {
    pub(super) drawn: ProgressBar,
    sent: Option<Instant>,
}

impl Bar {
    /// A bar of `length` parts with a title before it.
    #[must_use]
    pub fn new(title: &str, length: u64) -> Self {
        let drawn = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        let drawn = if is_relayed() { drawn } else { BARS.add(drawn) };
        drawn.set_prefix(title.to_owned());
        let bar = Self { drawn, sent: None };
        bar.style(length);
        if !is_relayed() {
            bar.drawn.enable_steady_tick(Duration::from_millis(250));
        }
        bar
    }

    /// Shows how far it is.
    pub fn show(&mut self, position: usize, message: String) {
        self.drawn.set_position(position as u64);
        self.drawn.set_message(message);
        let due = self.sent.is_none_or(|sent| sent.elapsed() >= INTERVAL);
        if is_relayed() && due {
            let shown = Shown {
                position: self.drawn.position(),
                length: self.drawn.length().unwrap_or(0),
                message: self.drawn.message(),
            };
            shown.send();
            self.sent = Some(Instant::now());
        }
    }

    /// Shows what another process says of it.
    pub fn copy(&self, shown: Shown) {
        if self.drawn.length() != Some(shown.length) {
            // Something else is counted from now on, from which the time left follows.
            self.drawn.set_length(shown.length);
            self.style(shown.length);
            self.drawn.reset();
        }
        self.drawn.set_position(shown.position);
        self.drawn.set_message(shown.message);
    }

    fn style(&self, length: u64) {
        // The message is cut where the terminal ends: a bar of two lines leaves remains behind.
        let template = match length {
            0 => "{prefix:>14} {wide_msg}",
            _ => "{prefix:>14} [{bar:20}] {percent:>3} % · {eta} left · {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.drawn.set_style(style.progress_chars("━╸ "));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
        if !is_relayed() {
            BARS.remove(&self.drawn);
        }
    }
}

impl fmt::Debug for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Bar").field(&self.drawn).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_bar_is_told_from_others() {
        let shown = Shown {
            position: 3,
            length: 60,
            message: "epoch 1/12 · loss 0.693".to_owned(),
        };
        let line = format!("{MARK}{}", serde_json::to_string(&shown).unwrap());
        assert_eq!(Shown::parse(&line), Some(shown));
        for other in ["", "{}", "    [1/2] lora epoch 1/2", "\u{1e}", "\u{1e}note"] {
            assert_eq!(Shown::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_bar_shows_what_another_process_counts() {
        let bar = Bar::new("[1/2] lora", 0);
        let shown = |position, length| Shown {
            position,
            length,
            message: "decoded".to_owned(),
        };
        bar.copy(shown(5, 10));
        bar.copy(shown(2, 700));
        assert_eq!((bar.drawn.position(), bar.drawn.length()), (2, Some(700)));
        assert_eq!(bar.drawn.message(), "decoded");
    }
}
