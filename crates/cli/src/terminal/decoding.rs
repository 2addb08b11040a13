//! How far decoding is: a bar on a terminal, the heartbeat's lines otherwise.

use std::time::{Duration, Instant};

use super::bar::Bar;
use super::heartbeat::Heartbeat;

/// How long decoding may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shows how many images are decoded.
#[derive(Debug)]
pub struct Decoding {
    title: String,
    on_terminal: bool,
    since: Instant,
    bar: Option<Bar>,
}

impl Decoding {
    /// Decoding that begins now, and is shown as `title`; as a bar if that `on_terminal` is possible.
    #[must_use]
    pub fn new(title: &str, on_terminal: bool) -> Self {
        Self {
            title: title.to_owned(),
            on_terminal,
            since: Instant::now(),
            bar: None,
        }
    }

    /// Shows that `decoded` of `images` are decoded.
    pub fn show(&mut self, decoded: usize, images: usize, heartbeat: Option<&Heartbeat>) {
        let text = format!("decoded {decoded} of {images} images");
        if self.on_terminal && decoded < images && self.since.elapsed() >= PATIENCE {
            let title = &self.title;
            let bar = (self.bar).get_or_insert_with(|| Bar::new(title, images as u64));
            bar.show(decoded, text.clone());
        }
        if decoded >= images {
            self.bar = None;
        }
        if let Some(heartbeat) = heartbeat {
            // A bar says it already.
            heartbeat.continues(if self.bar.is_some() {
                String::new()
            } else {
                text
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_appears_on_a_terminal_if_decoding_takes_long_and_disappears_at_its_end() {
        let long_ago = Instant::now().checked_sub(2 * PATIENCE).unwrap();
        let bar_of = |decoding: &Decoding| {
            let bar = &decoding.bar.as_ref()?.drawn;
            Some((bar.position(), bar.length().unwrap(), bar.message()))
        };
        let mut decoding = Decoding::new("start", true);
        decoding.show(128, 48_000, None);
        assert_eq!(bar_of(&decoding), None);
        decoding.since = long_ago;
        decoding.show(1200, 48_000, None);
        let text = "decoded 1200 of 48000 images".to_owned();
        assert_eq!(bar_of(&decoding), Some((1200, 48_000, text)));
        decoding.show(48_000, 48_000, None);
        assert_eq!(bar_of(&decoding), None);
        let mut in_a_log = Decoding::new("start", false);
        in_a_log.since = long_ago;
        in_a_log.show(1200, 48_000, None);
        assert_eq!(bar_of(&in_a_log), None);
    }
}
