//! The kernels on flex tensors.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::activation::{Activation, Curve, HardSwish, Identity, Relu, Relu6, Silu};
use super::blocks::{Blocks, Row};
use super::kernel::{Backward, Forward, Moments, Scaling, Slope, Sums};
use crate::lanes::widest;
use crate::memory::{are_f32, tensor, values, whole, written};

/// The effective parameters of a layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) gamma: FlexTensor,
    pub(super) beta: FlexTensor,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

/// The bits of every task, if the backward pass of the activation needs them.
pub(super) type Mask = Option<Arc<Vec<Vec<u32>>>>;

/// What the backward pass of a normalisation needs.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    scaling: Arc<Scaling>,
    /// `1/√(variance + ε)`.
    inverse: Arc<Vec<f32>>,
    /// The input, if its values are needed.
    pub(super) input: Option<FlexTensor>,
    mask: Mask,
    activation: Activation,
    of_batch: bool,
    /// Whether γ or β has a gradient.
    parameters: bool,
}

/// The result of a forward pass with the statistics of the batch.
pub(super) struct Normalized {
    pub(super) output: FlexTensor,
    pub(super) mean: FlexTensor,
    pub(super) variance: FlexTensor,
    pub(super) saved: Saved,
}

/// The result of a forward pass with given statistics.
pub(super) struct Scaled {
    pub(super) output: FlexTensor,
    pub(super) saved: Saved,
}

/// The gradients of a normalisation.
pub(super) struct Gradients {
    pub(super) input: FlexTensor,
    pub(super) gamma: FlexTensor,
    pub(super) beta: FlexTensor,
    /// The gradient of the residual, if there is one.
    pub(super) residual: Option<FlexTensor>,
}

/// Whether the kernels support these tensors.
pub(super) fn computes<'a>(
    x: &'a FlexTensor,
    channels: impl IntoIterator<Item = &'a FlexTensor>,
    residual: Option<&'a FlexTensor>,
) -> bool {
    let shape = x.layout().shape();
    shape.num_elements() > 0 && are_f32(channels.into_iter().chain([x]).chain(residual))
}

/// See [`NormBackend::normalized`](super::NormBackend::normalized).
pub(super) fn normalized(
    x: FlexTensor,
    layer: &Layer,
    residual: Option<FlexTensor>,
    tracked: bool,
) -> Normalized {
    let x = whole(x);
    let blocks = blocks(&x);
    let data = values(&x);
    let moments: Vec<(Vec<f32>, Vec<f32>)> = (0..blocks.count())
        .into_par_iter()
        .map(|task| {
            let rows = blocks.rows(data, task);
            widest(Moments {
                blocks,
                task,
                rows: &rows,
            })
        })
        .collect();
    let (mean, variance): (Vec<_>, Vec<_>) = moments.into_iter().unzip();
    let (mean, variance) = (mean.concat(), variance.concat());
    let (scaling, inverse) = layer.scaling(&mean, &variance);
    let mask = tracked && residual.is_some() && has_kink(layer.activation);
    let (output, mask) = forward(Source::Kept(&x), layer, residual, &scaling, mask);
    let channels = [mean.len()];
    Normalized {
        output,
        mean: tensor(mean, channels),
        variance: tensor(variance, channels),
        saved: Saved {
            scaling: Arc::new(scaling),
            inverse: Arc::new(inverse),
            input: Some(x),
            mask,
            activation: layer.activation,
            of_batch: true,
            parameters: true,
        },
    }
}

/// See [`NormBackend::scaled`](super::NormBackend::scaled).
///
/// `keep` says whether the backward pass needs the values of the input independently of the
/// activation.
pub(super) fn scaled(
    x: FlexTensor,
    layer: &Layer,
    [mean, variance]: [&FlexTensor; 2],
    residual: Option<FlexTensor>,
    keep: Keep,
) -> Scaled {
    let x = whole(x);
    let [mean, variance] = [mean, variance].map(|tensor| whole(tensor.clone()));
    let (scaling, inverse) = layer.scaling(values(&mean), values(&variance));
    let activation = layer.activation;
    let input = match keep {
        Keep::Nothing => None,
        Keep::Slope | Keep::Shift => activation.bends().then(|| x.clone()),
        Keep::Input => Some(x.clone()),
    };
    let again = input.is_some() && residual.is_none();
    let mask = keep != Keep::Nothing && has_kink(activation) && !again;
    let (output, mask) = forward(Source::Given(x), layer, residual, &scaling, mask);
    Scaled {
        output,
        saved: Saved {
            scaling: Arc::new(scaling),
            inverse: Arc::new(inverse),
            input,
            mask,
            activation,
            of_batch: false,
            parameters: matches!(keep, Keep::Shift | Keep::Input),
        },
    }
}

