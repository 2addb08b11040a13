//! The Vision Transformer: Dosovitskiy et al. 2020 (arXiv:2010.11929), and what later papers changed: see
//! [`TransformerShape`].

mod block;
mod names;
mod pool;
mod positions;
mod shape;

pub(super) mod beit;
pub(super) mod clip;
pub(super) mod dinov2;
pub(super) mod dinov3;
pub(super) mod eva02;
pub(super) mod siglip;
pub(super) mod vit;

use std::cell::OnceCell;
use std::rc::Rc;

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::Device;
use finetune_methods::conv2d;

use self::block::TransformerBlock;
use self::pool::AttentionPool;
use self::positions::{Relation, on_grid};
pub use self::shape::{MlpKind, Pool, Positions, QkvBias, TransformerShape};
use super::blocks::{layer_norm_of, normalized_by};
use super::classifier::Classifier;
use super::settings::Settings;
use super::spec::{Blocks, Entry, Sizes, Spec};
use super::stages::{Stage, Staged, logits, share};
use super::stochastic_depth::StochasticDepth;

/// The layers of a block that some methods work beside.
const BLOCKS: Option<Blocks> = Some(Blocks {
    attention: r"attn\.qkv\.",
    feed_forward: r"mlp\.fc1\.",
});

/// An architecture of this spec and shape.
macro_rules! transformer {
    ($spec:expr, $shape:expr) => {
        crate::networks::spec::Entry {
            spec: crate::networks::spec::Spec {
                sizes: super::sizes(&$shape),
                prefix_tokens: super::positions_before_patches(&$shape),
                ..$spec
            },
            build: |spec, classes, device| {
                VisionTransformer::new($shape, spec.image_size, classes, device)
            },
        }
    };
}
use transformer;

/// The image sizes that a shape takes: a table of relative positions is that of one size.
const fn sizes(shape: &TransformerShape) -> Sizes {
    match shape.positions {
        Positions::Relative => Sizes::Fixed,
        _ => Sizes::MultipleOf(shape.patch),
    }
}

/// Entries of the position embedding before those of the patches.
const fn positions_before_patches(shape: &TransformerShape) -> usize {
    match shape.positions(0) {
        Some(entries) => entries,
        None => 0,
    }
}

/// Tokens from patches, transformer blocks, and a head.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    patch_embed: Conv2d,
    /// `[1, 1, width]`.
    cls_token: Option<Param<Tensor<3>>>,
    /// `[1, 1, width]`.
    dist_token: Option<Param<Tensor<3>>>,
    /// `[1, registers, width]`.
    reg_token: Option<Param<Tensor<3>>>,
    /// `[1, positions, width]`: first those of the class and distillation tokens, if they have any.
    pos_embed: Option<Param<Tensor<3>>>,
    norm_pre: Option<LayerNorm>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    attn_pool: Option<AttentionPool>,
    head: Classifier,
    #[module(skip)]
    shape: TransformerShape,
}

