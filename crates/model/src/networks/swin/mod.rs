//! The Swin Transformer: Liu et al. 2021 (arXiv:2103.14030), and its second version: Liu et al. 2021
//! (arXiv:2111.09883).

mod block;
pub(super) mod first;
mod names;
mod norm;
mod position;
pub(super) mod second;
mod window;

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::ops::PadMode;
use finetune_methods::{conv2d, linear};

use self::block::{BlockSize, SwinBlock};
use self::norm::{layer_norm, normalized};
use super::classifier::Classifier;
use super::settings::{Setting, Settings};
use super::spec::{Entry, Spec};
use super::stages::{Stage, Staged, branching_blocks, logits, share};

/// Side of a patch in pixels.
const PATCH: usize = 4;

/// Tokens from patches, four stages, and a head on the mean of the tokens. Maps are
/// `[batch, height, width, channels]`.
#[derive(Module, Debug)]
pub struct Swin {
    patch_embed: Conv2d,
    patch_norm: LayerNorm,
    stages: Vec<SwinStage>,
    norm: LayerNorm,
    head: Classifier,
    #[module(skip)]
    size: SwinSize,
}

/// A downsampling that halves the size (not in the first stage), and blocks.
#[derive(Module, Debug)]
pub(crate) struct SwinStage {
    downsample: Option<PatchMerging>,
    blocks: Vec<SwinBlock>,
}

/// Makes one token of four neighbours.
#[derive(Module, Debug)]
pub(crate) struct PatchMerging {
    norm: LayerNorm,
    reduction: Linear,
    second: bool,
}

/// The size of a Swin Transformer.
#[derive(Debug, Clone, Copy)]
pub struct SwinSize {
    /// Number of channels of the first stage; each further stage has twice as many.
    pub width: usize,
    /// Number of blocks of each stage.
    pub depths: [usize; 4],
    /// Side of a window in tokens, of each stage.
    pub windows: [usize; 4],
    /// Side of the windows with which the second version was pretrained, in whose units it sees distances
    /// (Liu et al. 2021, arXiv:2111.09883, section 3.3).
    pub pretrained_windows: [usize; 4],
    /// Whether it is the second version: it normalises the results of layers, its attention compares
    /// directions, and a perceptron computes the bias of positions.
    pub second: bool,
}

/// A size with two blocks in all stages but the third, and the same windows in all stages.
const fn size(width: usize, long: usize, window: usize, second: bool) -> SwinSize {
    SwinSize {
        width,
        depths: [2, 2, long, 2],
        windows: [window; 4],
        pretrained_windows: [window; 4],
        second,
    }
}

/// An architecture of this [`size`].
const fn entry<const WIDTH: usize, const LONG: usize, const WINDOW: usize, const SECOND: bool>(
    spec: Spec,
) -> Entry<Swin> {
    Entry {
        spec,
        build: |_, classes, device| Swin::new(size(WIDTH, LONG, WINDOW, SECOND), classes, device),
    }
}

/// One of the second version whose last maps are half as large as the windows of the other stages. It was
/// pretrained with windows of `PRETRAINED` tokens.
const fn enlarged<
    const WIDTH: usize,
    const LONG: usize,
    const WINDOW: usize,
    const PRETRAINED: usize,
>(
    spec: Spec,
) -> Entry<Swin> {
    Entry {
        spec,
        build: |_, classes, device| {
            let size = SwinSize {
                windows: [WINDOW, WINDOW, WINDOW, WINDOW / 2],
                pretrained_windows: [PRETRAINED, PRETRAINED, PRETRAINED, PRETRAINED / 2],
                ..size(WIDTH, LONG, WINDOW, true)
            };
            Swin::new(size, classes, device)
        },
    }
}

