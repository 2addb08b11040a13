//! Tables of networks, and what is built from them.

use finetune_kernels::norm::Activation;

use crate::networks::blocks::{BATCH_NORM_EPSILON, Padding};

/// A network of inverted residual blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Design {
    /// Rows of blocks, in stages as timm divides them. Numbers of channels and blocks are those before
    /// scaling.
    pub(super) stages: &'static [&'static [Row]],
    /// What the numbers of channels of the blocks are multiplied by.
    pub(super) width: f64,
    /// What the numbers of blocks are multiplied by.
    pub(super) depth: f64,
    /// Whether the first and the last stage keep their number of blocks.
    pub(super) fixed_ends: bool,
    /// The share of a number of channels that is left at least when it is rounded: see [`rounded`].
    pub(super) least: f64,
    /// Channels of the stem.
    pub(super) stem: usize,
    /// Channels of the 1×1 convolution after the blocks; 0 if there is none.
    pub(super) last: usize,
    /// The layer between the mean over the positions and the head.
    pub(super) hidden: Option<Hidden>,
    pub(super) squeeze: Squeeze,
    /// The activation of the layers that have no other.
    pub(super) activation: Activation,
    pub(super) padding: Padding,
    /// Added to the variance in the normalisations.
    pub(super) epsilon: f64,
}

/// A row of a table: equal blocks, of which the first may have a stride.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) kind: Kind,
    /// Stride of the first block.
    pub(super) stride: usize,
    /// Outputs.
    pub(super) channels: usize,
    pub(super) blocks: usize,
    /// Whether the blocks have squeeze and excitation.
    pub(super) squeeze: bool,
    /// The activation, if it is not that of the network.
    pub(super) activation: Option<Activation>,
}

/// The layers of a block, apart from squeeze and excitation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A depthwise convolution and a projection.
    Separable { kernel: usize },
    /// The same with an activation after the projection, and never a residual: MobileNetV1.
    Activated { kernel: usize },
    /// An expansion, a depthwise convolution and a projection.
    Inverted { expansion: f64, kernel: usize },
    /// An expansion with a larger kernel and a projection: the fused block of EfficientNetV2 (Tan and Le
    /// 2021, arXiv:2104.00298, figure 2).
    Fused { expansion: f64, kernel: usize },
    /// One convolution, whose result may be added to its input.
    Plain { kernel: usize, residual: bool },
    /// A depthwise convolution without an activation, an expansion, another depthwise convolution and a
    /// projection: the universal inverted bottleneck of MobileNetV4. A depthwise convolution with kernel 0
    /// is left out.
    Universal {
        before: usize,
        expansion: f64,
        kernel: usize,
    },
}

/// How squeeze and excitation is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Squeeze {
    /// As in EfficientNet: to a quarter of the inputs of the block, with its activation, and a sigmoid.
    Inputs,
    /// As in MobileNetV3: to a quarter of the expanded channels, with a ReLU, and a hard sigmoid.
    Expanded,
}

/// The layer between the mean over the positions and the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// A Linear layer with this many outputs.
    Linear(usize),
    /// The same, stored as a 1×1 convolution.
    Conv(usize),
    /// A 1×1 convolution and a batch normalisation.
    ConvNorm(usize),
}

impl Row {
    const fn new(kind: Kind, stride: usize, channels: usize, blocks: usize) -> Self {
        Self {
            kind,
            stride,
            channels,
            blocks,
            squeeze: false,
            activation: None,
        }
    }

    pub(super) const fn squeezed(self) -> Self {
        Self {
            squeeze: true,
            ..self
        }
    }

    pub(super) const fn with(self, activation: Activation) -> Self {
        Self {
            activation: Some(activation),
            ..self
        }
    }

    /// The first block halves the size of its input.
    pub(super) const fn halving(self) -> Self {
        Self { stride: 2, ..self }
    }
}

/// Blocks of MobileNetV1.
pub(super) const fn activated(kernel: usize, stride: usize, channels: usize, blocks: usize) -> Row {
    Row::new(Kind::Activated { kernel }, stride, channels, blocks)
}

/// A block without an expansion.
pub(super) const fn separable(kernel: usize, stride: usize, channels: usize) -> Row {
    Row::new(Kind::Separable { kernel }, stride, channels, 1)
}

/// A row of the table of MobileNetV2: expansion, kernel, stride, outputs and number of blocks.
pub(super) const fn inverted(
    expansion: f64,
    kernel: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
) -> Row {
    Row::new(
        Kind::Inverted { expansion, kernel },
        stride,
        channels,
        blocks,
    )
}

