//! The names that PyTorch's libraries have for the tensors of a `ConvNeXt`.

use super::super::names::Names;

/// The names of torchvision.
pub(super) fn torchvision(path: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("stem", "features.0.0"),
            ("stem_norm", "features.0.1"),
            ("norm", "classifier.0"),
            ("head", "classifier.2"),
        ],
        between: &[
            ("downsample_norm", |stage| {
                format!("features.{}.0", 2 * stage)
            }),
            ("downsample", |stage| format!("features.{}.1", 2 * stage)),
        ],
        block: |stage, block| format!("features.{}.{block}", 2 * stage + 1),
        inside: &[
            ("conv_dw", "block.0"),
            ("norm", "block.2"),
            ("fc1", "block.3"),
            ("fc2", "block.5"),
        ],
    };
    NAMES.of(path)
}

/// The names of timm.
pub(super) fn timm(path: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("stem", "stem.0"),
            ("stem_norm", "stem.1"),
            ("norm", "head.norm"),
            ("head", "head.fc"),
        ],
        between: &[
            ("downsample_norm", |stage| {
                format!("stages.{stage}.downsample.0")
            }),
            ("downsample", |stage| format!("stages.{stage}.downsample.1")),
        ],
        block: |stage, block| format!("stages.{stage}.blocks.{block}"),
        inside: &[
            ("fc1", "mlp.fc1"),
            ("grn", "mlp.grn"),
            ("fc2", "mlp.fc2"),
            ("layer_scale", "gamma"),
        ],
    };
    NAMES.of(path)
}

/// The names of the authors' repositories, facebookresearch/ConvNeXt and facebookresearch/ConvNeXt-V2.
pub(super) fn facebook(path: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("stem", "downsample_layers.0.0"),
            ("stem_norm", "downsample_layers.0.1"),
        ],
        between: &[
            ("downsample_norm", |stage| {
                format!("downsample_layers.{stage}.0")
            }),
            ("downsample", |stage| format!("downsample_layers.{stage}.1")),
        ],
        block: |stage, block| format!("stages.{stage}.{block}"),
        inside: &[
            ("conv_dw", "dwconv"),
            ("fc1", "pwconv1"),
            ("grn.weight", "grn.gamma"),
            ("grn.bias", "grn.beta"),
            ("fc2", "pwconv2"),
            ("layer_scale", "gamma"),
        ],
    };
    NAMES.of(path)
}

/// The names of transformers; those of the body begin with `body`.
pub(super) fn transformers(path: &str, body: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("stem", "embeddings.patch_embeddings"),
            ("stem_norm", "embeddings.layernorm"),
            ("norm", "layernorm"),
            ("head", "classifier"),
        ],
        between: &[
            ("downsample_norm", |stage| {
                format!("encoder.stages.{stage}.downsampling_layer.0")
            }),
            ("downsample", |stage| {
                format!("encoder.stages.{stage}.downsampling_layer.1")
            }),
        ],
        block: |stage, block| format!("encoder.stages.{stage}.layers.{block}"),
        inside: &[
            ("conv_dw", "dwconv"),
            ("norm", "layernorm"),
            ("fc1", "pwconv1"),
            ("fc2", "pwconv2"),
            ("layer_scale", "layer_scale_parameter"),
        ],
    };
    NAMES.with_body(path, body)
}

/// The shapes of timm's small sizes, whose perceptrons are 1×1 convolutions.
pub(super) fn pixelwise(path: &str, shape: &mut Vec<usize>) {
    if path.ends_with(".fc1.weight") || path.ends_with(".fc2.weight") {
        shape.extend([1, 1]);
    }
}
