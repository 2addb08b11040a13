//! `BEiT` (Bao et al. 2021, arXiv:2106.08254) and `BEiT` v2 (arXiv:2208.06366), with a bias of the scores
//! for each distance between patches.

use finetune_data::Normalization;

use super::names::{TIMM_BEIT, TRANSFORMERS_5_BEIT, TRANSFORMERS_BEIT, TRANSFORMERS_BEIT_BODY};
use super::shape::{BASE, LARGE};
use super::vit::VIT;
use super::{
    Entry, Pool, Positions, QkvBias, Spec, TransformerShape, VisionTransformer, transformer,
};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(spec("beit_base_patch16_224"), shape(BASE, 0.1)),
    transformer!(spec("beit_large_patch16_224"), shape(LARGE, 1e-5)),
    transformer!(
        second("beitv2_base_patch16_224", "beit_base_patch16_224"),
        shape(BASE, 1e-5)
    ),
    transformer!(
        second("beitv2_large_patch16_224", "beit_large_patch16_224"),
        shape(LARGE, 1e-5)
    ),
];

const fn spec(name: &'static str) -> Spec {
    Spec {
        name,
        aliases: &[],
        // Prompts would be tokens without a place among the patches.
        blocks: None,
        dialects: &[
            TIMM_BEIT,
            TRANSFORMERS_BEIT,
            TRANSFORMERS_BEIT_BODY,
            TRANSFORMERS_5_BEIT,
        ],
        ..VIT
    }
}

const fn second(name: &'static str, first: &'static str) -> Spec {
    Spec {
        same_network_as: Some(first),
        normalization: Normalization::IMAGENET,
        ..spec(name)
    }
}

const fn shape(size: TransformerShape, scale: f64) -> TransformerShape {
    TransformerShape {
        positions: Positions::Relative,
        bias: QkvBias::WithoutKeys,
        layer_scale: Some(scale),
        pool: Pool::AverageThenNorm,
        ..size
    }
}
