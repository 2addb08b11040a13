//! `DINOv2`: Oquab et al. 2023 (arXiv:2304.07193), and with registers: Darcet et al. 2023
//! (arXiv:2309.16588).
//!
//! The weights were trained on images of 518 pixels at last and are evaluated on 224, which is the default
//! here: the position embedding is resampled.

use finetune_data::Normalization;

use super::super::spec::Dialect;
use super::names::{
    DINOV2_GIANT_RELEASE, DINOV2_REGISTERS, TIMM, TRANSFORMERS_5_DINOV2,
    TRANSFORMERS_5_DINOV2_BODY, TRANSFORMERS_5_DINOV2_GIANT, TRANSFORMERS_5_DINOV2_GIANT_BODY,
    TRANSFORMERS_5_DINOV2_REGISTERS, TRANSFORMERS_DINOV2, TRANSFORMERS_DINOV2_BODY,
    TRANSFORMERS_DINOV2_GIANT, TRANSFORMERS_DINOV2_GIANT_BODY, TRANSFORMERS_DINOV2_REGISTERS,
};
use super::shape::{BASE, LARGE, SMALL};
use super::vit::VIT;
use super::{Entry, MlpKind, Positions, Spec, TransformerShape, VisionTransformer, transformer};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(
        plain(
            "dinov2_small",
            &["vit_small_patch14_dinov2", "dinov2_vits14"]
        ),
        shape(SMALL)
    ),
    transformer!(
        plain("dinov2_base", &["vit_base_patch14_dinov2", "dinov2_vitb14"]),
        shape(BASE)
    ),
    transformer!(
        plain(
            "dinov2_large",
            &["vit_large_patch14_dinov2", "dinov2_vitl14"]
        ),
        shape(LARGE)
    ),
    transformer!(
        Spec {
            dialects: &[
                TIMM,
                DINOV2_GIANT_RELEASE,
                TRANSFORMERS_DINOV2_GIANT,
                TRANSFORMERS_DINOV2_GIANT_BODY,
                TRANSFORMERS_5_DINOV2_GIANT,
                TRANSFORMERS_5_DINOV2_GIANT_BODY,
            ],
            ..plain(
                "dinov2_giant",
                &["vit_giant_patch14_dinov2", "dinov2_vitg14"]
            )
        },
        shape(GIANT)
    ),
    transformer!(
        registers(
            "dinov2_small_reg",
            &["vit_small_patch14_reg4_dinov2", "dinov2_vits14_reg"]
        ),
        with_registers(SMALL)
    ),
    transformer!(
        registers(
            "dinov2_base_reg",
            &["vit_base_patch14_reg4_dinov2", "dinov2_vitb14_reg"]
        ),
        with_registers(BASE)
    ),
    transformer!(
        registers(
            "dinov2_large_reg",
            &["vit_large_patch14_reg4_dinov2", "dinov2_vitl14_reg"]
        ),
        with_registers(LARGE)
    ),
];

const GIANT: TransformerShape = TransformerShape {
    hidden: 4096,
    mlp: MlpKind::SwiGlu,
    ..TransformerShape::new(1536, 40, 24)
};

const fn plain(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        name,
        aliases,
        normalization: Normalization::IMAGENET,
        crop: 0.875,
        dialects: &[
            TIMM,
            TRANSFORMERS_DINOV2,
            TRANSFORMERS_DINOV2_BODY,
            TRANSFORMERS_5_DINOV2,
            TRANSFORMERS_5_DINOV2_BODY,
        ],
        ..VIT
    }
}

const OF_REGISTERS: &[Dialect] = &[
    TIMM,
    DINOV2_REGISTERS.with_class_position(),
    TRANSFORMERS_DINOV2_REGISTERS.with_class_position(),
    TRANSFORMERS_DINOV2_BODY.with_class_position(),
    TRANSFORMERS_5_DINOV2_REGISTERS.with_class_position(),
    TRANSFORMERS_5_DINOV2_BODY.with_class_position(),
];

const fn registers(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        dialects: OF_REGISTERS,
        ..plain(name, aliases)
    }
}

const fn shape(size: TransformerShape) -> TransformerShape {
    TransformerShape {
        patch: 14,
        layer_scale: Some(1e-5),
        ..size
    }
}

const fn with_registers(size: TransformerShape) -> TransformerShape {
    TransformerShape {
        registers: 4,
        positions: Positions::LearnedOfPatches,
        ..shape(size)
    }
}
