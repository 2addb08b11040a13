//! The names that PyTorch's libraries have for the tensors of a Swin Transformer.

use super::super::names::Names;

/// What libraries that keep the authors' names have in a block.
const INSIDE: &[(&str, &str)] = &[
    (
        "attn.position.relative_position_bias_table",
        "attn.relative_position_bias_table",
    ),
    ("attn.position.fc1", "attn.cpb_mlp.0"),
    ("attn.position.fc2", "attn.cpb_mlp.2"),
];

/// The same for the second version, whose keys have no bias.
const INSIDE_SECOND: &[(&str, &str)] = &[
    ("attn.qkv.bias", "attn.{q_bias,0,v_bias}"),
    INSIDE[1],
    INSIDE[2],
];

const TIMM: Names = Names {
    outside: &[
        ("patch_embed", "patch_embed.proj"),
        ("patch_norm", "patch_embed.norm"),
        ("head", "head.fc"),
    ],
    between: &[("downsample", |stage| format!("layers.{stage}.downsample"))],
    block: |stage, block| format!("layers.{stage}.blocks.{block}"),
    inside: INSIDE,
};

/// They count a downsampling to the stage before it.
const MICROSOFT: Names = Names {
    outside: &[
        ("patch_embed", "patch_embed.proj"),
        ("patch_norm", "patch_embed.norm"),
    ],
    between: &[("downsample", |stage| {
        format!("layers.{}.downsample", stage - 1)
    })],
    ..TIMM
};

/// The names of timm.
pub(super) fn timm(path: &str) -> String {
    TIMM.of(path)
}

/// The names of timm for the second version.
pub(super) fn timm_second(path: &str) -> String {
    Names {
        inside: INSIDE_SECOND,
        ..TIMM
    }
    .of(path)
}

/// The names of the authors' repository, microsoft/Swin-Transformer, and of timm before version 0.9.
pub(super) fn microsoft(path: &str) -> String {
    MICROSOFT.of(path)
}

/// The names of the authors' repository for the second version.
pub(super) fn microsoft_second(path: &str) -> String {
    Names {
        inside: INSIDE_SECOND,
        ..MICROSOFT
    }
    .of(path)
}

/// The names of torchvision.
pub(super) fn torchvision(path: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("patch_embed", "features.0.0"),
            ("patch_norm", "features.0.2"),
        ],
        between: &[("downsample", |stage| format!("features.{}", 2 * stage))],
        block: |stage, block| format!("features.{}.{block}", 2 * stage + 1),
        inside: &[
            INSIDE[0],
            INSIDE[1],
            INSIDE[2],
            ("mlp.fc1", "mlp.0"),
            ("mlp.fc2", "mlp.3"),
        ],
    };
    NAMES.of(path)
}

const TRANSFORMERS: Names = Names {
    outside: &[
        ("patch_embed", "embeddings.patch_embeddings.projection"),
        ("patch_norm", "embeddings.norm"),
        ("norm", "layernorm"),
        ("head", "classifier"),
    ],
    between: &[("downsample", |stage| {
        format!("encoder.layers.{}.downsample", stage - 1)
    })],
    block: |stage, block| format!("encoder.layers.{stage}.blocks.{block}"),
    inside: &[
        ("norm1", "layernorm_before"),
        ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
        ("attn.position", "attention.relative_position_bias"),
        ("attn.proj", "attention.o_proj"),
        ("norm2", "layernorm_after"),
    ],
};

/// The names of transformers since version 5; those of the body begin with `body`.
pub(super) fn transformers(path: &str, body: &str) -> String {
    TRANSFORMERS.with_body(path, body)
}

/// The names of transformers before version 5, which its published weights files still have, and of its
/// second version.
pub(super) fn transformers_old(path: &str, body: &str) -> String {
    const NAMES: Names = Names {
        inside: &[
            ("norm1", "layernorm_before"),
            ("attn.qkv", "attention.self.{query,key,value}"),
            (
                "attn.position.relative_position_bias_table",
                "attention.self.relative_position_bias_table",
            ),
            (
                "attn.position.fc1",
                "attention.self.continuous_position_bias_mlp.0",
            ),
            (
                "attn.position.fc2",
                "attention.self.continuous_position_bias_mlp.2",
            ),
            ("attn.logit_scale", "attention.self.logit_scale"),
            ("attn.proj", "attention.output.dense"),
            ("norm2", "layernorm_after"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ],
        ..TRANSFORMERS
    };
    NAMES.with_body(path, body)
}

/// The names of transformers for the second version, whose keys have no bias.
pub(super) fn transformers_second(path: &str, body: &str) -> String {
    let name = transformers_old(path, body);
    if path.ends_with(".attn.qkv.bias") {
        name.replace(",key,", ",0,")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_published_files() {
        // microsoft/swin-tiny-patch4-window7-224 and microsoft/swinv2-tiny-patch4-window8-256.
        let old = |path| transformers_old(path, "swin.");
        assert_eq!(
            old("stages.2.blocks.5.attn.qkv.bias"),
            "swin.encoder.layers.2.blocks.5.attention.self.{query,key,value}.bias"
        );
        assert_eq!(
            old("stages.0.blocks.1.attn.position.relative_position_bias_table"),
            "swin.encoder.layers.0.blocks.1.attention.self.relative_position_bias_table"
        );
        assert_eq!(
            old("stages.3.downsample.reduction.weight"),
            "swin.encoder.layers.2.downsample.reduction.weight"
        );
        let second = |path| transformers_second(path, "swinv2.");
        assert_eq!(
            second("stages.0.blocks.0.attn.qkv.bias"),
            "swinv2.encoder.layers.0.blocks.0.attention.self.{query,0,value}.bias"
        );
        assert_eq!(
            second("stages.0.blocks.0.mlp.fc2.weight"),
            "swinv2.encoder.layers.0.blocks.0.output.dense.weight"
        );
        // swinv2_tiny_patch4_window8_256.pth of the authors.
        assert_eq!(
            microsoft_second("stages.1.blocks.0.attn.qkv.bias"),
            "layers.1.blocks.0.attn.{q_bias,0,v_bias}"
        );
        assert_eq!(
            microsoft_second("stages.1.downsample.norm.weight"),
            "layers.0.downsample.norm.weight"
        );
        assert_eq!(microsoft_second("head.weight"), "head.weight");
    }
}
