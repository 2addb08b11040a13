//! How a tensor `[batch, channels, …]` is shared out: whole channels to each task.
//!
//! A channel's statistics need all its values and so does its gradient; a task that owns the channel
//! reads them from memory once and from its cache afterwards.

#![allow(clippy::inline_always)] // or they are not compiled for the processor's instructions

use std::mem::MaybeUninit;
use std::ops::Range;

/// Most values that a kernel handles at once: 4 KiB, so that it and what belongs to it stay in the
/// first cache.
pub(super) const RUN: usize = 1024;

/// Fewest values of an image that a task takes, in whole channels.
const FEWEST: usize = RUN / 2;

/// Tasks of `step` channels each, the last of what is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    images: usize,
    channels: usize,
    /// Values of a channel of an image.
    area: usize,
    step: usize,
}

impl Blocks {
    /// Of a shape `[batch, channels, …]` without an axis of 0.
    pub(super) fn of(shape: &[usize]) -> Self {
        let area = shape[2..].iter().product::<usize>();
        Self {
            images: shape[0],
            channels: shape[1],
            area,
            step: FEWEST.div_ceil(area).min(shape[1]),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.channels.div_ceil(self.step)
    }

    pub(super) fn channels(&self, task: usize) -> Range<usize> {
        let start = task * self.step;
        start..(start + self.step).min(self.channels)
    }

    /// Values of a channel, over all images.
    pub(super) fn samples(&self) -> usize {
        self.images * self.area
    }

    /// How long the runs of a task are: its channels of one image, or a piece of its only channel.
    pub(super) fn run(&self, task: usize) -> usize {
        (self.channels(task).len() * self.area).min(RUN)
    }

    /// A task's values of each image.
    pub(super) fn rows<'a, T>(&self, data: &'a [T], task: usize) -> Vec<&'a [T]> {
        let Range { start, end } = self.channels(task);
        data.chunks_exact(self.channels * self.area)
            .map(|image| &image[start * self.area..end * self.area])
            .collect()
    }

    /// The same for all tasks, to be written to.
    pub(super) fn rows_mut<'a, T>(&self, data: &'a mut [T]) -> Vec<Vec<&'a mut [T]>> {
        let mut tasks: Vec<_> = (0..self.count())
            .map(|_| Vec::with_capacity(self.images))
            .collect();
        for image in data.chunks_exact_mut(self.channels * self.area) {
            let rows = image.chunks_mut(self.step * self.area);
            for (task, row) in tasks.iter_mut().zip(rows) {
                task.push(row);
            }
        }
        tasks
    }

    /// One value a channel, repeated for the values of a run of a task.
    pub(super) fn spread(&self, task: usize, values: &[f32]) -> Vec<f32> {
        let run = self.run(task);
        let mut spread = Vec::with_capacity(run);
        for value in &values[self.channels(task)] {
            spread.resize((spread.len() + self.area).min(run), *value);
        }
        spread
    }

    /// Sums of a task's channels from sums at each place of a run.
    pub(super) fn gather(&self, sums: &[f32]) -> Vec<f64> {
        // A run that is a piece of one channel is that channel's altogether.
        let area = self.area.min(sums.len());
        let sum = |channel: &[f32]| channel.iter().map(|sum| f64::from(*sum)).sum();
        sums.chunks(area).map(sum).collect()
    }
}

/// Values that are read and replaced: in their own buffer, or into a new one.
pub(super) enum Row<'a> {
    Own(&'a mut [f32]),
    New {
        from: &'a [f32],
        to: &'a mut [MaybeUninit<f32>],
    },
}

impl Row<'_> {
    /// The values that are there.
    #[inline(always)]
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Own(values) => values,
            Self::New { from, .. } => from,
        }
    }

    /// Replaces the values that start at a place.
    #[inline(always)]
    pub(super) fn put(&mut self, place: usize, made: &[f32]) {
        let places = place..place + made.len();
        match self {
            Self::Own(values) => values[places].copy_from_slice(made),
            Self::New { to, .. } => {
                to[places].write_copy_of_slice(made);
            }
        }
    }
}
