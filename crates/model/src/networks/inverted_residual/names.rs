//! The names that libraries have for the tensors of a [`Design`].

use super::design::{Design, Kind, Plan};

/// Splits a path into the index of a block, if it begins with one, and the rest.
fn split(path: &str) -> (Option<usize>, &str) {
    let block = path
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
    match block {
        Some((index, rest)) => (Some(index), rest),
        None => (None, path),
    }
}

/// Replaces the beginning of a path by the first pair of `names` that matches: with
/// `("stem.conv", "conv_stem")`, `stem.conv.weight` becomes `conv_stem.weight`.
fn renamed(rest: &str, names: &[(&str, &str)]) -> String {
    for (from, to) in names {
        if let Some(tail) = rest.strip_prefix(from)
            && tail.starts_with('.')
        {
            return format!("{to}{tail}");
        }
    }
    rest.to_owned()
}

/// The block of a path, and the path in it; `Err` with the path if it is of no block.
fn block<'a>(design: &Design, path: &'a str) -> Result<(usize, Plan, &'a str), &'a str> {
    let (Some(index), rest) = split(path) else {
        return Err(path);
    };
    let plan = design.plans().get(index).copied();
    plan.map(|plan| (index, plan, rest)).ok_or(path)
}

/// The names of timm.
pub(super) fn timm(design: &Design, path: &str) -> String {
    let (plan, rest) = match block(design, path) {
        Ok((_, plan, rest)) => (plan, rest),
        Err(rest) => {
            return renamed(
                rest,
                &[
                    ("stem.conv", "conv_stem"),
                    ("stem.norm", "bn1"),
                    ("last.conv", "conv_head"),
                    ("last.norm", "bn2"),
                    ("hidden.conv", "conv_head"),
                    ("hidden.norm", "norm_head"),
                ],
            );
        }
    };
    let names: &[(&str, &str)] = match plan.row.kind {
        Kind::Separable { .. } | Kind::Activated { .. } => &[
            ("depthwise.conv", "conv_dw"),
            ("depthwise.norm", "bn1"),
            ("squeeze.reduce", "se.conv_reduce"),
            ("squeeze.expand", "se.conv_expand"),
            ("project.conv", "conv_pw"),
            ("project.norm", "bn2"),
        ],
        Kind::Inverted { .. } => &[
            ("expand.conv", "conv_pw"),
            ("expand.norm", "bn1"),
            ("depthwise.conv", "conv_dw"),
            ("depthwise.norm", "bn2"),
            ("squeeze.reduce", "se.conv_reduce"),
            ("squeeze.expand", "se.conv_expand"),
            ("project.conv", "conv_pwl"),
            ("project.norm", "bn3"),
        ],
        Kind::Fused { .. } => &[
            ("expand.conv", "conv_exp"),
            ("expand.norm", "bn1"),
            ("project.conv", "conv_pwl"),
            ("project.norm", "bn2"),
        ],
        Kind::Plain { .. } => &[("expand.conv", "conv"), ("expand.norm", "bn1")],
        Kind::Universal { .. } => &[
            ("before.conv", "dw_start.conv"),
            ("before.norm", "dw_start.bn"),
            ("expand.conv", "pw_exp.conv"),
            ("expand.norm", "pw_exp.bn"),
            ("depthwise.conv", "dw_mid.conv"),
            ("depthwise.norm", "dw_mid.bn"),
            ("project.conv", "pw_proj.conv"),
            ("project.norm", "pw_proj.bn"),
        ],
    };
    let (stage, index) = plan.place;
    format!("blocks.{stage}.{index}.{}", renamed(rest, names))
}

/// The names of a part of a block in torchvision: its index among those that there are, and the names of
/// its layers.
fn numbered(plan: &Plan, rest: &str) -> String {
    let mut parts = Vec::new();
    if !matches!(plan.row.kind, Kind::Separable { .. }) {
        parts.push("expand");
    }
    if matches!(
        plan.row.kind,
        Kind::Separable { .. } | Kind::Inverted { .. }
    ) {
        parts.push("depthwise");
    }
    if plan.row.squeeze {
        parts.push("squeeze");
    }
    parts.push("project");
    let (part, tail) = rest.split_once('.').unwrap_or((rest, ""));
    let number = parts.iter().position(|one| *one == part);
    let tail = renamed(
        tail,
        &[
            ("conv", "0"),
            ("norm", "1"),
            ("reduce", "fc1"),
            ("expand", "fc2"),
        ],
    );
    format!("{}.{tail}", number.unwrap_or(parts.len()))
}

/// The names of torchvision for the EfficientNets.
pub(super) fn torchvision_efficientnet(design: &Design, path: &str) -> String {
    match block(design, path) {
        Err(rest) => {
            let last = format!("features.{}", design.stages.len() + 1);
            renamed(
                rest,
                &[
                    ("stem.conv", "features.0.0"),
                    ("stem.norm", "features.0.1"),
                    ("last.conv", &format!("{last}.0")),
                    ("last.norm", &format!("{last}.1")),
                    ("classifier", "classifier.1"),
                ],
            )
        }
        Ok((_, plan, rest)) => {
            let (stage, index) = plan.place;
            let rest = numbered(&plan, rest);
            format!("features.{}.{index}.block.{rest}", stage + 1)
        }
    }
}

/// The names of torchvision for MobileNetV2.
pub(super) fn torchvision_mobilenet_v2(design: &Design, path: &str) -> String {
    match block(design, path) {
        Err(rest) => renamed(
            rest,
            &[
                ("stem.conv", "features.0.0"),
                ("stem.norm", "features.0.1"),
                ("last.conv", "features.18.0"),
                ("last.norm", "features.18.1"),
                ("classifier", "classifier.1"),
            ],
        ),
        Ok((index, plan, rest)) => {
            // The layers of the projection are not a part of their own.
            let names: &[(&str, &str)] = match plan.row.kind {
                Kind::Separable { .. } => &[("project.conv", "1"), ("project.norm", "2")],
                _ => &[("project.conv", "2"), ("project.norm", "3")],
            };
            let rest = if rest.starts_with("project.") {
                renamed(rest, names)
            } else {
                numbered(&plan, rest)
            };
            format!("features.{}.conv.{rest}", index + 1)
        }
    }
}

/// The names of torchvision for MobileNetV3.
pub(super) fn torchvision_mobilenet_v3(design: &Design, path: &str) -> String {
    match block(design, path) {
        Err(rest) => renamed(
            rest,
            &[
                ("stem.conv", "features.0.0"),
                ("stem.norm", "features.0.1"),
                ("hidden.linear", "classifier.0"),
                ("classifier", "classifier.3"),
            ],
        ),
        Ok((index, plan, rest)) => {
            let number = index + 1;
            match plan.row.kind {
                Kind::Plain { .. } => {
                    let last = [("expand.conv", "0"), ("expand.norm", "1")];
                    format!("features.{number}.{}", renamed(rest, &last))
                }
                _ => format!("features.{number}.block.{}", numbered(&plan, rest)),
            }
        }
    }
}

/// The names of the package `efficientnet_pytorch`, and of those that are based on it.
pub(super) fn efficientnet_pytorch(_: &Design, path: &str) -> String {
    match split(path) {
        (None, rest) => renamed(
            rest,
            &[
                ("stem.conv", "_conv_stem"),
                ("stem.norm", "_bn0"),
                ("last.conv", "_conv_head"),
                ("last.norm", "_bn1"),
                ("classifier", "_fc"),
            ],
        ),
        (Some(index), rest) => {
            let rest = renamed(
                rest,
                &[
                    ("expand.conv", "_expand_conv"),
                    ("expand.norm", "_bn0"),
                    ("depthwise.conv", "_depthwise_conv"),
                    ("depthwise.norm", "_bn1"),
                    ("squeeze.reduce", "_se_reduce"),
                    ("squeeze.expand", "_se_expand"),
                    ("project.conv", "_project_conv"),
                    ("project.norm", "_bn2"),
                ],
            );
            format!("_blocks.{index}.{rest}")
        }
    }
}

/// The names of transformers for the EfficientNets.
pub(super) fn transformers_efficientnet(_: &Design, path: &str) -> String {
    match split(path) {
        (None, rest) => renamed(
            rest,
            &[
                ("stem.conv", "efficientnet.embeddings.convolution"),
                ("stem.norm", "efficientnet.embeddings.batchnorm"),
                ("last.conv", "efficientnet.encoder.top_conv"),
                ("last.norm", "efficientnet.encoder.top_bn"),
            ],
        ),
        (Some(index), rest) => {
            let rest = renamed(
                rest,
                &[
                    ("expand.conv", "expansion.expand_conv"),
                    ("expand.norm", "expansion.expand_bn"),
                    ("depthwise.conv", "depthwise_conv.depthwise_conv"),
                    ("depthwise.norm", "depthwise_conv.depthwise_norm"),
                    ("squeeze.reduce", "squeeze_excite.reduce"),
                    ("squeeze.expand", "squeeze_excite.expand"),
                    ("project.conv", "projection.project_conv"),
                    ("project.norm", "projection.project_bn"),
                ],
            );
            format!("efficientnet.encoder.blocks.{index}.{rest}")
        }
    }
}

/// The names of transformers for MobileNetV2.
pub(super) fn transformers_mobilenet_v2(_: &Design, path: &str) -> String {
    const LAYERS: &[(&str, &str)] = &[("conv", "convolution"), ("norm", "normalization")];
    let (index, rest) = split(path);
    let (part, tail) = rest.split_once('.').unwrap_or((rest, ""));
    let part = match (index, part) {
        (None, "stem") => "conv_stem.first_conv",
        (None, "last") => "conv_1x1",
        (None, _) => return path.to_owned(),
        (Some(_), "expand") => "expand_1x1",
        (Some(_), "depthwise") => "conv_3x3",
        (Some(_), _) => "reduce_1x1",
    };
    let place = match index {
        None => String::new(),
        // The first block belongs to the stem.
        Some(0) => "conv_stem.".to_owned(),
        Some(index) => format!("layer.{}.", index - 1),
    };
    format!("mobilenet_v2.{place}{part}.{}", renamed(tail, LAYERS))
}
