//! The shapes of residual networks.

/// The shape of a residual network: its stem, how many blocks its stages have, and which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) stem: Stem,
    /// Blocks per stage.
    pub(super) depths: [usize; 4],
    /// Whether blocks are bottlenecks (1×1, 3×3 and 1×1) or basic (two 3×3).
    bottleneck: bool,
    /// Channels between the convolutions of the blocks, per stage.
    widths: [usize; 4],
    /// Channels that the blocks return, per stage.
    outputs: [usize; 4],
    /// Groups of the 3×3 convolution of a bottleneck, per stage.
    groups: [usize; 4],
    /// Whether a shortcut takes means of 2×2 pixels before its projection, which has stride 1 then.
    averaged: bool,
    squeeze: Option<Squeeze>,
}

/// What comes before the stages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stem {
    /// A 7×7 convolution with stride 2 to 64 channels, and maximum pooling.
    Plain,
    /// Three 3×3 convolutions, the first with stride 2, to so many channels, and maximum pooling.
    Deep([usize; 3]),
    /// A 3×3 convolution with stride 2 to 32 channels. The first stage has stride 2 as well.
    Small,
}

/// Where a block has squeeze and excitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Squeeze {
    /// After all its convolutions, reduced to a sixteenth of their channels.
    Last,
    /// After the 3×3 convolution of a bottleneck, reduced to a quarter of the channels that come into the
    /// block.
    Middle,
}

/// The shape of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) inputs: usize,
    pub(super) stride: usize,
    pub(super) bottleneck: bool,
    pub(super) width: usize,
    pub(super) outputs: usize,
    pub(super) groups: usize,
    pub(super) averaged: bool,
    pub(super) squeeze: Option<Squeeze>,
}

impl Shape {
    /// Basic blocks: ResNet-18 and 34 (He et al. 2015, arXiv:1512.03385, table 1).
    pub(super) const fn basic(depths: [usize; 4]) -> Self {
        Self {
            stem: Stem::Plain,
            depths,
            bottleneck: false,
            widths: [64, 128, 256, 512],
            outputs: [64, 128, 256, 512],
            groups: [1; 4],
            averaged: false,
            squeeze: None,
        }
    }

    /// Bottlenecks: ResNet-50, 101 and 152 (table 1).
    pub(super) const fn bottleneck(depths: [usize; 4]) -> Self {
        Self {
            bottleneck: true,
            outputs: [256, 512, 1024, 2048],
            ..Self::basic(depths)
        }
    }

    /// Bottlenecks whose 3×3 convolution has `groups` groups of `width` channels in the first stage, and
    /// twice as many channels in each further stage: "`groups`×`width`d" (Xie et al. 2016,
    /// arXiv:1611.05431, table 1).
    pub(super) const fn grouped(self, groups: usize, width: usize) -> Self {
        let width = groups * width;
        Self {
            widths: [width, 2 * width, 4 * width, 8 * width],
            groups: [groups; 4],
            ..self
        }
    }

    /// With three 3×3 convolutions as the stem: ResNet-C of He et al. 2018 (arXiv:1812.01187, figure 2b).
    pub(super) const fn deep(self, channels: [usize; 3]) -> Self {
        Self {
            stem: Stem::Deep(channels),
            ..self
        }
    }

    /// With means before the projections of shortcuts: ResNet-D has this beside the deep stem (figure 2c).
    pub(super) const fn averaged(self) -> Self {
        Self {
            averaged: true,
            ..self
        }
    }

    /// With squeeze and excitation at the end of blocks: SE-ResNet (Hu et al. 2017, arXiv:1709.01507,
    /// table 1).
    pub(super) const fn squeezed(self) -> Self {
        Self {
            squeeze: Some(Squeeze::Last),
            ..self
        }
    }

    /// Bottlenecks of the same width throughout, with groups of `group_width` channels: `RegNet`X
    /// (Radosavovic et al. 2020, arXiv:2003.13678, section 5).
    pub(super) const fn regnet(depths: [usize; 4], widths: [usize; 4], group_width: usize) -> Self {
        let [first, second, third, fourth] = widths;
        Self {
            stem: Stem::Small,
            depths,
            bottleneck: true,
            widths,
            outputs: widths,
            groups: [
                first / group_width,
                second / group_width,
                third / group_width,
                fourth / group_width,
            ],
            averaged: false,
            squeeze: None,
        }
    }

    /// With squeeze and excitation after the 3×3 convolutions: `RegNet`Y (table 12).
    pub(super) const fn squeezed_in_middle(self) -> Self {
        Self {
            squeeze: Some(Squeeze::Middle),
            ..self
        }
    }

    /// The blocks of stage `index`.
    pub(super) fn stage(&self, index: usize) -> impl Iterator<Item = BlockShape> + use<> {
        let shape = *self;
        let before = match index.checked_sub(1) {
            Some(previous) => shape.outputs[previous],
            None => shape.stem.channels(),
        };
        let first = match (index, shape.stem) {
            (0, Stem::Plain | Stem::Deep(_)) => 1,
            _ => 2,
        };
        (0..shape.depths[index]).map(move |block| BlockShape {
            inputs: if block == 0 {
                before
            } else {
                shape.outputs[index]
            },
            stride: if block == 0 { first } else { 1 },
            bottleneck: shape.bottleneck,
            width: shape.widths[index],
            outputs: shape.outputs[index],
            groups: shape.groups[index],
            averaged: shape.averaged,
            squeeze: shape.squeeze,
        })
    }

    /// Channels of the last stage.
    pub(super) const fn features(&self) -> usize {
        self.outputs[3]
    }
}

impl Stem {
    /// Channels that it returns.
    pub(super) const fn channels(self) -> usize {
        match self {
            Self::Plain => 64,
            Self::Deep([_, _, last]) => last,
            Self::Small => 32,
        }
    }
}
