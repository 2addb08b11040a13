//! `ConvNeXt` V2: Woo et al. 2023 (arXiv:2301.00808, table 11).

use finetune_data::{Filter, Normalization};

use super::super::init::Init;
use super::super::spec::{Dialect, Entry, Sizes, Spec, dialect};
use super::names::{facebook, pixelwise, timm, transformers};
use super::{ConvNext, entry};

/// `drop_path` is that of the authors' fine-tuning.
pub(in super::super) const ARCHITECTURES: &[Entry<ConvNext>] = &[
    entry::<40, 2, 6, true>(small("convnextv2_atto")),
    entry::<48, 2, 6, true>(small("convnextv2_femto")),
    entry::<64, 2, 6, true>(small("convnextv2_pico")),
    entry::<80, 2, 8, true>(small("convnextv2_nano")),
    entry::<96, 3, 9, true>(Spec {
        name: "convnextv2_tiny",
        drop_path: Some(0.2),
        ..SPEC
    }),
    entry::<128, 3, 27, true>(Spec {
        name: "convnextv2_base",
        ..SPEC
    }),
];

const TIMM: Dialect = dialect("timm", timm);
const TIMM_SMALL: Dialect = TIMM.shaped(pixelwise);
const FACEBOOK: Dialect = dialect("facebookresearch", facebook).shaped(of_images);
const TRANSFORMERS: Dialect =
    dialect("transformers", |path| transformers(path, "convnextv2.")).shaped(of_images);
/// Of a `ConvNextV2Model`, which has no head.
const BACKBONE: Dialect = dialect("transformers", |path| transformers(path, "")).shaped(of_images);

const SPEC: Spec = Spec {
    name: "convnextv2",
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
    drop_path: Some(0.1),
    head_dropout: 0.0,
    init: Init::Normal,
    dialects: &[TIMM, FACEBOOK, TRANSFORMERS, BACKBONE],
};

const fn small(name: &'static str) -> Spec {
    Spec {
        name,
        dialects: &[TIMM_SMALL, FACEBOOK, TRANSFORMERS, BACKBONE],
        ..SPEC
    }
}

/// The scales and shifts of response normalisations are `[1, 1, 1, channels]`.
fn of_images(path: &str, shape: &mut Vec<usize>) {
    if path.contains(".grn.") {
        shape.splice(..0, [1, 1, 1]);
    }
}
