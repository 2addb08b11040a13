//! Sizes of a convolution.

use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

/// What a two-dimensional convolution reads and writes; sizes are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Images.
    pub(crate) batch: usize,
    /// Channels of the input, of all groups.
    pub(crate) channels_in: usize,
    /// Channels of the output, of all groups.
    pub(crate) channels_out: usize,
    /// Size of the input.
    pub(crate) input: [usize; 2],
    /// Size of the output.
    pub(crate) output: [usize; 2],
    /// Size of the kernel.
    pub(crate) kernel: [usize; 2],
    /// Pixels from one window to the next.
    pub(crate) stride: [usize; 2],
    /// Zeros before the first row and column.
    pub(crate) padding: [usize; 2],
    /// Pixels from one kernel element to the next.
    pub(crate) dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub(crate) groups: usize,
}

impl Geometry {
    /// The convolution of an input and weights of these shapes; none where they do not fit, or
    /// where there is nothing to compute.
    pub(crate) fn new(input: &Shape, weight: &Shape, options: &ConvOptions<2>) -> Option<Self> {
        let [batch, channels_in, height, width] = input.dims();
        let [channels_out, group_in, kernel_height, kernel_width] = weight.dims();
        let (input, kernel) = ([height, width], [kernel_height, kernel_width]);
        let groups = options.groups;
        let sizes = [
            batch,
            channels_in,
            height,
            width,
            channels_out,
            kernel_height,
            kernel_width,
        ];
        let fits = channels_in == group_in * groups && channels_out % groups == 0;
        if !fits || sizes.contains(&0) {
            return None;
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            let (before, after) = options.padding[axis];
            let span = options.dilation[axis] * (kernel[axis] - 1) + 1;
            let room = (before + input[axis] + after).checked_sub(span)?;
            output[axis] = room / options.stride[axis] + 1;
        }
        Some(Self {
            batch,
            channels_in,
            channels_out,
            input,
            output,
            kernel,
            stride: options.stride,
            padding: options.padding.map(|(before, _)| before),
            dilation: options.dilation,
            groups,
        })
    }

    /// Input channels that an output channel sees.
    pub(crate) fn group_in(&self) -> usize {
        self.channels_in / self.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_out(&self) -> usize {
        self.channels_out / self.groups
    }

    /// Elements of the kernel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Values of an input image.
    pub(crate) fn image_in(&self) -> usize {
        self.channels_in * self.input[0] * self.input[1]
    }

    /// Values of an output image.
    pub(crate) fn image_out(&self) -> usize {
        self.channels_out * self.pixels_out()
    }

    /// Pixels of an input channel.
    pub(crate) fn pixels_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Pixels of an output channel.
    pub(crate) fn pixels_out(&self) -> usize {
        self.output[0] * self.output[1]
    }
}
