//! The sizes of a convolution.

use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

/// The shapes and options of a two-dimensional convolution; sizes are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Number of images.
    pub(crate) batch: usize,
    /// Number of input channels, over all groups.
    pub(crate) channels_in: usize,
    /// Number of output channels, over all groups.
    pub(crate) channels_out: usize,
    /// Size of the input.
    pub(crate) input: [usize; 2],
    /// Size of the output.
    pub(crate) output: [usize; 2],
    /// Size of the kernel.
    pub(crate) kernel: [usize; 2],
    /// Stride: distance between windows, pixels.
    pub(crate) stride: [usize; 2],
    /// Padding: zeros before the first row and column.
    pub(crate) padding: [usize; 2],
    /// Dilation: distance between kernel elements, pixels.
    pub(crate) dilation: [usize; 2],
    /// Number of groups.
    pub(crate) groups: usize,
}

impl Geometry {
    /// The geometry of a convolution with an input and a weight of these shapes; `None` if they do
    /// not match or if there is nothing to compute.
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

    /// Number of input channels per group.
    pub(crate) fn group_in(&self) -> usize {
        self.channels_in / self.groups
    }

    /// Number of output channels per group.
    pub(crate) fn group_out(&self) -> usize {
        self.channels_out / self.groups
    }

    /// Number of kernel elements.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Number of values of an input image.
    pub(crate) fn image_in(&self) -> usize {
        self.channels_in * self.input[0] * self.input[1]
    }

    /// Number of values of an output image.
    pub(crate) fn image_out(&self) -> usize {
        self.channels_out * self.pixels_out()
    }

    /// Number of pixels of an input channel.
    pub(crate) fn pixels_in(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Number of pixels of an output channel.
    pub(crate) fn pixels_out(&self) -> usize {
        self.output[0] * self.output[1]
    }
}
