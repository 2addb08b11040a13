//! `k × k` convolutions and their input gradients, without columns in memory.
//!
//! Both are sums over source channels and kernel elements of shifted source pixels. The output
//! channels are the lanes of the vectors, a pixel's value is spread over them, and where a pixel
//! lies is an offset into the padded image ([`super::product`]). [`super::sums`] computes them.

use super::geometry::Geometry;

/// A kernel element: where it reads, relative to a grid pixel's place in the source.
pub(super) struct Tap {
    pub(super) offset: [isize; 2],
    /// Its index in the kernel.
    pub(super) kernel: usize,
}

/// Output pixels that see the same kernel elements.
pub(super) struct Phase {
    /// Rows and columns of these pixels.
    pub(super) grid: [usize; 2],
    /// Source pixels from one to the next.
    pub(super) step: [usize; 2],
    /// Where the first one lies in the output.
    pub(super) start: [usize; 2],
    pub(super) taps: Vec<Tap>,
}

/// A sum of shifted source pixels.
pub(crate) struct Sampled {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels a group reads and writes.
    pub(super) source_channels: usize,
    pub(super) target_channels: usize,
    /// Sizes of the images read and written.
    pub(super) source: [usize; 2],
    pub(super) target: [usize; 2],
    /// Output pixels from one pixel of a phase to the next.
    pub(super) spacing: [usize; 2],
    pub(super) phases: Vec<Phase>,
    /// Weights from one target or source channel to the next, and to the next group.
    pub(super) weight_strides: WeightStrides,
}

pub(super) struct WeightStrides {
    pub(super) target: usize,
    pub(super) source: usize,
    pub(super) group: usize,
}

impl Sampled {
    /// The convolution itself: windows of the input.
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

    /// The gradient of the input: an input pixel collects the outputs whose windows saw it. Which
    /// kernel elements those are depends on its row and column modulo the stride.
    pub(crate) fn input_grad(g: &Geometry) -> Self {
        // The output row whose window has this kernel row on input row `start`, if one has.
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
