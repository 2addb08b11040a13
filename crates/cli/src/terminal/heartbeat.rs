//! A line now and then while nothing else is printed, so that a log shows that and how the command goes
//! on.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::output::note;

/// The longest time without a line: half a minute at most, with room for a busy machine.
const INTERVAL: Duration = Duration::from_secs(25);

/// Prints what goes on at intervals, until it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    state: Arc<Mutex<State>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    /// What goes on; empty if nothing is to be said.
    activity: String,
    /// Since when.
    since: Instant,
    /// When a line was printed last.
    printed: Instant,
}

impl Heartbeat {
    /// Starts with nothing to say. Lines begin with `title`.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self::every(INTERVAL, title, note)
    }

    fn every(interval: Duration, title: &str, print: impl Fn(&str) + Send + 'static) -> Self {
        let now = Instant::now();
        let state = Arc::new(Mutex::new(State {
            activity: String::new(),
            since: now,
            printed: now,
        }));
        let (stop, stopped) = channel();
        let (shared, title) = (Arc::clone(&state), title.to_owned());
        let thread = std::thread::Builder::new().spawn(move || {
            let mut wait = interval;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                let mut state = lock(&shared);
                let quiet = state.printed.elapsed();
                wait = interval.saturating_sub(quiet);
                if wait.is_zero() {
                    if !state.activity.is_empty() {
                        let seconds = state.since.elapsed().as_secs();
                        print(&format!("{title:>14} {}, {seconds} s", state.activity));
                    }
                    state.printed = Instant::now();
                    wait = interval;
                }
            }
        });
        Self {
            state,
            stop: Some(stop),
            // Without a thread there are fewer lines.
            thread: thread.ok(),
        }
    }

    /// What goes on from now on.
    pub fn does(&self, activity: impl Into<String>) {
        let mut state = lock(&self.state);
        state.activity = activity.into();
        state.since = Instant::now();
    }

    /// What still goes on, in other words.
    pub fn continues(&self, activity: impl Into<String>) {
        lock(&self.state).activity = activity.into();
    }

    /// Another line was printed.
    pub fn printed(&self) {
        lock(&self.state).printed = Instant::now();
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_printed_at_intervals_as_long_as_nothing_else_is() {
        let (sender, lines) = channel();
        let print = move |line: &str| sender.send(line.to_owned()).unwrap();
        let beat = Heartbeat::every(Duration::from_millis(200), "[1/2] lora", print);
        std::thread::sleep(Duration::from_millis(300));
        // There was nothing to say.
        assert!(lines.try_recv().is_err());
        beat.does("reads images");
        let line = lines.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(line, "    [1/2] lora reads images, 0 s");
        beat.continues("has read 3 images");
        let line = lines.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(
            line.starts_with("    [1/2] lora has read 3 images, "),
            "{line}"
        );
        for _ in 0..8 {
            beat.printed();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(lines.try_recv().is_err());
        drop(beat);
        assert!(lines.recv().is_err());
    }
}