impl Swin {
    /// A network with `classes` outputs.
    #[must_use]
    pub fn new(size: SwinSize, classes: usize, device: &Device) -> Self {
        let stages = (0..4).map(|index| {
            let width = size.width << index;
            let block = |number: usize| BlockSize {
                width,
                window: size.windows[index],
                pretrained_window: size.pretrained_windows[index],
                moved: number % 2 == 1,
                second: size.second,
            };
            SwinStage {
                downsample: (index > 0).then(|| PatchMerging::new(width, size.second, device)),
                blocks: (0..size.depths[index])
                    .map(|number| SwinBlock::new(block(number), device))
                    .collect(),
            }
        });
        let last = size.width << 3;
        Self {
            patch_embed: Conv2dConfig::new([3, size.width], [PATCH, PATCH])
                .with_stride([PATCH, PATCH])
                .init(device),
            patch_norm: layer_norm(size.width, device),
            stages: stages.collect(),
            norm: layer_norm(last, device),
            head: Classifier::new(last, classes, device),
            size,
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for Swin {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.head
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["patch_embed", "patch_norm"], |images| {
            let x = conv2d(&self.patch_embed, images).permute([0, 2, 3, 1]);
            normalized(&self.patch_norm, x)
        })];
        let blocks = self.stages.iter().map(|stage| stage.blocks.len());
        let last = blocks.sum::<usize>() - 1;
        let mut below = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(merging) = &stage.downsample {
                let path = format!("stages.{index}.downsample");
                stages.push(Stage::new([path.as_str()], |x| merging.forward(x)));
            }
            stages.extend(branching_blocks(
                &format!("stages.{index}.blocks"),
                &stage.blocks,
                move |index| share(below + index, last),
                SwinBlock::forward,
            ));
            below += stage.blocks.len();
        }
        stages.push(Stage::new(["norm"], |x: Tensor<4>| {
            normalized(&self.norm, x)
        }));
        stages.push(Stage::new([], |x: Tensor<4>| {
            let [batch, height, width, channels] = x.dims();
            x.reshape([batch, height * width, channels])
                .mean_dim(1)
                .reshape([batch, channels])
        }));
        stages.push(Stage::new(["head"], |x: Tensor<2>| self.head.forward(x)));
        stages
    }

    fn settings(&self) -> Settings {
        let SwinSize {
            width,
            depths,
            windows,
            pretrained_windows,
            second,
        } = self.size;
        let mut settings = vec![
            ("embed_dim", Setting::count(width)),
            ("depths", Setting::counts(&depths)),
            (
                "num_heads",
                Setting::counts(&[0, 1, 2, 3].map(|stage| block::heads(width << stage))),
            ),
            ("window_size", Setting::count(windows[0])),
            ("hidden_act", Setting::Word("gelu")),
        ];
        if second {
            // 0 stands for the window itself.
            let others = if pretrained_windows == windows {
                [0; 4]
            } else {
                pretrained_windows
            };
            settings.push(("pretrained_window_sizes", Setting::counts(&others)));
        }
        settings
    }
}

impl PatchMerging {
    /// From maps with half as many channels to `width`.
    fn new(width: usize, second: bool, device: &Device) -> Self {
        Self {
            norm: layer_norm(if second { width } else { 2 * width }, device),
            reduction: LinearConfig::new(2 * width, width)
                .with_bias(false)
                .init(device),
            second,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let mut x = x;
        if height % 2 + width % 2 > 0 {
            let missing = [(0, height % 2), (0, width % 2), (0, 0)];
            x = x.pad(missing, PadMode::Constant(0.0));
        }
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        // Of the four neighbours, those of the left column come first.
        let x = x
            .reshape([batch, rows, 2, columns, 2, channels])
            .permute([0, 1, 3, 4, 2, 5])
            .reshape([batch, rows, columns, 4 * channels]);
        if self.second {
            normalized(&self.norm, linear(&self.reduction, x))
        } else {
            linear(&self.reduction, normalized(&self.norm, x))
        }
    }
}
