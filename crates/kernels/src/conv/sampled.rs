//! `k × k` convolutions and the gradients of their inputs, without im2col.
//!
//! Both are sums over source channels and kernel elements of shifted source pixels. The lanes of a
//! vector are output channels, the value of a source pixel is broadcast, and its position is an
//! offset into the padded image ([`super::product`]). [`super::sums`] computes the sums.

use super::geometry::Geometry;

/// A kernel element, with the offset that it reads relative to the position of a grid pixel.
pub(crate) struct Tap {
    pub(crate) offset: [isize; 2],
    /// Index in the kernel.
    pub(crate) kernel: usize,
}

/// Output pixels with the same kernel elements.
pub(crate) struct Phase {
    /// Number of rows and columns of these pixels.
    pub(crate) grid: [usize; 2],
    /// Distance between them in the source, pixels.
    pub(crate) step: [usize; 2],
    /// Position of the first one in the output.
    pub(crate) start: [usize; 2],
    pub(crate) taps: Vec<Tap>,
}

/// A convolution as sums of shifted source pixels.
pub(crate) struct Sampled {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Number of channels that a group reads and writes.
    pub(crate) source_channels: usize,
    pub(crate) target_channels: usize,
    /// Sizes of the source and target images.
    pub(crate) source: [usize; 2],
    pub(crate) target: [usize; 2],
    /// Distance between the pixels of a phase in the output.
    pub(crate) spacing: [usize; 2],
    pub(crate) phases: Vec<Phase>,
    /// Distances between the weights of target channels, source channels and groups.
    pub(crate) weight_strides: WeightStrides,
}

pub(crate) struct WeightStrides {
    pub(crate) target: usize,
    pub(crate) source: usize,
    pub(crate) group: usize,
}

impl Sampled {
    /// The forward convolution: windows of the input.
    pub(crate) fn forward(g: &Geometry) -> Self {
        let offset = |axis: usize, element: usize| {
            (element * g.dilation[axis]).cast_signed() - g.padding[axis].cast_signed()
        };
        let taps = (0..g.taps())
            .map(|kernel| Tap {
                offset: [
                    offset(0, kernel / g.kernel[1]),
                    offset(1, kernel % g.kernel[1]),
                ],
                kernel,
            })
            .collect();
        Self {
            batch: g.batch,
            groups: g.groups,
            source_channels: g.group_in(),
            target_channels: g.group_out(),
            source: g.input,
            target: g.output,
            spacing: [1, 1],
            phases: vec![Phase {
                grid: g.output,
                step: g.stride,
                start: [0, 0],
                taps,
            }],
            weight_strides: WeightStrides {
                target: g.group_in() * g.taps(),
                source: g.taps(),
                group: g.group_out() * g.group_in() * g.taps(),
            },
        }
    }

    /// The gradient of the input: an input pixel collects the outputs whose windows contain it. The
    /// kernel elements depend on its row and column modulo the stride.
    pub(crate) fn input_grad(g: &Geometry) -> Self {
        // The output row whose window reads input row `start` with this kernel row, if there is
        // one.
        let offset = |axis: usize, start: usize, element: usize| {
            let distance = (start + g.padding[axis]).cast_signed()
                - (element * g.dilation[axis]).cast_signed();
            let stride = g.stride[axis].cast_signed();
            (distance % stride == 0).then_some(distance / stride)
        };
        let mut phases = Vec::new();
        for top in 0..g.stride[0].min(g.input[0]) {
            for left in 0..g.stride[1].min(g.input[1]) {
                let taps = (0..g.taps())
                    .filter_map(|kernel| {
                        let rows = offset(0, top, kernel / g.kernel[1])?;
                        let columns = offset(1, left, kernel % g.kernel[1])?;
                        Some(Tap {
                            offset: [rows, columns],
                            kernel,
                        })
                    })
                    .collect();
                phases.push(Phase {
                    grid: [
                        (g.input[0] - top).div_ceil(g.stride[0]),
                        (g.input[1] - left).div_ceil(g.stride[1]),
                    ],
                    step: [1, 1],
                    start: [top, left],
                    taps,
                });
            }
        }
        Self {
            batch: g.batch,
            groups: g.groups,
            source_channels: g.group_out(),
            target_channels: g.group_in(),
            source: g.output,
            target: g.input,
            spacing: g.stride,
            phases,
            weight_strides: WeightStrides {
                target: g.taps(),
                source: g.group_in() * g.taps(),
                group: g.group_out() * g.group_in() * g.taps(),
            },
        }
    }
}
