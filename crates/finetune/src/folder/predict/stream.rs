//! Predictions for many images: threads decode ahead of the batch that is computed.

use std::collections::VecDeque;
use std::iter::Enumerate;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::paths::{BadInput, Input};
use super::predictor::{Answer, Answering, Predictor, Prepared};
use crate::error::Error;

/// How long a batch that is not full waits for the next image before it is computed: the paths may come
/// from a program that finds them one by one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the images of a stream are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streaming {
    /// What is computed for an image.
    pub answering: Answering,
    /// The most images that are computed as one batch.
    pub batch_size: usize,
    /// The number of threads that decode; `None` is one per thread that computes.
    pub workers: Option<usize>,
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            answering: Answering::default(),
            batch_size: 32,
            workers: None,
        }
    }
}

/// An image and what is known about it, or why it cannot be used.
#[derive(Debug)]
pub struct Predicted {
    /// Its path.
    pub path: PathBuf,
    /// What is known about it.
    pub outcome: Result<Answer, Error>,
}

impl Predictor {
    /// Tells `each` the answers for images, in the order of their paths, until it breaks off. An image that
    /// cannot be used does not concern the others.
    ///
    /// Memory does not grow with the number of images: threads decode the images of two batches ahead and
    /// then wait. `inputs` is asked for paths by one of these threads at a time.
    pub fn stream(
        &self,
        inputs: &mut (dyn Iterator<Item = Input> + Send),
        streaming: Streaming,
        each: &mut dyn FnMut(Predicted) -> ControlFlow<()>,
    ) {
        let workers = streaming.workers.unwrap_or_else(rayon::current_num_threads);
        let batch_size = streaming.batch_size.max(1);
        let workers = workers.max(1);
        let queue = Queue {
            places: Mutex::new(Places {
                free: 2 * batch_size + workers,
                ended: false,
            }),
            freed: Condvar::new(),
            inputs: Mutex::new(inputs.enumerate()),
        };
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            let mut started = 0;
            for number in 0..workers {
                let (queue, sender) = (&queue, sender.clone());
                let thread = std::thread::Builder::new().name(format!("images {number}"));
                let spawned = thread.spawn_scoped(scope, move || queue.decode(self, &sender));
                started += usize::from(spawned.is_ok());
            }
            if started == 0 {
                // The system gives no threads: all images come first, and then the answers.
                queue.lock().free = usize::MAX;
                queue.decode(self, &sender);
            }
            drop(sender);
            // However this ends, the threads must not wait for a place any more.
            let _end = End(&queue);
            self.collect(&queue, &receiver, streaming, each);
        });
    }

    /// Puts decoded images into order and computes them in batches.
    fn collect(
        &self,
        queue: &Queue<'_>,
        receiver: &Receiver<Decoded>,
        streaming: Streaming,
        each: &mut dyn FnMut(Predicted) -> ControlFlow<()>,
    ) {
        let mut order = InOrder::default();
        let mut batch: Vec<Image> = Vec::new();
        loop {
            let full = batch.len() >= streaming.batch_size.max(1);
            if !full && let Some(image) = order.pop() {
                batch.push(image);
                continue;
            }
            let mut over = false;
            if !full {
                let next = if batch.is_empty() {
                    receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    receiver.recv_timeout(PATIENCE)
                };
                match next {
                    Ok(decoded) => {
                        order.push(decoded);
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => over = true,
                }
            }
            let count = batch.len();
            for predicted in self.answers(std::mem::take(&mut batch), streaming.answering) {
                if each(predicted).is_break() {
                    return;
                }
            }
            queue.free(count);
            if over {
                return;
            }
        }
    }

    fn answers(
        &self,
        batch: Vec<Image>,
        answering: Answering,
    ) -> impl Iterator<Item = Predicted> + use<> {
        let mut usable = Vec::new();
        let mut waiting = Vec::new();
        for Image { path, outcome } in batch {
            let outcome = outcome.map(|prepared| usable.push(prepared));
            waiting.push((path, outcome));
        }
        let mut answers = self.predict(&usable, answering).into_iter();
        waiting.into_iter().filter_map(move |(path, outcome)| {
            let outcome = match outcome {
                // There is one for each.
                Ok(()) => Ok(answers.next()?),
                Err(error) => Err(error),
            };
            Some(Predicted { path, outcome })
        })
    }
}

