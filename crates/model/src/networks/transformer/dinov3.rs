//! `DINOv3`: Siméoni et al. 2025 (arXiv:2508.10104).

use finetune_data::Normalization;

use super::names::{
    TIMM_DINOV3, TIMM_DINOV3_PLUS, TIMM_DINOV3_PLUS_WITHOUT_BIAS, TIMM_DINOV3_WITHOUT_BIAS,
    TRANSFORMERS_5_DINOV3, TRANSFORMERS_5_DINOV3_PLUS, TRANSFORMERS_DINOV3,
    TRANSFORMERS_DINOV3_PLUS,
};
use super::shape::{BASE, LARGE, SMALL};
use super::vit::VIT;
use super::{
    Entry, MlpKind, Positions, QkvBias, Spec, TransformerShape, VisionTransformer, transformer,
};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(
        spec(
            "dinov3_small",
            &[
                "vit_small_patch16_dinov3",
                "vit_small_patch16_dinov3_qkvb",
                "vit_small_patch16_lingbot"
            ]
        ),
        shape(SMALL)
    ),
    transformer!(
        Spec {
            dialects: &[
                TIMM_DINOV3_PLUS,
                TIMM_DINOV3_PLUS_WITHOUT_BIAS,
                TRANSFORMERS_DINOV3_PLUS,
                TRANSFORMERS_5_DINOV3_PLUS,
            ],
            ..spec(
                "dinov3_small_plus",
                &[
                    "vit_small_plus_patch16_dinov3",
                    "vit_small_plus_patch16_dinov3_qkvb"
                ]
            )
        },
        TransformerShape {
            mlp: MlpKind::SwiGlu,
            ..shape(SMALL)
        }
    ),
    transformer!(
        spec(
            "dinov3_base",
            &[
                "vit_base_patch16_dinov3",
                "vit_base_patch16_dinov3_qkvb",
                "vit_base_patch16_lingbot"
            ]
        ),
        shape(BASE)
    ),
    transformer!(
        spec(
            "dinov3_large",
            &[
                "vit_large_patch16_dinov3",
                "vit_large_patch16_dinov3_qkvb",
                "vit_large_patch16_lingbot"
            ]
        ),
        shape(LARGE)
    ),
];

const fn spec(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        name,
        aliases,
        image_size: 256,
        normalization: Normalization::IMAGENET,
        crop: 1.0,
        dialects: &[
            TIMM_DINOV3,
            TIMM_DINOV3_WITHOUT_BIAS,
            TRANSFORMERS_DINOV3,
            TRANSFORMERS_5_DINOV3,
        ],
        ..VIT
    }
}

const fn shape(size: TransformerShape) -> TransformerShape {
    TransformerShape {
        registers: 4,
        positions: Positions::Rotary,
        bias: QkvBias::WithoutKeys,
        layer_scale: Some(1e-5),
        epsilon: 1e-5,
        ..size
    }
}