/// What the backward pass of a normalisation with given statistics needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing, because there is no backward pass.
    Nothing,
    /// The derivative of the activation.
    Slope,
    /// Also the sums for β.
    Shift,
    /// Also the input, for γ.
    Input,
}

fn has_kink(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Relu6)
}

impl Layer {
    /// The coefficients of `(x − mean)·scale + shift`, and `1/√(variance + ε)`.
    #[allow(clippy::cast_possible_truncation)]
    fn scaling(&self, mean: &[f32], variance: &[f32]) -> (Scaling, Vec<f32>) {
        let inverse: Vec<f32> = variance
            .iter()
            .map(|variance| (1.0 / (f64::from(*variance) + self.epsilon).sqrt()) as f32)
            .collect();
        let (gamma, beta) = (whole(self.gamma.clone()), whole(self.beta.clone()));
        let gamma = values(&gamma).iter();
        let scaling = Scaling {
            mean: mean.to_vec(),
            scale: gamma
                .zip(&inverse)
                .map(|(gamma, inverse)| gamma * inverse)
                .collect(),
            shift: values(&beta).to_vec(),
        };
        (scaling, inverse)
    }
}

fn blocks(x: &FlexTensor) -> Blocks {
    Blocks::of(&x.layout().shape()[..])
}

/// The input of a forward pass.
enum Source<'a> {
    /// The input is needed afterwards.
    Kept(&'a FlexTensor),
    /// The input is not needed afterwards: its buffer is used for the output if it has no other
    /// owner.
    Given(FlexTensor),
}

fn forward(
    source: Source<'_>,
    layer: &Layer,
    residual: Option<FlexTensor>,
    scaling: &Scaling,
    mask: bool,
) -> (FlexTensor, Mask) {
    let residual = residual.map(whole);
    let work = Work {
        residual: residual.as_ref().map(values),
        scaling,
        activation: layer.activation,
        mask,
    };
    let (output, bits) = match source {
        Source::Given(mut x) if x.is_unique() => {
            let blocks = blocks(&x);
            let rows = blocks.rows_mut(x.storage_mut::<f32>()).into_iter();
            let rows = rows.map(|rows| rows.into_iter().map(Row::Own).collect());
            let bits = work.run(blocks, rows.collect());
            (x, bits)
        }
        Source::Given(x) => into_new(&x, |blocks, rows| work.run(blocks, rows)),
        Source::Kept(x) => into_new(x, |blocks, rows| work.run(blocks, rows)),
    };
    (output, mask.then(|| Arc::new(bits)))
}

/// Writes the replaced values into a new buffer.
fn into_new<R>(
    x: &FlexTensor,
    work: impl FnOnce(Blocks, Vec<Vec<Row<'_>>>) -> R,
) -> (FlexTensor, R) {
    let blocks = blocks(x);
    let from = values(x);
    let mut result = None;
    // SAFETY: the rows of all tasks cover the buffer, and each task replaces all its rows.
    #[allow(unsafe_code)]
    let made = unsafe {
        written(from.len(), |places| {
            let rows = blocks.rows_mut(places).into_iter().enumerate();
            let rows = rows.map(|(task, to)| {
                let from = blocks.rows(from, task).into_iter();
                from.zip(to)
                    .map(|(from, to)| Row::New { from, to })
                    .collect()
            });
            result = Some(work(blocks, rows.collect()));
        })
    };
    let result = result.expect("`written` calls its argument");
    (tensor(made, x.layout().shape().clone()), result)
}

/// Data that all tasks of a forward pass share.
#[derive(Clone, Copy)]
struct Work<'a> {
    residual: Option<&'a [f32]>,
    scaling: &'a Scaling,
    activation: Activation,
    mask: bool,
}

