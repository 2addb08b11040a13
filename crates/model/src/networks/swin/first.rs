//! The Swin Transformer: Liu et al. 2021 (arXiv:2103.14030, section 3.3).

use finetune_data::{Filter, Normalization};

use super::super::init::Init;
use super::super::spec::{Entry, Sizes, Spec, dialect};
use super::names::{microsoft, timm, torchvision, transformers, transformers_old};
use super::{Swin, entry};

/// `drop_path` is the authors' and torchvision's.
pub(in super::super) const ARCHITECTURES: &[Entry<Swin>] = &[
    entry::<96, 6, 7, false>(SPEC),
    entry::<96, 18, 7, false>(Spec {
        name: "swin_small_patch4_window7_224",
        aliases: &["swin_s"],
        drop_path: Some(0.3),
        ..SPEC
    }),
    entry::<128, 18, 7, false>(Spec {
        name: "swin_base_patch4_window7_224",
        aliases: &["swin_b"],
        drop_path: Some(0.5),
        ..SPEC
    }),
    entry::<192, 18, 7, false>(Spec {
        name: "swin_large_patch4_window7_224",
        aliases: &[],
        ..SPEC
    }),
    entry::<128, 18, 12, false>(Spec {
        name: "swin_base_patch4_window12_384",
        aliases: &[],
        image_size: 384,
        crop: 1.0,
        ..SPEC
    }),
    entry::<192, 18, 12, false>(Spec {
        name: "swin_large_patch4_window12_384",
        aliases: &[],
        image_size: 384,
        crop: 1.0,
        ..SPEC
    }),
];

/// Also of the second version.
pub(super) const SPEC: Spec = Spec {
    name: "swin_tiny_patch4_window7_224",
    aliases: &["swin_t"],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bicubic,
    crop: 0.9,
    same_network_as: None,
    prefix_tokens: 0,
    head: "head",
    targets: r"attn\.(qkv|proj)\.|mlp\.fc[12]\.",
    blocks: None,
    drop_path: Some(0.2),
    head_dropout: 0.0,
    init: Init::Normal,
    dialects: &[
        dialect("timm", timm),
        dialect("torchvision", torchvision),
        dialect("microsoft", microsoft),
        dialect("transformers", |path| transformers(path, "swin.")),
        dialect("transformers", |path| transformers_old(path, "swin.")),
        // Of a `SwinModel`, which has no head.
        dialect("transformers", |path| transformers(path, "")),
        dialect("transformers", |path| transformers_old(path, "")),
    ],
};
