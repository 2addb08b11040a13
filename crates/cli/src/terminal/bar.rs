//! Progress bars.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt;

/// A bar of `length` parts with a title before it.
pub(super) fn new(title: &str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    // The message is cut where the terminal ends: a bar of two lines leaves remains behind.
    let template = "{prefix:>14} [{bar:20}] {percent:>3} % · {eta} left · {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.set_prefix(title.to_owned());
    interrupt::show_above(&bar);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
