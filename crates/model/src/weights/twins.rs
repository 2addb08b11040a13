//! Networks of timm whose tensors have the same names and shapes as those of a network here, and that
//! compute something else with them.

/// The names of timm for networks that are not supported and have the same tensors as this architecture,
/// with which they compute something else.
#[must_use]
pub fn look_alikes(architecture: &str) -> Vec<&'static str> {
    TWINS
        .iter()
        .filter(|(name, _)| *name == architecture)
        .flat_map(|(_, twins)| twins.iter().copied())
        .collect()
}

/// Found by `tests/parity/twins.py`, which compares all models of timm 1.0.31.
const TWINS: &[(&str, &[&str])] = &[
    ("resnet18", &["resnetblur18"]),
    ("resnet50", &["resnetaa50", "resnetblur50"]),
    ("resnet34d", &["resnetaa34d"]),
    ("resnet50d", &["resnetaa50d", "resnetblur50d"]),
    ("resnet101d", &["resnetaa101d", "resnetblur101d"]),
    ("seresnext101d_32x8d", &["seresnextaa101d_32x8d"]),
    ("efficientnet_b0", &["efficientnet_blur_b0"]),
    ("tf_efficientnet_b0", &["efficientnet_blur_b0"]),
    ("tf_efficientnetv2_s", &["efficientnetv2_s"]),
    ("tf_efficientnetv2_m", &["efficientnetv2_m"]),
    ("tf_mobilenetv3_large_075", &["mobilenetv3_large_075"]),
    (
        "mobilenetv4_conv_medium",
        &["mobilenetv4_conv_aa_medium", "mobilenetv4_conv_blur_medium"],
    ),
    ("mobilenetv4_conv_large", &["mobilenetv4_conv_aa_large"]),
];
