//! Vision Transformers of the first paper (arXiv:2010.11929) and of `AugReg` (arXiv:2106.10270), MAE
//! (arXiv:2111.06377) and DINO (arXiv:2104.14294), which have the same networks, and `DeiT`
//! (arXiv:2012.12877).

use finetune_data::{Filter, Normalization};

use super::super::init::Init;
use super::super::spec::{Dialect, Sizes};
use super::names::{
    TIMM, TORCHVISION, TORCHVISION_OLD, TRANSFORMERS_5_DEIT, TRANSFORMERS_5_VIT,
    TRANSFORMERS_5_VIT_BODY, TRANSFORMERS_DEIT, TRANSFORMERS_VIT, TRANSFORMERS_VIT_BODY,
};
use super::shape::{BASE, HUGE, LARGE, SMALL, TINY, TransformerShape};
use super::{BLOCKS, Entry, Spec, VisionTransformer, transformer};

pub(in crate::networks) const ARCHITECTURES: &[Entry<VisionTransformer>] = &[
    transformer!(VIT, TINY),
    transformer!(
        named("vit_small_patch16_224", &["vit_small_patch16_384"]),
        SMALL
    ),
    transformer!(
        named("vit_small_patch32_224", &["vit_small_patch32_384"]),
        SMALL.patch(32)
    ),
    transformer!(
        Spec {
            normalization: Normalization::IMAGENET,
            ..named("vit_small_patch8_224", &["dino_vits8"])
        },
        SMALL.patch(8)
    ),
    // The networks of timm with other names and preprocessing. They come first, so that a file with
    // torchvision's names is recognised as torchvision's.
    transformer!(vision("vit_b_16", "vit_base_patch16_224"), BASE),
    transformer!(vision("vit_b_32", "vit_base_patch32_224"), BASE.patch(32)),
    transformer!(vision("vit_l_16", "vit_large_patch16_224"), LARGE),
    transformer!(vision("vit_l_32", "vit_large_patch32_224"), LARGE.patch(32)),
    transformer!(
        named("vit_base_patch16_224", &["vit_base_patch16_384"]),
        BASE
    ),
    transformer!(
        named("vit_base_patch32_224", &["vit_base_patch32_384"]),
        BASE.patch(32)
    ),
    transformer!(named("vit_base_patch8_224", &[]), BASE.patch(8)),
    transformer!(
        named("vit_large_patch16_224", &["vit_large_patch16_384"]),
        LARGE
    ),
    transformer!(
        named("vit_large_patch32_224", &["vit_large_patch32_384"]),
        LARGE.patch(32)
    ),
    transformer!(named("vit_large_patch14_224", &[]), LARGE.patch(14)),
    transformer!(named("vit_huge_patch14_224", &[]), HUGE.patch(14)),
    transformer!(
        deit("deit_tiny_patch16_224", &[], Some("vit_tiny_patch16_224")),
        TINY
    ),
    transformer!(
        deit(
            "deit_small_patch16_224",
            &["dino_vits16"],
            Some("vit_small_patch16_224")
        ),
        SMALL
    ),
    transformer!(
        deit(
            "deit_base_patch16_224",
            &["deit_base_patch16_384", "dino_vitb16"],
            Some("vit_base_patch16_224")
        ),
        BASE
    ),
    transformer!(
        deit("deit_tiny_distilled_patch16_224", &[], None),
        distilled(TINY)
    ),
    transformer!(
        deit("deit_small_distilled_patch16_224", &[], None),
        distilled(SMALL)
    ),
    transformer!(
        deit(
            "deit_base_distilled_patch16_224",
            &["deit_base_distilled_patch16_384"],
            None
        ),
        distilled(BASE)
    ),
    transformer!(
        deit3("deit3_small_patch16_224", &["deit3_small_patch16_384"]),
        deit3_shape(SMALL)
    ),
    transformer!(
        deit3("deit3_base_patch16_224", &["deit3_base_patch16_384"]),
        deit3_shape(BASE)
    ),
    transformer!(
        deit3("deit3_large_patch16_224", &["deit3_large_patch16_384"]),
        deit3_shape(LARGE)
    ),
];

pub(super) const VIT: Spec = Spec {
    name: "vit_tiny_patch16_224",
    aliases: &["vit_tiny_patch16_384"],
    image_size: 224,
    sizes: Sizes::MultipleOf(16),
    normalization: Normalization::HALF,
    filter: Filter::Bicubic,
    crop: 0.9,
    same_network_as: None,
    prefix_tokens: 1,
    head: "head",
    targets: "all-linear",
    blocks: BLOCKS,
    drop_path: Some(0.0),
    head_dropout: 0.0,
    init: Init::Normal,
    dialects: &[
        TIMM,
        TORCHVISION,
        TORCHVISION_OLD,
        TRANSFORMERS_VIT,
        TRANSFORMERS_VIT_BODY,
        TRANSFORMERS_5_VIT,
        TRANSFORMERS_5_VIT_BODY,
    ],
};

const DEIT_DIALECTS: &[Dialect] = &[
    TIMM,
    TORCHVISION,
    TORCHVISION_OLD,
    TRANSFORMERS_DEIT,
    TRANSFORMERS_VIT,
    TRANSFORMERS_VIT_BODY,
    TRANSFORMERS_5_DEIT,
    TRANSFORMERS_5_VIT_BODY,
];

const fn named(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        name,
        aliases,
        ..VIT
    }
}

const fn vision(name: &'static str, same: &'static str) -> Spec {
    Spec {
        same_network_as: Some(same),
        normalization: Normalization::IMAGENET,
        filter: Filter::Bilinear,
        crop: 0.875,
        dialects: &[TORCHVISION, TORCHVISION_OLD],
        ..named(name, &[])
    }
}

/// `DeiT`'s networks are those of ViT, for images that are normalised like `ImageNet`'s.
const fn deit(
    name: &'static str,
    aliases: &'static [&'static str],
    same_network_as: Option<&'static str>,
) -> Spec {
    Spec {
        same_network_as,
        normalization: Normalization::IMAGENET,
        dialects: DEIT_DIALECTS,
        ..named(name, aliases)
    }
}

const fn distilled(shape: TransformerShape) -> TransformerShape {
    TransformerShape {
        distilled: true,
        ..shape
    }
}

/// `DeiT` III (arXiv:2204.07118).
const fn deit3(name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        normalization: Normalization::IMAGENET,
        dialects: &[TIMM],
        ..named(name, aliases)
    }
}

const fn deit3_shape(shape: TransformerShape) -> TransformerShape {
    TransformerShape {
        positions: super::Positions::LearnedOfPatches,
        layer_scale: Some(1e-6),
        ..shape
    }
}
