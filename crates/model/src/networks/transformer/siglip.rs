//! The image towers of `SigLIP` (Zhai et al. 2023, arXiv:2303.15343) and `SigLIP` 2 (arXiv:2502.14786).
//!
//! transformers computes GELU with a hyperbolic tangent, as the first implementation; most of timm's have
//! it exactly. So they are two networks for the same weights, with the names of either.

use super::names::{TIMM, TRANSFORMERS_5_CLIP_BODY, TRANSFORMERS_CLIP};
use super::shape::{BASE, LARGE};
use super::vit::VIT;
use super::{
    Entry, MlpKind, Pool, Positions, Spec, TransformerShape, VisionTransformer, transformer,
};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(
        timm(
            "vit_base_patch16_siglip_224",
            &[
                "vit_base_patch16_siglip_256",
                "vit_base_patch16_siglip_384",
                "vit_base_patch16_siglip_512",
            ],
            224
        ),
        shape(BASE, 16)
    ),
    transformer!(
        timm(
            "vit_large_patch16_siglip_256",
            &["vit_large_patch16_siglip_384"],
            256
        ),
        shape(LARGE, 16)
    ),
    // Of this one, timm computes the activation as the first implementation.
    transformer!(
        timm("vit_large_patch16_siglip_512", &[], 512),
        tanh(shape(LARGE, 16))
    ),
    transformer!(
        timm(
            "vit_so400m_patch14_siglip_378",
            &[
                "vit_so400m_patch14_siglip_224",
                "vit_so400m_patch14_siglip_384"
            ],
            378
        ),
        shape(SO400M, 14)
    ),
    transformer!(
        google("siglip_base_patch16_224", 224),
        tanh(shape(BASE, 16))
    ),
    transformer!(
        google("siglip_large_patch16_256", 256),
        tanh(shape(LARGE, 16))
    ),
    transformer!(
        google("siglip_so400m_patch14_384", 378),
        tanh(shape(SO400M, 14))
    ),
    transformer!(
        google("siglip2_base_patch32_256", 256),
        tanh(shape(BASE, 32))
    ),
];

const SO400M: TransformerShape = TransformerShape {
    hidden: 4304,
    ..TransformerShape::new(1152, 27, 16)
};

const fn timm(name: &'static str, aliases: &'static [&'static str], image_size: usize) -> Spec {
    Spec {
        name,
        aliases,
        image_size,
        dialects: &[TIMM],
        ..VIT
    }
}

/// transformers squashes the whole picture.
const fn google(name: &'static str, image_size: usize) -> Spec {
    Spec {
        name,
        aliases: &[],
        image_size,
        crop: 1.0,
        // The attention of the pooling is an `nn.MultiheadAttention`, on which PEFT's adapters have no effect.
        targets: r"^blocks\.|^attn_pool\.mlp\.",
        dialects: &[TRANSFORMERS_CLIP, TRANSFORMERS_5_CLIP_BODY],
        ..VIT
    }
}

const fn shape(size: TransformerShape, patch: usize) -> TransformerShape {
    TransformerShape {
        patch,
        class_token: false,
        positions: Positions::LearnedOfPatches,
        pool: Pool::Attention,
        ..size
    }
}

const fn tanh(shape: TransformerShape) -> TransformerShape {
    TransformerShape {
        mlp: MlpKind::TanhGelu,
        ..shape
    }
}
