//! Convolutions of the same input, which differ in their output channels alone: what they read of the input is
//! arranged once for all of them.

use std::mem::MaybeUninit;

/// One of these convolutions; `shape` is how its kernel sees it.
pub(crate) struct Part<'a, 'o, S> {
    pub(crate) shape: S,
    pub(crate) weight: &'a [f32],
    /// `[channels out]`.
    pub(crate) bias: Option<&'a [f32]>,
    /// `[batch, channels out, height, width]`.
    pub(crate) out: &'o mut [MaybeUninit<f32>],
}

/// What all tasks read of a [`Part`].
#[derive(Debug)]
pub(super) struct Operand<'a, S> {
    pub(super) shape: &'a S,
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
}

impl<'a, 'o, S> Part<'a, 'o, S> {
    /// The same convolution as another kernel sees it.
    pub(super) fn seen<T>(self, shape: impl FnOnce(S) -> T) -> Part<'a, 'o, T> {
        Part {
            shape: shape(self.shape),
            weight: self.weight,
            bias: self.bias,
            out: self.out,
        }
    }

    /// What tasks read, and where they write.
    pub(super) fn split(&mut self) -> (Operand<'_, S>, &mut [MaybeUninit<f32>]) {
        let operand = Operand {
            shape: &self.shape,
            weight: self.weight,
            bias: self.bias,
        };
        (operand, self.out)
    }
}

/// Some images of the input, and the same images of each output.
pub(super) type Images<'a, 'o> = (&'a [f32], Vec<&'o mut [MaybeUninit<f32>]>);

/// Divides input and outputs into tasks of some images; each output has the number of its values in a task.
pub(super) fn by_images<'a, 'o>(
    source: &'a [f32],
    values: usize,
    outs: impl IntoIterator<Item = (usize, &'o mut [MaybeUninit<f32>])>,
) -> Vec<Images<'a, 'o>> {
    let mut tasks: Vec<Images<'a, 'o>> = source
        .chunks(values)
        .map(|source| (source, Vec::new()))
        .collect();
    for (values, out) in outs {
        for ((_, outs), chunk) in tasks.iter_mut().zip(out.chunks_mut(values)) {
            outs.push(chunk);
        }
    }
    tasks
}