/// The same with fused blocks.
pub(super) const fn fused(
    expansion: f64,
    kernel: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
) -> Row {
    Row::new(Kind::Fused { expansion, kernel }, stride, channels, blocks)
}

/// Single convolutions without a residual.
pub(super) const fn plain(kernel: usize, stride: usize, channels: usize, blocks: usize) -> Row {
    let residual = false;
    Row::new(Kind::Plain { kernel, residual }, stride, channels, blocks)
}

/// Single convolutions whose results are added to their inputs.
pub(super) const fn plain_residual(kernel: usize, channels: usize, blocks: usize) -> Row {
    let residual = true;
    Row::new(Kind::Plain { kernel, residual }, 1, channels, blocks)
}

/// Universal inverted bottlenecks: the kernels of their two depthwise convolutions, 0 for none.
pub(super) const fn universal(
    [before, kernel]: [usize; 2],
    expansion: f64,
    channels: usize,
    blocks: usize,
) -> Row {
    let kind = Kind::Universal {
        before,
        expansion,
        kernel,
    };
    Row::new(kind, 1, channels, blocks)
}

/// Numbers of channels of a network of another width: multiples of 8, see [`rounded`].
pub(super) const fn scaled(channels: usize, width: f64) -> usize {
    rounded(channels, width, 0.9)
}

/// `channels · factor`, rounded to a multiple of 8; upwards if less than the share `least` of it would be
/// left (`make_divisible` in the code that was published with MobileNetV2, and in both libraries).
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(super) const fn rounded(channels: usize, factor: f64, least: f64) -> usize {
    let exact = channels as f64 * factor;
    let nearest = (exact + 4.0) as usize / 8 * 8;
    let nearest = if nearest < 8 { 8 } else { nearest };
    if (nearest as f64) < least * exact {
        nearest + 8
    } else {
        nearest
    }
}

/// A block to be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) row: Row,
    /// Its stage, and its index in it.
    pub(super) place: (usize, usize),
    pub(super) inputs: usize,
    pub(super) stride: usize,
    pub(super) outputs: usize,
}

impl Plan {
    /// The channels between expansion and projection.
    pub(super) fn wide(&self) -> usize {
        match self.row.kind {
            Kind::Separable { .. } | Kind::Activated { .. } => self.inputs,
            Kind::Inverted { expansion, .. }
            | Kind::Fused { expansion, .. }
            | Kind::Universal { expansion, .. } => scaled(self.inputs, expansion),
            Kind::Plain { .. } => self.outputs,
        }
    }

    /// Whether the result is added to the input.
    pub(super) fn is_residual(&self) -> bool {
        let allowed = match self.row.kind {
            Kind::Activated { .. } => false,
            Kind::Plain { residual, .. } => residual,
            _ => true,
        };
        allowed && self.stride == 1 && self.inputs == self.outputs
    }
}

impl Design {
    /// The design of MobileNetV2, on which the others are based.
    pub(super) const BASE: Self = Self {
        stages: &[],
        width: 1.0,
        depth: 1.0,
        fixed_ends: false,
        least: 0.9,
        stem: 32,
        last: 1280,
        hidden: None,
        squeeze: Squeeze::Inputs,
        activation: Activation::Relu6,
        padding: Padding::Symmetric,
        epsilon: BATCH_NORM_EPSILON,
    };

    /// The same network as it was trained with `TensorFlow`: padding and normalisations are its.
    pub(super) const fn of_tensorflow(self) -> Self {
        Self {
            padding: Padding::Same,
            epsilon: 1e-3,
            ..self
        }
    }

    /// The blocks, in order.
    pub(super) fn plans(&self) -> Vec<Plan> {
        let mut inputs = self.stem;
        let mut plans = Vec::new();
        for (stage, rows) in self.stages.iter().enumerate() {
            let fixed = self.fixed_ends && (stage == 0 || stage + 1 == self.stages.len());
            let mut index = 0;
            for row in *rows {
                let outputs = rounded(row.channels, self.width, self.least);
                for number in 0..self.depth_of(row, fixed) {
                    plans.push(Plan {
                        row: *row,
                        place: (stage, index),
                        inputs,
                        stride: if number == 0 { row.stride } else { 1 },
                        outputs,
                    });
                    index += 1;
                    inputs = outputs;
                }
            }
        }
        plans
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn depth_of(&self, row: &Row, fixed: bool) -> usize {
        if fixed {
            row.blocks
        } else {
            (row.blocks as f64 * self.depth).ceil() as usize
        }
    }
}

impl Hidden {
    pub(super) fn outputs(self) -> usize {
        let (Self::Linear(outputs) | Self::Conv(outputs) | Self::ConvNorm(outputs)) = self;
        outputs
    }
}