impl Work<'_> {
    fn run(self, blocks: Blocks, rows: Vec<Vec<Row<'_>>>) -> Vec<Vec<u32>> {
        let tasks = rows.into_par_iter().enumerate();
        tasks
            .map(|(task, rows)| self.task(blocks, task, rows))
            .collect()
    }

    fn task(self, blocks: Blocks, task: usize, rows: Vec<Row<'_>>) -> Vec<u32> {
        match self.activation {
            Activation::Identity => self.curve(blocks, task, rows, Identity),
            Activation::Relu => self.curve(blocks, task, rows, Relu),
            Activation::Relu6 => self.curve(blocks, task, rows, Relu6),
            Activation::Silu => self.curve(blocks, task, rows, Silu),
            Activation::HardSwish => self.curve(blocks, task, rows, HardSwish),
        }
    }

    fn curve<C: Curve>(
        self,
        blocks: Blocks,
        task: usize,
        rows: Vec<Row<'_>>,
        curve: C,
    ) -> Vec<u32> {
        widest(Forward {
            blocks,
            task,
            rows,
            residual: self.residual.map(|residual| blocks.rows(residual, task)),
            scaling: self.scaling,
            curve,
            mask: self.mask,
        })
    }
}

/// Computes the gradients from that of the output.
///
/// `residual` says whether a residual has a gradient of its own.
pub(super) fn backward(saved: &Saved, gradient: FlexTensor, residual: bool) -> Gradients {
    let mut gradient = whole(gradient);
    let blocks = blocks(&gradient);
    let plain = saved.activation == Activation::Identity;
    // Without an activation, the gradient of the residual is that of the output.
    let same = (residual && plain).then(|| gradient.clone());
    let apart = residual && !plain;
    let shape = gradient.layout().shape().clone();
    let run = |rows: Vec<Vec<Row<'_>>>| {
        let rows = rows.into_iter();
        if !apart {
            let tasks = rows.map(|rows| (rows, None)).collect();
            return (saved.tasks(blocks, tasks), None);
        }
        let mut sums = Vec::new();
        // SAFETY: the rows of all tasks cover the buffer, and each task writes all its rows.
        #[allow(unsafe_code)]
        let made = unsafe {
            written(shape.num_elements(), |places| {
                let places = blocks.rows_mut(places).into_iter().map(Some);
                sums = saved.tasks(blocks, rows.zip(places).collect());
            })
        };
        (sums, Some(tensor(made, shape.clone())))
    };
    let (input, (sums, made)) = if gradient.is_unique() {
        let rows = blocks.rows_mut(gradient.storage_mut::<f32>());
        let rows = rows
            .into_iter()
            .map(|rows| rows.into_iter().map(Row::Own).collect());
        let done = run(rows.collect());
        (gradient, done)
    } else {
        into_new(&gradient, |_, rows| run(rows))
    };
    let (gamma, beta): (Vec<_>, Vec<_>) = sums
        .into_iter()
        .map(|sums| (sums.scale, sums.shift))
        .unzip();
    let (gamma, beta) = (gamma.concat(), beta.concat());
    let channels = [gamma.len()];
    Gradients {
        input,
        gamma: tensor(gamma, channels),
        beta: tensor(beta, channels),
        residual: same.or(made),
    }
}

/// The rows of the gradient of a task, and the rows for the gradient of its residual.
type BackwardRows<'a> = (Vec<Row<'a>>, Option<Vec<&'a mut [MaybeUninit<f32>]>>);

impl Saved {
    fn tasks(&self, blocks: Blocks, tasks: Vec<BackwardRows<'_>>) -> Vec<Sums> {
        let tasks = tasks.into_par_iter().enumerate();
        tasks
            .map(|(task, rows)| self.task(blocks, task, rows))
            .collect()
    }

    fn task(&self, blocks: Blocks, task: usize, rows: BackwardRows<'_>) -> Sums {
        match self.activation {
            Activation::Identity => self.curve(blocks, task, rows, Identity),
            Activation::Relu => self.curve(blocks, task, rows, Relu),
            Activation::Relu6 => self.curve(blocks, task, rows, Relu6),
            Activation::Silu => self.curve(blocks, task, rows, Silu),
            Activation::HardSwish => self.curve(blocks, task, rows, HardSwish),
        }
    }

    fn curve<C: Curve>(
        &self,
        blocks: Blocks,
        task: usize,
        (rows, residual): BackwardRows<'_>,
        curve: C,
    ) -> Sums {
        let slope = match (&self.mask, self.activation) {
            (_, Activation::Identity) => Slope::One,
            (Some(mask), _) => Slope::Mask(&mask[task]),
            (None, _) => Slope::Input,
        };
        let input = self.input.as_ref().map(values);
        widest(Backward {
            blocks,
            task,
            rows,
            input: input.map(|input| blocks.rows(input, task)),
            scaling: &self.scaling,
            inverse: &self.inverse,
            curve,
            slope,
            of_batch: self.of_batch,
            sums: self.of_batch || self.parameters,
            residual,
        })
    }
}
