//! Divides a tensor `[batch, channels, …]` into tasks of whole channels.
//!
//! The statistics of a channel, and its gradient, depend on all its values. A task that owns the
//! channel reads them from memory once, and later from its cache.

#![allow(clippy::inline_always)] // so that they are compiled for the instruction set

use std::mem::MaybeUninit;
use std::ops::Range;

/// Maximum number of values that a kernel handles at once (4 KiB), so that they and what belongs to
/// them fit into the first-level cache.
pub(super) const RUN: usize = 1024;

/// Minimum number of values of an image per task, in whole channels.
const FEWEST: usize = RUN / 2;

/// Tasks of `step` channels each; the last one has the remaining channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    images: usize,
    channels: usize,
    /// Number of values of a channel of an image.
    area: usize,
    step: usize,
}

impl Blocks {
    /// The tasks for a shape `[batch, channels, …]` whose axes are not 0.
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

    /// Number of values of a channel, over all images.
    pub(super) fn samples(&self) -> usize {
        self.images * self.area
    }

    /// The length of the runs of a task: its channels of one image, or a piece of its only channel.
    pub(super) fn run(&self, task: usize) -> usize {
        (self.channels(task).len() * self.area).min(RUN)
    }

    /// The values of a task, one slice per image.
    pub(super) fn rows<'a, T>(&self, data: &'a [T], task: usize) -> Vec<&'a [T]> {
        let Range { start, end } = self.channels(task);
        data.chunks_exact(self.channels * self.area)
            .map(|image| &image[start * self.area..end * self.area])
            .collect()
    }

    /// The mutable values of all tasks, one slice per image.
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

    /// Repeats one value per channel for the values of a run of a task.
    pub(super) fn spread(&self, task: usize, values: &[f32]) -> Vec<f32> {
        let run = self.run(task);
        let mut spread = Vec::with_capacity(run);
        for value in &values[self.channels(task)] {
            spread.resize((spread.len() + self.area).min(run), *value);
        }
        spread
    }

    /// Sums for the channels of a task from sums for the positions of a run.
    pub(super) fn gather(&self, sums: &[f32]) -> Vec<f64> {
        // A run that is a piece of one channel belongs to that channel.
        let area = self.area.min(sums.len());
        let sum = |channel: &[f32]| channel.iter().map(|sum| f64::from(*sum)).sum();
        sums.chunks(area).map(sum).collect()
    }
}

/// Values that are read and replaced, in their own buffer or in a new one.
pub(super) enum Row<'a> {
    Own(&'a mut [f32]),
    New {
        from: &'a [f32],
        to: &'a mut [MaybeUninit<f32>],
    },
}

impl Row<'_> {
    /// The values before they are replaced.
    #[inline(always)]
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Own(values) => values,
            Self::New { from, .. } => from,
        }
    }

    /// Replaces the values from index `place` on.
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
