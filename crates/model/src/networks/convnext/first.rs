//! `ConvNeXt` as published, and timm's smaller sizes: Liu et al. 2022 (arXiv:2201.03545, section 3).

use finetune_data::{Filter, Normalization};

use super::super::init::Init;
use super::super::spec::{Dialect, Entry, Sizes, Spec, dialect};
use super::names::{facebook, pixelwise, timm, torchvision, transformers};
use super::{ConvNext, entry};

pub(in super::super) const ARCHITECTURES: &[Entry<ConvNext>] = &[
    entry::<96, 3, 9, false>(Spec {
        name: "convnext_tiny",
        filter: Filter::Bilinear,
        crop: 224.0 / 236.0,
        drop_path: Some(0.1),
        dialects: &[TORCHVISION, TIMM, FACEBOOK, TRANSFORMERS, BACKBONE],
        ..SPEC
    }),
    entry::<96, 3, 27, false>(Spec {
        name: "convnext_small",
        crop: 0.95,
        drop_path: Some(0.4),
        ..SPEC
    }),
    entry::<128, 3, 27, false>(Spec {
        name: "convnext_base",
        drop_path: Some(0.5),
        ..SPEC
    }),
    entry::<192, 3, 27, false>(Spec {
        name: "convnext_large",
        drop_path: Some(0.5),
        ..SPEC
    }),
    entry::<40, 2, 6, false>(of_timm("convnext_atto", 0.875)),
    entry::<48, 2, 6, false>(of_timm("convnext_femto", 0.875)),
    entry::<64, 2, 6, false>(of_timm("convnext_pico", 0.875)),
    entry::<80, 2, 8, false>(of_timm("convnext_nano", 0.95)),
];

const TORCHVISION: Dialect = dialect("torchvision", torchvision).shaped(
    // A scale per channel of an image, `[channels, 1, 1]`; the other libraries have a vector.
    |path, shape| {
        if path.ends_with(".layer_scale") {
            shape.extend([1, 1]);
        }
    },
);
const TIMM: Dialect = dialect("timm", timm);
const TIMM_SMALL: Dialect = TIMM.shaped(pixelwise);
const FACEBOOK: Dialect = dialect("facebookresearch", facebook);
const TRANSFORMERS: Dialect = dialect("transformers", |path| transformers(path, "convnext."));
/// Of a `ConvNextModel`, which has no head.
const BACKBONE: Dialect = dialect("transformers", |path| transformers(path, ""));

/// The base of the family. How images are prepared is what timm's weights of most sizes want.
const SPEC: Spec = Spec {
    name: "convnext",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bicubic,
    crop: 0.875,
    same_network_as: None,
    prefix_tokens: 0,
    head: "head",
    targets: r"fc[12]\.",
    blocks: None,
    drop_path: Some(0.0),
    head_dropout: 0.0,
    init: Init::Normal,
    dialects: &[TIMM, TORCHVISION, FACEBOOK, TRANSFORMERS, BACKBONE],
};

/// A size of timm, which torchvision does not have. timm's recipes for it are not published, and its
/// models have no stochastic depth by default.
const fn of_timm(name: &'static str, crop: f32) -> Spec {
    Spec {
        name,
        crop,
        dialects: &[TIMM_SMALL, TRANSFORMERS, BACKBONE],
        ..SPEC
    }
}
