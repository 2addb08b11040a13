//! The network of the textbook chapter: a convolution and two fully connected layers.

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, activation::relu};
use finetune_data::{Filter, Normalization};
use finetune_kernels::pool::relu_max_pool2d;
use finetune_methods::{conv2d, linear};

use super::classifier::Classifier;
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, logits};

pub(super) const ARCHITECTURES: &[Entry<ChapterCnn>] = &[Entry {
    spec: Spec {
        name: "chapter",
        aliases: &[],
        image_size: ChapterCnn::SIDE,
        sizes: Sizes::Fixed,
        normalization: Normalization::HALF,
        filter: Filter::Bilinear,
        crop: 1.0,
        same_network_as: None,
        prefix_tokens: 0,
        head: "head",
        // Without the convolution, which has 27 inputs: an adapter of rank 8 has 728 parameters for its
        // 1728, and takes longer than the convolution itself.
        targets: "all-linear",
        blocks: None,
        drop_path: None,
        head_dropout: 0.0,
        init: Init::Torch,
        dialects: &[
            dialect("the chapter", with_flatten),
            dialect("the chapter", without_flatten),
        ],
    },
    build: |_, classes, device| ChapterCnn::new(classes, device),
}];

/// `Conv2d(3, 64, 3, 1, 1) → ReLU → MaxPool2d(2, 2) → Flatten → Linear(64·32·32, 1000) → ReLU →
/// Linear(1000, classes)` on 64×64 images.
///
/// In PyTorch it is an `nn.Sequential` with weights in `0`, `4` and `6`.
#[derive(Module, Debug)]
pub struct ChapterCnn {
    /// `0` of the sequence.
    pub conv: Conv2d,
    pool: MaxPool2d,
    /// `4` of the sequence.
    pub hidden: Linear,
    /// `6` of the sequence.
    pub head: Classifier,
}

impl ChapterCnn {
    /// Side of the images in pixels.
    pub const SIDE: usize = 64;

    /// A network with `classes` outputs.
    #[must_use]
    pub fn new(classes: usize, device: &Device) -> Self {
        let features = 64 * (Self::SIDE / 2) * (Self::SIDE / 2);
        Self {
            conv: Conv2dConfig::new([3, 64], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            hidden: LinearConfig::new(features, 1000).init(device),
            head: Classifier::new(1000, classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, 64, 64]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for ChapterCnn {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.head
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        vec![
            Stage::new(["conv"], |images| {
                let maps = relu_max_pool2d(&self.pool, conv2d(&self.conv, images));
                maps.flatten::<2>(1, 3)
            }),
            Stage::new(["hidden"], |x: Tensor<2>| relu(linear(&self.hidden, x))),
            Stage::new(["head"], |x: Tensor<2>| self.head.forward(x)),
        ]
    }
}

/// The names in the `nn.Sequential` of the chapter.
fn with_flatten(path: &str) -> String {
    renumbered(path, ["0", "4", "6"])
}

/// The names if the sequence has no `Flatten`.
fn without_flatten(path: &str) -> String {
    renumbered(path, ["0", "3", "5"])
}

fn renumbered(path: &str, [conv, hidden, head]: [&str; 3]) -> String {
    match path.split_once('.') {
        Some(("conv", rest)) => format!("{conv}.{rest}"),
        Some(("hidden", rest)) => format!("{hidden}.{rest}"),
        Some(("head", rest)) => format!("{head}.{rest}"),
        _ => path.to_owned(),
    }
}
