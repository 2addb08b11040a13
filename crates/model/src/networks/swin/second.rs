//! The second version of the Swin Transformer with windows of 8×8 tokens: Liu et al. 2021
//! (arXiv:2111.09883, section 3.5).

use super::super::spec::{Entry, Spec, dialect};
use super::first;
use super::names::{microsoft_second, timm_second, torchvision, transformers_second};
use super::{Swin, entry};

pub(in super::super) const ARCHITECTURES: &[Entry<Swin>] = &[
    entry::<96, 6, 8, true>(SPEC),
    entry::<96, 18, 8, true>(Spec {
        name: "swinv2_small_window8_256",
        aliases: &["swin_v2_s"],
        drop_path: Some(0.3),
        ..SPEC
    }),
    entry::<128, 18, 8, true>(Spec {
        name: "swinv2_base_window8_256",
        aliases: &["swin_v2_b"],
        drop_path: Some(0.5),
        ..SPEC
    }),
];

const SPEC: Spec = Spec {
    name: "swinv2_tiny_window8_256",
    aliases: &["swin_v2_t"],
    image_size: 256,
    dialects: &[
        dialect("timm", timm_second),
        dialect("torchvision", torchvision),
        dialect("microsoft", microsoft_second),
        dialect("transformers", |path| transformers_second(path, "swinv2.")),
        // Of a `Swinv2Model`, which has no head.
        dialect("transformers", |path| transformers_second(path, "")),
    ],
    ..first::SPEC
};