impl VisionTransformer {
    /// A network of this shape for square images of `side` pixels, a multiple of its patches' side, with
    /// `classes` outputs.
    #[must_use]
    pub fn new(shape: TransformerShape, side: usize, classes: usize, device: &Device) -> Self {
        let TransformerShape {
            patch,
            width,
            epsilon,
            ..
        } = shape;
        let patches = (side / patch) * (side / patch);
        let token = |is_there: bool| is_there.then(|| zeros([1, 1, width], device));
        let positions = shape.positions(patches);
        Self {
            patch_embed: Conv2dConfig::new([3, width], [patch, patch])
                .with_stride([patch, patch])
                .with_bias(!shape.pre_norm)
                .init(device),
            cls_token: token(shape.class_token),
            dist_token: token(shape.distilled),
            reg_token: (shape.registers > 0).then(|| zeros([1, shape.registers, width], device)),
            pos_embed: positions.map(|count| zeros([1, count, width], device)),
            norm_pre: shape
                .pre_norm
                .then(|| layer_norm_of(width, epsilon, device)),
            blocks: (0..shape.depth)
                .map(|_| TransformerBlock::new(&shape, side, device))
                .collect(),
            norm: layer_norm_of(width, epsilon, device),
            attn_pool: (shape.pool == Pool::Attention).then(|| AttentionPool::new(&shape, device)),
            head: Classifier::new(shape.features(), classes, device),
            shape,
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`, whose sides are multiples of those of
    /// a patch. A learned position embedding is resampled to the patches of the image.
    ///
    /// # Panics
    ///
    /// Positions are rotations and the image is not a square.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }

    /// A token per patch and the tokens before them, with their positions.
    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let x = conv2d(&self.patch_embed, images);
        let [batch, width, rows, columns] = x.dims();
        let is_rotated = matches!(
            self.shape.positions,
            Positions::Rotary | Positions::LearnedAndRotary(_)
        );
        assert!(
            !is_rotated || rows == columns,
            "rotary positions are those of a square"
        );
        let patches = x.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let token = |token: &Param<Tensor<3>>| token.val().repeat_dim(0, batch);
        let classes = [&self.cls_token, &self.dist_token];
        let classes = classes.into_iter().flatten().map(token);
        let registers = self.reg_token.iter().map(token);
        let prefix = positions_before_patches(&self.shape);
        let positions = self.pos_embed.as_ref().map(Param::val);
        let positions = positions.map(|embedding| on_grid(embedding, prefix, [rows, columns]));
        let x = match positions {
            Some(positions) if prefix == 0 => {
                let tokens = classes.chain(registers).chain([patches + positions]);
                joined(tokens.collect())
            }
            Some(positions) => {
                let x = joined(classes.chain([patches]).collect()) + positions;
                // Registers stand between the class token and the patches and have no position.
                let rest = rows * columns;
                let first = x.clone().narrow(1, 0, prefix);
                match registers.collect::<Vec<_>>() {
                    none if none.is_empty() => x,
                    some => joined([vec![first], some, vec![x.narrow(1, prefix, rest)]].concat()),
                }
            }
            None => joined(classes.chain(registers).chain([patches]).collect()),
        };
        match &self.norm_pre {
            Some(norm) => normalized_by(norm, x, self.shape.epsilon),
            None => x,
        }
    }

    /// The features that the head takes.
    fn pooled(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, count, width] = tokens.dims();
        let norm = |x| normalized_by(&self.norm, x, self.shape.epsilon);
        match (self.shape.pool, &self.attn_pool) {
            (Pool::Attention, Some(pool)) => {
                pool.forward(normalized_by(&self.norm, tokens, self.shape.epsilon))
            }
            (Pool::AverageThenNorm, _) => {
                let prefix = self.shape.prefix();
                let patches = tokens.narrow(1, prefix, count - prefix);
                norm(patches.mean_dim(1).reshape([batch, width]))
            }
            // Only these tokens are normalised: the others are not used, and each is normalised alone.
            _ => {
                let classes = self.shape.classes();
                let x = tokens
                    .narrow(1, 0, classes)
                    .reshape([batch * classes, width]);
                norm(x).reshape([batch, classes * width])
            }
        }
    }
}

impl Staged for VisionTransformer {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.head
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let embedding = [
            "patch_embed",
            "cls_token",
            "dist_token",
            "reg_token",
            "pos_embed",
            "norm_pre",
        ];
        let mut stages = vec![Stage::new(embedding, |images| self.embed(images))];
        let last = self.blocks.len() - 1;
        // The same for all blocks, and computed by the first of them that runs.
        let relation: Rc<OnceCell<Relation>> = Rc::default();
        for (index, block) in self.blocks.iter().enumerate() {
            let (path, relation) = (format!("blocks.{index}"), Rc::clone(&relation));
            let run = move |x: Tensor<3>, depth: StochasticDepth<'_>| {
                let patches = x.dims()[1] - self.shape.prefix();
                let relation =
                    relation.get_or_init(|| Relation::of(&self.shape, patches, &x.device()));
                block.forward(x, relation, depth)
            };
            stages.push(Stage::branching([path.as_str()], share(index, last), run));
        }
        let tokens_to_features = ["norm", "attn_pool"];
        stages.push(Stage::new(tokens_to_features, |x| self.pooled(x)));
        stages.push(Stage::new(["head"], |x: Tensor<2>| self.head.forward(x)));
        stages
    }

    fn settings(&self) -> Settings {
        self.shape.settings()
    }
}

fn joined(parts: Vec<Tensor<3>>) -> Tensor<3> {
    Tensor::cat(parts, 1)
}

fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    burn::nn::Initializer::Zeros.init(shape, device)
}
