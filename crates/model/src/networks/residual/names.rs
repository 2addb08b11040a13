//! The names that PyTorch's libraries have for the tensors of residual networks.

use crate::networks::names::{numbered, renamed};

type Table = &'static [(&'static str, &'static str)];

/// The names of a library for the tensors of a residual network.
struct Names {
    /// Outside of the stages and the head.
    outside: Table,
    /// A block: from the numbers of its stage, from 1, and of the block, from 0.
    block: fn(usize, usize) -> String,
    /// In a block.
    inside: Table,
    /// The head.
    head: &'static str,
}

impl Names {
    /// The library's name for a path.
    fn of(&self, path: &str) -> String {
        self.with_body(path, "")
    }

    /// The library's name for a path; all but the head's begin with `body`.
    fn with_body(&self, path: &str, body: &str) -> String {
        if let Some(rest) = path.strip_prefix("fc.") {
            return format!("{}.{rest}", self.head);
        }
        let name = match of_block(path) {
            Some((stage, block, rest)) => {
                format!(
                    "{}.{}",
                    (self.block)(stage, block),
                    renamed(rest, self.inside)
                )
            }
            None => renamed(path, self.outside),
        };
        format!("{body}{name}")
    }
}

/// The number of the stage, from 1, the number of the block in it, and the rest of a path: (2, 0,
/// `conv1.weight`) for `layer2.0.conv1.weight`.
fn of_block(path: &str) -> Option<(usize, usize, &str)> {
    let (stage, rest) = numbered(path.strip_prefix("layer")?)?;
    let (block, rest) = numbered(rest)?;
    Some((stage, block, rest))
}

const PLAIN: Names = Names {
    outside: &[],
    block: |stage, block| format!("layer{stage}.{block}"),
    inside: &[
        ("squeeze_last.reduce", "se.fc1"),
        ("squeeze_last.expand", "se.fc2"),
        ("downsample.conv", "downsample.0"),
        ("downsample.norm", "downsample.1"),
    ],
    head: "fc",
};

const DEEP: Names = Names {
    outside: &[
        ("stem.first.conv", "conv1.0"),
        ("stem.first.norm", "conv1.1"),
        ("stem.second.conv", "conv1.3"),
        ("stem.second.norm", "conv1.4"),
        ("conv1", "conv1.6"),
    ],
    ..PLAIN
};

const AVERAGED: Names = Names {
    inside: &[
        ("squeeze_last.reduce", "se.fc1"),
        ("squeeze_last.expand", "se.fc2"),
        ("downsample.conv", "downsample.1"),
        ("downsample.norm", "downsample.2"),
    ],
    ..DEEP
};

const TRANSFORMERS: Names = Names {
    outside: &[
        ("conv1", "embedder.embedder.convolution"),
        ("bn1", "embedder.embedder.normalization"),
    ],
    block: |stage, block| format!("encoder.stages.{}.layers.{block}", stage - 1),
    inside: &[
        ("conv1", "layer.0.convolution"),
        ("bn1", "layer.0.normalization"),
        ("conv2", "layer.1.convolution"),
        ("bn2", "layer.1.normalization"),
        ("conv3", "layer.2.convolution"),
        ("bn3", "layer.2.normalization"),
        ("downsample.conv", "shortcut.convolution"),
        ("downsample.norm", "shortcut.normalization"),
    ],
    head: "classifier.1",
};

/// With squeeze and excitation as a layer of its own.
const TRANSFORMERS_SQUEEZED: Names = Names {
    inside: &[
        ("conv1", "layer.0.convolution"),
        ("bn1", "layer.0.normalization"),
        ("conv2", "layer.1.convolution"),
        ("bn2", "layer.1.normalization"),
        ("squeeze_middle.reduce", "layer.2.attention.0"),
        ("squeeze_middle.expand", "layer.2.attention.2"),
        ("conv3", "layer.3.convolution"),
        ("bn3", "layer.3.normalization"),
        ("downsample.conv", "shortcut.convolution"),
        ("downsample.norm", "shortcut.normalization"),
    ],
    ..TRANSFORMERS
};

const REGNET: Names = Names {
    outside: &[("conv1", "stem.conv"), ("bn1", "stem.bn")],
    block: |stage, block| format!("s{stage}.b{}", block + 1),
    inside: &[
        ("conv1", "conv1.conv"),
        ("bn1", "conv1.bn"),
        ("conv2", "conv2.conv"),
        ("bn2", "conv2.bn"),
        ("squeeze_middle.reduce", "se.fc1"),
        ("squeeze_middle.expand", "se.fc2"),
        ("conv3", "conv3.conv"),
        ("bn3", "conv3.bn"),
        ("downsample.norm", "downsample.bn"),
    ],
    head: "head.fc",
};

const REGNET_TORCHVISION: Names = Names {
    outside: &[("conv1", "stem.0"), ("bn1", "stem.1")],
    block: |stage, block| format!("trunk_output.block{stage}.block{stage}-{block}"),
    inside: &[
        ("conv1", "f.a.0"),
        ("bn1", "f.a.1"),
        ("conv2", "f.b.0"),
        ("bn2", "f.b.1"),
        ("squeeze_middle.reduce", "f.se.fc1"),
        ("squeeze_middle.expand", "f.se.fc2"),
        ("conv3", "f.c.0"),
        ("bn3", "f.c.1"),
        ("downsample.conv", "proj.0"),
        ("downsample.norm", "proj.1"),
    ],
    head: "fc",
};

/// The names of torchvision and timm for ResNet and `ResNeXt`, and of timm for SE-ResNet.
pub(super) fn torchvision(path: &str) -> String {
    PLAIN.of(path)
}

/// The names of timm for networks with a deep stem.
pub(super) fn timm_deep(path: &str) -> String {
    DEEP.of(path)
}

/// The names of timm for networks with a deep stem and means in the shortcuts.
pub(super) fn timm_averaged(path: &str) -> String {
    AVERAGED.of(path)
}

/// The names of transformers' `ResNetForImageClassification`.
pub(super) fn transformers(path: &str) -> String {
    TRANSFORMERS.with_body(path, "resnet.")
}

/// The names of transformers' `ResNetModel`, and of `RegNetModel` for networks without squeeze and
/// excitation.
pub(super) fn transformers_body(path: &str) -> String {
    TRANSFORMERS.of(path)
}

/// The names of timm for `RegNet`.
pub(super) fn regnet_timm(path: &str) -> String {
    REGNET.of(path)
}

/// The names of torchvision for `RegNet`.
pub(super) fn regnet_torchvision(path: &str) -> String {
    REGNET_TORCHVISION.of(path)
}

/// The names of transformers' `RegNetForImageClassification`, with layers of type X.
pub(super) fn regnetx_transformers(path: &str) -> String {
    TRANSFORMERS.with_body(path, "regnet.")
}

/// The names of transformers' `RegNetForImageClassification`, with layers of type Y.
pub(super) fn regnety_transformers(path: &str) -> String {
    TRANSFORMERS_SQUEEZED.with_body(path, "regnet.")
}

/// The names of transformers' `RegNetModel`, with layers of type Y.
pub(super) fn regnety_transformers_body(path: &str) -> String {
    TRANSFORMERS_SQUEEZED.of(path)
}