/// An image that is decoded and resized, or why it cannot be used.
struct Image {
    path: PathBuf,
    outcome: Result<Prepared, Error>,
}

/// An image and its number in the order of the paths.
type Decoded = (usize, Image);

/// The paths that threads take images from.
struct Queue<'a> {
    places: Mutex<Places>,
    /// Places are free again, or nobody waits for images any more.
    freed: Condvar,
    /// Not locked together with the places: the next path may be long in coming.
    inputs: Mutex<Enumerate<&'a mut (dyn Iterator<Item = Input> + Send)>>,
}

struct Places {
    /// How many more images may be decoded before others are answered.
    free: usize,
    /// Whether there are no more paths, or nobody waits for images any more.
    ended: bool,
}

/// Ends a queue when it is dropped.
struct End<'a, 'b>(&'a Queue<'b>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.freed.notify_all();
    }
}

impl Queue<'_> {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes images until there are no more.
    fn decode(&self, predictor: &Predictor, sender: &Sender<Decoded>) {
        // A thread that panics takes an image with it, for which the others would wait.
        let end = EndOnPanic(self);
        while let Some((number, input)) = self.take() {
            let image = match input {
                Ok(path) => Image {
                    outcome: predictor.read(&path),
                    path,
                },
                Err(BadInput { path, error }) => Image {
                    path,
                    outcome: Err(*error),
                },
            };
            if sender.send((number, image)).is_err() {
                break;
            }
        }
        drop(end);
    }

    /// The next path and its number, as soon as there is a place for its image.
    fn take(&self) -> Option<(usize, Input)> {
        let mut places = self.lock();
        while places.free == 0 && !places.ended {
            let waited = self.freed.wait(places);
            places = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if places.ended {
            return None;
        }
        places.free -= 1;
        drop(places);
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let next = inputs.next();
        if next.is_none() {
            drop(End(self));
        }
        next
    }

    fn free(&self, places: usize) {
        let mut state = self.lock();
        state.free = state.free.saturating_add(places);
        self.freed.notify_all();
    }
}

/// Ends a queue if its thread panics.
struct EndOnPanic<'a, 'b>(&'a Queue<'b>);

impl Drop for EndOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(End(self.0));
        }
    }
}

/// Images that came in any order, in the order of their numbers.
#[derive(Default)]
struct InOrder {
    /// The number of the first of these images.
    next: usize,
    waiting: VecDeque<Option<Image>>,
}

impl InOrder {
    fn push(&mut self, (number, image): Decoded) {
        let at = number - self.next;
        if self.waiting.len() <= at {
            self.waiting.resize_with(at + 1, || None);
        }
        self.waiting[at] = Some(image);
    }

    /// The next image, if it has come.
    fn pop(&mut self) -> Option<Image> {
        let image = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.next += 1;
        Some(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_come_in_any_order_are_put_into_that_of_their_numbers() {
        let image = |number: usize| Image {
            path: PathBuf::from(number.to_string()),
            outcome: Err(Error::NoRuns),
        };
        let mut order = InOrder::default();
        let mut out = Vec::new();
        for number in [2, 0, 1, 5, 3, 4] {
            order.push((number, image(number)));
            while let Some(image) = order.pop() {
                out.push(image.path.to_str().unwrap().to_owned());
            }
            assert!(order.waiting.len() <= 3);
        }
        assert_eq!(out, ["0", "1", "2", "3", "4", "5"]);
    }
}
