//! Random changes of the training images.

use finetune::config::Mirror;
use finetune_data::Augment;
use finetune_data::augment::RandAugment;

use crate::flags::define::choice::named;
use crate::flags::define::{About, Flag, Resume, named_choice, value, value_by};

/// `--augment` replaces all settings of augmentation, which the flags after it change.
const TOGETHER: Resume = Resume::Together("augment");

pub(super) fn flags() -> Vec<Flag> {
    let full = Augment {
        flip: true,
        brightness: 0.2,
        contrast: 0.2,
        ..Augment::light()
    };
    let flags = vec![
        named_choice(
            "augment",
            [
                named("none", Augment::default(), "No changes"),
                named(
                    "light",
                    Augment::light(),
                    "Shifts of 4 pixels, rotations of 10°, zooms of 10 %",
                ),
                named(
                    "full",
                    full,
                    "As light, with mirroring, brightness and contrast ± 20 %",
                ),
                named(
                    "standard",
                    Augment::standard(),
                    "Crops of at least 35 % of the area, mirroring, colours ± 20 %",
                ),
                named(
                    "strong",
                    Augment::strong(),
                    "Crops of at least 8 %, mirroring, RandAugment 2,9, erasing in 25 %",
                ),
            ],
        )
        .help("Random changes of the training images")
        .details("The flags below change single settings of it.")
        .default_is("standard for models pretrained on ImageNet, except with linear; otherwise none")
        .sets(|run, augment| {
            run.recipe.augment = augment;
            run.mirror = Mirror::Set;
        })
        .resume(TOGETHER),
        mirror(),
        value("augment-views", "K")
            .help("Use K fixed augmented views per image, in rotation")
            .details(
                "Epoch E uses view (E - 1) mod K + 1. Frozen layers compute their features of these \
                 views only once if K is less than the number of epochs (see --feature-cache). Mixing \
                 (--mixup, --cutmix) is not part of a view.",
            )
            .default_is("a new view in each epoch")
            .sets(|run, views| run.recipe.augment_views = Some(views)),
        value("mixup", "A")
            .help("Blend images, with shares from Beta(A, A); 0 is off")
            .details("0.2 is usual (Zhang et al. 2018, arXiv:1710.09412).")
            .default("0")
            .sets(|run, alpha| run.recipe.augment.mixup = alpha)
            .resume(TOGETHER),
        value("cutmix", "A")
            .help("Paste rectangles of other images, areas from Beta(A, A); 0 is off")
            .details(
                "1 is usual (Yun et al. 2019, arXiv:1905.04899). With --mixup, each is applied to half \
                 of the images.",
            )
            .default("0")
            .sets(|run, alpha| run.recipe.augment.cutmix = alpha)
            .resume(TOGETHER),
        value("random-erasing", "FRACTION")
            .help("Fraction of the images in which a rectangle becomes noise")
            .details("From 0 to 1; 0.25 is usual (Zhong et al. 2020, arXiv:1708.04896).")
            .default_is("0; 0.25 with --augment strong")
            .sets(|run, fraction| run.recipe.augment.erasing = fraction)
            .resume(TOGETHER),
        value_by("rand-augment", "N,M", rand_augment)
            .help("RandAugment: N random operations of magnitude M, for example 2,9")
            .details(
                "N is at most 14, M from 0 to 30 (Cubuk et al. 2020, arXiv:1909.13719), as in \
                 torchvision; timm's scale ends at 10, so that its 9 is 27 here.",
            )
            .default_is("none; 2,9 with --augment strong")
            .sets(|run, operations| run.recipe.augment.rand_augment = Some(operations))
            .resume(TOGETHER),
    ];
    flags
        .into_iter()
        .map(|flag| flag.about(About::Steps))
        .collect()
}

/// Whether to mirror, which depends on what the images show.
fn mirror() -> Flag {
    named_choice(
        "mirror",
        [
            named(
                "auto",
                None,
                "Unless the names of the images or classes speak of digits, letters or signs",
            ),
            named("on", Some(true), "Half of the images"),
            named("off", Some(false), "None"),
        ],
    )
    .help("Whether training images are mirrored left to right")
    .default_is("auto; as --augment says if it is given")
    .sets(|run, mirror: Option<bool>| match mirror {
        // A saved run has been settled already.
        None if run.mirror == Mirror::Auto => {}
        None => {
            run.mirror = Mirror::Auto;
            run.recipe.augment.flip = true;
        }
        Some(flip) => {
            run.mirror = Mirror::Set;
            run.recipe.augment.flip = flip;
        }
    })
    .resume(TOGETHER)
}

fn rand_augment(text: &str) -> Result<RandAugment, String> {
    let numbers = text.split_once(',').and_then(|(operations, magnitude)| {
        Some(RandAugment {
            operations: operations.trim().parse().ok()?,
            magnitude: magnitude.trim().parse().ok()?,
        })
    });
    numbers.ok_or_else(|| "write two numbers separated by a comma, for example 2,9".to_owned())
}
