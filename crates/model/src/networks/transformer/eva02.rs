//! EVA-02: Fang et al. 2023 (arXiv:2303.11331).

use finetune_data::Normalization;

use super::names::{TIMM_EVA, TIMM_EVA_APART};
use super::shape::{BASE, LARGE, SMALL, TINY};
use super::vit::VIT;
use super::{
    Entry, MlpKind, Pool, Positions, QkvBias, Spec, TransformerShape, VisionTransformer,
    transformer,
};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(
        spec("eva02_tiny_patch14_336", &["eva02_tiny_patch14_224"], 336),
        shape(TINY, 512)
    ),
    transformer!(
        spec("eva02_small_patch14_336", &["eva02_small_patch14_224"], 336),
        shape(SMALL, 1024)
    ),
    transformer!(
        apart("eva02_base_patch14_448", &["eva02_base_patch14_224"], 448),
        normalized(shape(BASE, 2048))
    ),
    transformer!(
        apart("eva02_large_patch14_448", &["eva02_large_patch14_224"], 448),
        normalized(shape(LARGE, 2730))
    ),
];

const fn spec(name: &'static str, aliases: &'static [&'static str], image_size: usize) -> Spec {
    Spec {
        name,
        aliases,
        image_size,
        normalization: Normalization::CLIP,
        crop: 1.0,
        dialects: &[TIMM_EVA],
        ..VIT
    }
}

const fn apart(name: &'static str, aliases: &'static [&'static str], image_size: usize) -> Spec {
    Spec {
        dialects: &[TIMM_EVA_APART],
        ..spec(name, aliases, image_size)
    }
}

/// Positions are those of the 16×16 patches of images of 224 pixels, with which the weights were trained
/// first.
const fn shape(size: TransformerShape, hidden: usize) -> TransformerShape {
    TransformerShape {
        patch: 14,
        hidden,
        positions: Positions::LearnedAndRotary(16),
        bias: QkvBias::WithoutKeys,
        mlp: MlpKind::SwiGlu,
        pool: Pool::AverageThenNorm,
        ..size
    }
}

const fn normalized(shape: TransformerShape) -> TransformerShape {
    TransformerShape {
        mlp: MlpKind::NormalizedSwiGlu,
        ..shape
    }
}
