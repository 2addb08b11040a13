//! The Vision Transformer: Dosovitskiy et al. 2020 (arXiv:2010.11929), as in timm, DeiT and
//! torchvision.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::tokens::{attention, gelu};
use finetune_methods::{conv2d, linear, parallel, prompted};

use super::blocks::{layer_norm, normalized};
use super::init::Init;
use super::spec::{Blocks, Dialect, Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, branching_blocks, logits, share};
use super::stochastic_depth::StochasticDepth;

/// timm's and DeiT's networks, and torchvision's `vit_b_16`.
pub(super) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    tiny(VIT),
    small(Spec {
        name: "vit_small_patch16_224",
        ..VIT
    }),
    // The network of `vit_base_patch16_224` with other names and preprocessing. It comes first, so that
    // a file with torchvision's names is recognised as torchvision's.
    base(Spec {
        name: "vit_b_16",
        normalization: Normalization::IMAGENET,
        filter: Filter::Bilinear,
        crop: 0.875,
        dialects: &[TORCHVISION, TORCHVISION_OLD],
        ..VIT
    }),
    base(Spec {
        name: "vit_base_patch16_224",
        ..VIT
    }),
    tiny(deit("deit_tiny_patch16_224")),
    small(deit("deit_small_patch16_224")),
    base(deit("deit_base_patch16_224")),
];

const VIT: Spec = Spec {
    name: "vit_tiny_patch16_224",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::MultipleOf(PATCH),
    normalization: Normalization::HALF,
    filter: Filter::Bicubic,
    crop: 0.9,
    prefix_tokens: 1,
    head: "head",
    targets: "all-linear",
    blocks: Some(Blocks {
        attention: r"attn\.qkv\.",
        feed_forward: r"mlp\.fc1\.",
    }),
    drop_path: Some(0.0),
    head_dropout: 0.0,
    init: Init::Normal,
    dialects: &[dialect("timm", timm), TORCHVISION, TORCHVISION_OLD],
};

const TORCHVISION: Dialect = dialect("torchvision", torchvision);
const TORCHVISION_OLD: Dialect = dialect("torchvision", torchvision_old);

/// DeiT's networks are those of ViT, for images that are normalised like `ImageNet`'s.
const fn deit(name: &'static str) -> Spec {
    Spec {
        name,
        normalization: Normalization::IMAGENET,
        ..VIT
    }
}

const fn tiny(spec: Spec) -> Entry<VisionTransformer> {
    entry::<192, 3>(spec)
}

const fn small(spec: Spec) -> Entry<VisionTransformer> {
    entry::<384, 6>(spec)
}

const fn base(spec: Spec) -> Entry<VisionTransformer> {
    entry::<768, 12>(spec)
}

const fn entry<const WIDTH: usize, const HEADS: usize>(spec: Spec) -> Entry<VisionTransformer> {
    Entry {
        spec,
        build: |spec, classes, device| {
            let size = VitSize {
                width: WIDTH,
                depth: 12,
                heads: HEADS,
            };
            VisionTransformer::new(size, spec.image_size, classes, device)
        },
    }
}

/// Side of a patch in pixels.
const PATCH: usize = 16;

/// Tokens from patches, transformer blocks, and a head on the class token.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    patch_embed: Conv2d,
    /// `[1, 1, width]`.
    cls_token: Param<Tensor<3>>,
    /// `[1, 1 + patches, width]`; the first one is for the class token.
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: Linear,
}

