//! The second version of the Swin Transformer: Liu et al. 2021 (arXiv:2111.09883, section 3.5).

use super::super::spec::{Dialect, Entry, Sizes, Spec, dialect};
use super::first;
use super::names::{microsoft_second, timm_second, torchvision, transformers_second};
use super::{Swin, enlarged, entry};

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
    enlarged::<96, 6, 16, 16>(of_timm("swinv2_tiny_window16_256", 256, 0.2)),
    enlarged::<96, 18, 16, 16>(of_timm("swinv2_small_window16_256", 256, 0.3)),
    enlarged::<128, 18, 16, 16>(of_timm("swinv2_base_window16_256", 256, 0.5)),
    enlarged::<128, 18, 12, 12>(of_timm("swinv2_base_window12_192", 192, 0.2)),
    enlarged::<128, 18, 16, 12>(of_timm("swinv2_base_window12to16_192to256", 256, 0.2)),
    enlarged::<128, 18, 24, 12>(of_timm("swinv2_base_window12to24_192to384", 384, 0.2)),
    enlarged::<192, 18, 12, 12>(of_timm("swinv2_large_window12_192", 192, 0.2)),
    enlarged::<192, 18, 16, 12>(of_timm("swinv2_large_window12to16_192to256", 256, 0.2)),
    enlarged::<192, 18, 24, 12>(of_timm("swinv2_large_window12to24_192to384", 384, 0.2)),
];

/// The spec of a size that torchvision does not have. It takes images of one size: for another one, timm would
/// change its windows.
const fn of_timm(name: &'static str, image_size: usize, drop_path: f64) -> Spec {
    Spec {
        name,
        aliases: &[],
        image_size,
        sizes: Sizes::Fixed,
        dialects: OTHERS,
        drop_path: Some(drop_path),
        ..SPEC
    }
}

const TRANSFORMERS: Dialect = dialect("transformers", |path| transformers_second(path, "swinv2."));
/// Of a `Swinv2Model`, which has no head.
const BACKBONE: Dialect = dialect("transformers", |path| transformers_second(path, ""));

/// Those that have other sizes than torchvision.
const OTHERS: &[Dialect] = &[
    dialect("timm", timm_second),
    dialect("microsoft", microsoft_second),
    TRANSFORMERS,
    BACKBONE,
];

const SPEC: Spec = Spec {
    name: "swinv2_tiny_window8_256",
    aliases: &["swin_v2_t"],
    image_size: 256,
    dialects: &[
        dialect("timm", timm_second),
        dialect("microsoft", microsoft_second),
        TRANSFORMERS,
        BACKBONE,
        dialect("torchvision", torchvision),
    ],
    ..first::SPEC
};
