//! The image towers of CLIP: Radford et al. 2021 (arXiv:2103.00020), with the head on the normalised class
//! token, before the projection to the space of texts.

use finetune_data::Normalization;

use super::names::{OPEN_CLIP, TIMM, TRANSFORMERS_5_CLIP_BODY, TRANSFORMERS_CLIP};
use super::shape::{BASE, HUGE, LARGE};
use super::vit::VIT;
use super::{Entry, MlpKind, Spec, TransformerShape, VisionTransformer, transformer};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(
        spec(
            "vit_base_patch32_clip_224",
            &[
                "vit_base_patch32_clip_256",
                "vit_base_patch32_clip_384",
                "vit_base_patch32_clip_448"
            ],
            0.9
        ),
        shape(BASE, 32)
    ),
    transformer!(
        spec(
            "vit_base_patch16_clip_224",
            &["vit_base_patch16_clip_384"],
            0.95
        ),
        shape(BASE, 16)
    ),
    transformer!(
        spec(
            "vit_large_patch14_clip_224",
            &["vit_large_patch14_clip_336"],
            1.0
        ),
        shape(LARGE, 14)
    ),
    transformer!(
        spec(
            "vit_huge_patch14_clip_224",
            &["vit_huge_patch14_clip_336", "vit_huge_patch14_clip_378"],
            1.0
        ),
        shape(HUGE, 14)
    ),
    transformer!(
        openai(
            "vit_base_patch32_clip_quickgelu_224",
            &["clip_vit_base_patch32"]
        ),
        quick(shape(BASE, 32))
    ),
    transformer!(
        openai(
            "vit_base_patch16_clip_quickgelu_224",
            &["clip_vit_base_patch16"]
        ),
        quick(shape(BASE, 16))
    ),
    transformer!(
        openai(
            "vit_large_patch14_clip_quickgelu_224",
            &[
                "clip_vit_large_patch14",
                "vit_large_patch14_clip_quickgelu_336"
            ]
        ),
        quick(shape(LARGE, 14))
    ),
    transformer!(
        openai(
            "vit_huge_patch14_clip_quickgelu_224",
            &["vit_huge_patch14_clip_quickgelu_378"]
        ),
        quick(shape(HUGE, 14))
    ),
];

const fn spec(name: &'static str, aliases: &'static [&'static str], crop: f32) -> Spec {
    Spec {
        name,
        aliases,
        image_size: 224,
        normalization: Normalization::CLIP,
        crop,
        dialects: &[TIMM, OPEN_CLIP, TRANSFORMERS_CLIP, TRANSFORMERS_5_CLIP_BODY],
        ..VIT
    }
}

/// The weights of OpenAI, which has another GELU.
const fn openai(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        dialects: &[TRANSFORMERS_CLIP, TRANSFORMERS_5_CLIP_BODY, OPEN_CLIP, TIMM],
        ..spec(name, aliases, 1.0)
    }
}

const fn shape(size: TransformerShape, patch: usize) -> TransformerShape {
    TransformerShape {
        patch,
        pre_norm: true,
        epsilon: 1e-5,
        ..size
    }
}

const fn quick(shape: TransformerShape) -> TransformerShape {
    TransformerShape {
        mlp: MlpKind::QuickGelu,
        ..shape
    }
}