/// Attention and a multilayer perceptron, each with a normalisation before it and a shortcut.
#[derive(Module, Debug)]
pub(crate) struct TransformerBlock {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

/// Multi-head self-attention, with one layer for queries, keys and values.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

/// A multilayer perceptron: two layers with a GELU between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

/// The size of a Vision Transformer.
#[derive(Debug, Clone, Copy)]
pub struct VitSize {
    /// Number of features of a token.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Number of heads of each attention.
    pub heads: usize,
}

impl VisionTransformer {
    /// A network for square images of `side` pixels, a multiple of 16, with `classes` outputs.
    #[must_use]
    pub fn new(shape: VitSize, side: usize, classes: usize, device: &Device) -> Self {
        let VitSize {
            width,
            depth,
            heads,
        } = shape;
        let patches = (side / PATCH) * (side / PATCH);
        Self {
            patch_embed: Conv2dConfig::new([3, width], [PATCH, PATCH])
                .with_stride([PATCH, PATCH])
                .init(device),
            cls_token: zeros([1, 1, width], device),
            pos_embed: zeros([1, 1 + patches, width], device),
            blocks: (0..depth)
                .map(|_| TransformerBlock {
                    norm1: layer_norm(width, device),
                    attn: Attention {
                        qkv: LinearConfig::new(width, 3 * width).init(device),
                        proj: LinearConfig::new(width, width).init(device),
                        heads,
                    },
                    norm2: layer_norm(width, device),
                    mlp: Mlp {
                        fc1: LinearConfig::new(width, 4 * width).init(device),
                        fc2: LinearConfig::new(4 * width, width).init(device),
                    },
                })
                .collect(),
            norm: layer_norm(width, device),
            head: LinearConfig::new(width, classes).init(device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, side, side]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }

    /// The class token and a token per patch, plus the position embedding.
    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let x = conv2d(&self.patch_embed, images);
        let [batch, width, rows, columns] = x.dims();
        let x = x.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let class = self.cls_token.val().repeat_dim(0, batch);
        Tensor::cat(vec![class, x], 1) + self.pos_embed.val()
    }
}

impl Staged for VisionTransformer {
    fn stages(&self) -> Vec<Stage<'_>> {
        let embedding = ["patch_embed", "cls_token", "pos_embed"];
        let mut stages = vec![Stage::new(embedding, |images| self.embed(images))];
        let last = self.blocks.len() - 1;
        stages.extend(branching_blocks(
            "blocks",
            &self.blocks,
            move |index| share(index, last),
            TransformerBlock::forward,
        ));
        // Only the class token is normalised: the others are not used, and each token is normalised alone.
        stages.push(Stage::new([], |tokens: Tensor<3>| {
            let [batch, _, width] = tokens.dims();
            tokens.narrow(1, 0, 1).reshape([batch, width])
        }));
        stages.push(Stage::new(["norm"], |x: Tensor<2>| {
            normalized(&self.norm, x)
        }));
        stages.push(Stage::new(["head"], |x: Tensor<2>| linear(&self.head, x)));
        stages
    }
}

impl TransformerBlock {
    fn forward(&self, x: Tensor<3>, depth: StochasticDepth<'_>) -> Tensor<3> {
        prompted(&self.attn.qkv, x, |x| {
            let y = self.attn.forward(normalized(&self.norm1, x.clone()));
            let x = x + depth.scaled(0, y);
            let fc1 = &self.mlp.fc1;
            let y = parallel(fc1, x.clone(), || {
                let y = linear(fc1, normalized(&self.norm2, x.clone()));
                linear(&self.mlp.fc2, gelu(y))
            });
            x + depth.scaled(1, y)
        })
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        linear(&self.proj, attention(linear(&self.qkv, x), self.heads))
    }
}

fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    burn::nn::Initializer::Zeros.init(shape, device)
}

/// The names of timm and DeiT.
fn timm(path: &str) -> String {
    path.replacen("patch_embed.", "patch_embed.proj.", 1)
}

/// The names of torchvision.
fn torchvision(path: &str) -> String {
    let top = match path.split_once('.') {
        None if path == "cls_token" => return "class_token".to_owned(),
        None if path == "pos_embed" => return "encoder.pos_embedding".to_owned(),
        Some(("patch_embed", rest)) => return format!("conv_proj.{rest}"),
        Some(("norm", rest)) => return format!("encoder.ln.{rest}"),
        Some(("head", rest)) => return format!("heads.head.{rest}"),
        Some(("blocks", rest)) => rest,
        _ => return path.to_owned(),
    };
    let (index, rest) = top.split_once('.').unwrap_or((top, ""));
    let rest = rest
        .replace("norm1.", "ln_1.")
        .replace("norm2.", "ln_2.")
        // torchvision has one tensor for queries, keys and values, which is not part of a layer.
        .replace("attn.qkv.weight", "self_attention.in_proj_weight")
        .replace("attn.qkv.bias", "self_attention.in_proj_bias")
        .replace("attn.proj.", "self_attention.out_proj.")
        .replace("mlp.fc1.", "mlp.0.")
        .replace("mlp.fc2.", "mlp.3.");
    format!("encoder.layers.encoder_layer_{index}.{rest}")
}

/// The names of torchvision before version 0.13, which its published weights files still have.
fn torchvision_old(path: &str) -> String {
    torchvision(path)
        .replace(".mlp.0.", ".mlp.linear_1.")
        .replace(".mlp.3.", ".mlp.linear_2.")
}
