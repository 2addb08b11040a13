//! The batches of an epoch, each made while the one before it is in use.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use burn::tensor::Device;

use super::batch::{Batch, Epoch, fill};
use super::images::Images;
use super::order::{Order, Sampling, repeats};
use crate::augment::Augment;
use crate::error::DataError;
use crate::images::raster::Raster;
use crate::images::{Normalization, thumbnail};

/// Finished batches that may wait, besides the one that is being made.
const AHEAD: usize = 1;

/// An iterator over the batches of one epoch.
///
/// While a batch is in use, a thread reads, augments and normalises the images of the next ones with
/// the workers of the pipeline. The values of an image depend on the image, the order and the
/// augmentation, not on the number of workers, the cache or the batch size.
#[derive(Debug)]
pub struct Loader<'a> {
    images: &'a Images,
    batch_size: usize,
    epoch: Arc<Epoch>,
    next: usize,
    drop_last: bool,
    device: Device,
    ahead: Option<Ahead>,
}

/// The thread that makes batches.
#[derive(Debug)]
struct Ahead {
    receiver: Option<Receiver<Result<Vec<f32>, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Without a receiver the thread ends after the batch that it is making.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, the iterator has returned an error already.
            let _ = thread.join();
        }
    }
}

impl<'a> Loader<'a> {
    /// All images in batches of `batch_size` (at least 1), on the flex device, normalised to -1–1.
    #[must_use]
    pub fn new(images: &'a Images, batch_size: usize, order: Order) -> Self {
        let indices = order.indices(&images.labels, images.sampling);
        let epoch = Epoch {
            repeats: match images.sampling {
                Sampling::Balanced => repeats(&indices),
                Sampling::Shuffled => Vec::new(),
            },
            random: order.random(),
            ..Epoch::plain(indices, Normalization::HALF)
        };
        Self {
            images,
            batch_size: batch_size.max(1),
            epoch: Arc::new(epoch),
            next: 0,
            drop_last: false,
            device: Device::flex(),
            ahead: None,
        }
    }

    /// Sets the normalisation.
    #[must_use]
    pub fn normalization(mut self, normalization: Normalization) -> Self {
        Arc::make_mut(&mut self.epoch).normalization = normalization;
        self
    }

    /// Augments the images. This has an effect only in a shuffled order, whose seed and epoch the
    /// augmentation uses, or in a [`view`](Self::view).
    #[must_use]
    pub fn augment(mut self, augment: Augment) -> Self {
        Arc::make_mut(&mut self.epoch).augment = augment;
        self
    }

    /// Augments each image by a seed, the number of a view and the index of the image alone, in any
    /// order. So an image that comes again, in this epoch or another, is augmented the same way. The
    /// images look as in epoch `number` of a shuffled order with that seed, in which none comes twice.
    ///
    /// Which images are mixed with each other, and how, still depends on the order.
    #[must_use]
    pub fn view(mut self, seed: u64, number: usize) -> Self {
        Arc::make_mut(&mut self.epoch).view = Some((seed, number));
        self
    }

    /// Sets whether the last batch is left out if it is smaller than the others.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Starts after the first `batches` batches of the epoch, whose images are not read.
    #[must_use]
    pub fn skip_batches(mut self, batches: usize) -> Self {
        self.next = batches.saturating_mul(self.batch_size);
        self
    }

    /// Sets the device of the tensors.
    #[must_use]
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// Number of batches of the epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        let count = self.epoch.indices.len();
        if self.drop_last {
            count / self.batch_size
        } else {
            count.div_ceil(self.batch_size)
        }
    }

    /// Indices of the images in the order of the epoch.
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.epoch.indices
    }

    /// A small JPEG of an image as this epoch shows it, augmented and mixed, whose longer side is at most
    /// `side` pixels; `None` if the image does not come in this epoch. One that comes several times is
    /// shown as it comes first.
    ///
    /// # Errors
    ///
    /// The image cannot be read.
    pub fn thumbnail(&self, index: usize, side: usize) -> Result<Option<Vec<u8>>, DataError> {
        let mut positions = self.epoch.indices.iter();
        let Some(position) = positions.position(|other| *other == index) else {
            return Ok(None);
        };
        let values = fill(&self.images.reader, &self.epoch, position..position + 1)?;
        let image = Raster {
            height: self.images.height,
            width: self.images.width,
            pixels: self.epoch.normalization.bytes(&values),
        };
        let jpeg = thumbnail(&image, side).map_err(|reason| DataError::Image {
            name: format!("image {}", index + 1),
            reason,
        })?;
        Ok(Some(jpeg))
    }

    /// Indices of the images of the batches that are still to come.
    #[must_use]
    pub fn remaining(&self) -> &[usize] {
        let end = self.batches().saturating_mul(self.batch_size);
        let indices = &self.epoch.indices[..end.min(self.epoch.indices.len())];
        indices.get(self.next..).unwrap_or_default()
    }

    /// Starts the thread that makes the batches.
    fn start(&self) -> Result<Ahead, DataError> {
        let (sender, receiver) = sync_channel(AHEAD);
        let (reader, epoch) = (self.images.reader.clone(), Arc::clone(&self.epoch));
        let (batches, size) = (self.batches(), self.batch_size);
        let first = self.next / size;
        let work = move || {
            for batch in first..batches {
                let end = (batch * size + size).min(epoch.indices.len());
                let values = fill(&reader, &epoch, batch * size..end);
                let failed = values.is_err();
                if sender.send(values).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("batches".to_owned());
        let thread = thread
            .spawn(work)
            .map_err(|error| DataError::Workers(error.to_string()))?;
        Ok(Ahead {
            receiver: Some(receiver),
            thread: Some(thread),
        })
    }

    fn values(&mut self, end: usize) -> Result<Vec<f32>, DataError> {
        if self.batches() == 1 {
            return fill(&self.images.reader, &self.epoch, self.next..end);
        }
        if self.ahead.is_none() {
            self.ahead = Some(self.start()?);
        }
        let receiver = self
            .ahead
            .as_ref()
            .and_then(|ahead| ahead.receiver.as_ref());
        receiver
            .and_then(|receiver| receiver.recv().ok())
            .unwrap_or_else(|| Err(DataError::Workers("a thread ended early".to_owned())))
    }
}

impl Iterator for Loader<'_> {
    /// An image that cannot be read is an error, which ends the epoch.
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.epoch.indices.len();
        let end = (self.next + self.batch_size).min(count);
        if self.next >= count || (self.drop_last && end - self.next < self.batch_size) {
            return None;
        }
        let values = self.values(end);
        let positions = self.next..end;
        self.next = if values.is_ok() { end } else { count };
        let (epoch, device) = (&self.epoch, &self.device);
        Some(values.map(|values| self.images.tensors(values, epoch, positions, device)))
    }
}
