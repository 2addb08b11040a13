//! The names that libraries have for the tensors of Vision Transformers.

use super::super::spec::{Dialect, dialect};

/// What a library calls the parts of a transformer. A pair renames a layer or a parameter.
struct Library {
    /// Comes before all names but that of the head.
    prefix: &'static str,
    head: &'static str,
    /// Outside of the blocks.
    outside: &'static [(&'static str, &'static str)],
    /// Comes before the index of a block.
    blocks: &'static str,
    /// Inside a block.
    block: &'static [(&'static str, &'static str)],
}

impl Library {
    fn name(&self, path: &str) -> String {
        if let Some(rest) = path.strip_prefix("head.") {
            return format!("{}.{rest}", self.head);
        }
        let prefix = self.prefix;
        match path
            .strip_prefix("blocks.")
            .and_then(|rest| rest.split_once('.'))
        {
            Some((index, rest)) => {
                format!(
                    "{prefix}{}{index}.{}",
                    self.blocks,
                    renamed(rest, self.block)
                )
            }
            None => format!("{prefix}{}", renamed(path, self.outside)),
        }
    }
}

/// Replaces the beginning of a path by the first pair that matches.
fn renamed(path: &str, names: &[(&str, &str)]) -> String {
    for (from, to) in names {
        match path.strip_prefix(from) {
            // `qkv.weight` becomes `in_proj_weight`: the layer is a parameter there.
            Some(rest) if from.ends_with('.') => return format!("{to}{rest}"),
            Some(rest) if rest.is_empty() || rest.starts_with('.') => return format!("{to}{rest}"),
            _ => {}
        }
    }
    path.to_owned()
}

/// Defines dialects: a constant for each, of a library and its names.
macro_rules! dialects {
    ($($(#[$doc:meta])* $name:ident = $library:literal, $names:expr;)+) => {
        $($(#[$doc])* pub(super) const $name: Dialect = {
            const NAMES: Library = $names;
            dialect($library, |path| NAMES.name(path))
        };)+
    };
}

const TIMM_BLOCK: &[(&str, &str)] = &[("scale1", "ls1.gamma"), ("scale2", "ls2.gamma")];

const TIMM_LIBRARY: Library = Library {
    prefix: "",
    head: "head",
    outside: &[
        ("patch_embed", "patch_embed.proj"),
        ("attn_pool.qkv", "attn_pool.{q,kv*2}"),
    ],
    blocks: "blocks.",
    block: TIMM_BLOCK,
};

/// timm's EVA has names of its own for scales, and pools before the last normalisation.
const TIMM_EVA_LIBRARY: Library = Library {
    outside: &[("patch_embed", "patch_embed.proj"), ("norm", "fc_norm")],
    block: &[("scale1", "gamma_1"), ("scale2", "gamma_2")],
    ..TIMM_LIBRARY
};

/// The layers of a block since version 5 of transformers, where files have the names of version 4.
const TRANSFORMERS_5_LIBRARY: Library = Library {
    prefix: "vit.",
    head: "classifier",
    outside: &[
        ("cls_token", "embeddings.cls_token"),
        ("dist_token", "embeddings.distillation_token"),
        ("reg_token", "embeddings.register_tokens"),
        ("pos_embed", "embeddings.position_embeddings"),
        ("patch_embed", "embeddings.patch_embeddings.projection"),
        ("norm", "layernorm"),
    ],
    blocks: "layers.",
    block: &[
        ("norm1", "layernorm_before"),
        ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
        ("attn.proj", "attention.o_proj"),
        ("norm2", "layernorm_after"),
    ],
};

const TRANSFORMERS_LIBRARY: Library = Library {
    blocks: "encoder.layer.",
    block: &[
        ("norm1", "layernorm_before"),
        ("attn.qkv", "attention.attention.{query,key,value}"),
        ("attn.proj", "attention.output.dense"),
        ("norm2", "layernorm_after"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ],
    ..TRANSFORMERS_5_LIBRARY
};

const BEIT_LIBRARY: Library = Library {
    prefix: "beit.",
    outside: &[
        ("cls_token", "embeddings.cls_token"),
        ("patch_embed", "embeddings.patch_embeddings.projection"),
        ("norm", "pooler.layernorm"),
    ],
    block: &[
        ("norm1", "layernorm_before"),
        ("attn.qkv", "attention.attention.{query,key,value}"),
        ("attn.q_bias", "attention.attention.query.bias"),
        ("attn.v_bias", "attention.attention.value.bias"),
        (
            "attn.relative_position_bias_table",
            "attention.attention.relative_position_bias.relative_position_bias_table",
        ),
        ("attn.proj", "attention.output.dense"),
        ("norm2", "layernorm_after"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
        ("scale1", "lambda_1"),
        ("scale2", "lambda_2"),
    ],
    ..TRANSFORMERS_LIBRARY
};

const DINOV2_LIBRARY: Library = Library {
    prefix: "dinov2.",
    block: &[
        ("attn.qkv", "attention.attention.{query,key,value}"),
        ("attn.proj", "attention.output.dense"),
        ("scale1", "layer_scale1.lambda1"),
        ("scale2", "layer_scale2.lambda1"),
    ],
    ..TRANSFORMERS_LIBRARY
};

const DINOV2_5_LIBRARY: Library = Library {
    block: &[
        ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
        ("attn.proj", "attention.o_proj"),
        ("scale1", "layer_scale1.lambda1"),
        ("scale2", "layer_scale2.lambda1"),
    ],
    ..DINOV2_LIBRARY
};

const DINOV2_GIANT_LIBRARY: Library = Library {
    block: &[
        ("attn.qkv", "attention.attention.{query,key,value}"),
        ("attn.proj", "attention.output.dense"),
        ("mlp.fc1", "mlp.weights_in"),
        ("mlp.fc2", "mlp.weights_out"),
        ("scale1", "layer_scale1.lambda1"),
        ("scale2", "layer_scale2.lambda1"),
    ],
    ..DINOV2_LIBRARY
};

/// transformers 5 divides the first layer of the perceptron.
const DINOV2_GIANT_5_LIBRARY: Library = Library {
    block: &[
        ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
        ("attn.proj", "attention.o_proj"),
        ("mlp.fc1", "mlp.{gate_proj,up_proj}"),
        ("mlp.fc2", "mlp.down_proj"),
        ("scale1", "layer_scale1.lambda1"),
        ("scale2", "layer_scale2.lambda1"),
    ],
    ..DINOV2_LIBRARY
};

const DINOV3_BLOCK: &[(&str, &str)] = &[
    ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
    ("attn.q_bias", "attention.q_proj.bias"),
    ("attn.v_bias", "attention.v_proj.bias"),
    ("attn.proj", "attention.o_proj"),
    ("mlp.fc1", "mlp.up_proj"),
    ("mlp.fc2", "mlp.down_proj"),
    ("scale1", "layer_scale1.lambda1"),
    ("scale2", "layer_scale2.lambda1"),
];

const DINOV3_PLUS_BLOCK: &[(&str, &str)] = &[
    ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
    ("attn.q_bias", "attention.q_proj.bias"),
    ("attn.v_bias", "attention.v_proj.bias"),
    ("attn.proj", "attention.o_proj"),
    ("mlp.fc1", "mlp.{gate_proj,up_proj}"),
    ("mlp.fc2", "mlp.down_proj"),
    ("scale1", "layer_scale1.lambda1"),
    ("scale2", "layer_scale2.lambda1"),
];

const DINOV3_LIBRARY: Library = Library {
    prefix: "",
    head: "classifier",
    outside: &[
        ("cls_token", "embeddings.cls_token"),
        ("reg_token", "embeddings.register_tokens"),
        ("patch_embed", "embeddings.patch_embeddings"),
    ],
    blocks: "layer.",
    block: DINOV3_BLOCK,
};

const CLIP_LIBRARY: Library = Library {
    prefix: "vision_model.",
    head: "classifier",
    outside: &[
        ("cls_token", "embeddings.class_embedding"),
        ("pos_embed", "embeddings.position_embedding.weight"),
        ("patch_embed", "embeddings.patch_embedding"),
        // As transformers spells it.
        ("norm_pre", "pre_layrnorm"),
        ("norm", "post_layernorm"),
        ("attn_pool.latent", "head.probe"),
        ("attn_pool.qkv.", "head.attention.in_proj_"),
        ("attn_pool.proj", "head.attention.out_proj"),
        ("attn_pool.norm", "head.layernorm"),
        ("attn_pool.mlp", "head.mlp"),
    ],
    blocks: "encoder.layers.",
    block: &[
        ("norm1", "layer_norm1"),
        ("attn.qkv", "self_attn.{q_proj,k_proj,v_proj}"),
        ("attn.proj", "self_attn.out_proj"),
        ("norm2", "layer_norm2"),
    ],
};

const OPEN_CLIP_LIBRARY: Library = Library {
    prefix: "visual.",
    head: "head",
    outside: &[
        ("cls_token", "class_embedding"),
        ("pos_embed", "positional_embedding"),
        ("patch_embed", "conv1"),
        ("norm_pre", "ln_pre"),
        ("norm", "ln_post"),
    ],
    blocks: "transformer.resblocks.",
    block: &[
        ("norm1", "ln_1"),
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj", "attn.out_proj"),
        ("norm2", "ln_2"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    ],
};

dialects! {
    /// timm, DeiT, and the first releases of MAE, DINO and DINOv2.
    TIMM = "timm", TIMM_LIBRARY;
    /// DINOv2 with registers as it was first published.
    DINOV2_REGISTERS = "dinov2", Library {
        outside: &[("patch_embed", "patch_embed.proj"), ("reg_token", "register_tokens")],
        ..TIMM_LIBRARY
    };
    /// DINOv2 giant as it was first published.
    DINOV2_GIANT_RELEASE = "dinov2", Library {
        outside: &[("patch_embed", "patch_embed.proj"), ("reg_token", "register_tokens")],
        block: &[
            ("mlp.fc1", "mlp.w12"), ("mlp.fc2", "mlp.w3"),
            ("scale1", "ls1.gamma"), ("scale2", "ls2.gamma"),
        ],
        ..TIMM_LIBRARY
    };
    /// EVA-02 tiny and small, with one tensor for queries, keys and values.
    TIMM_EVA = "timm", TIMM_EVA_LIBRARY;
    /// EVA-02 base and large.
    TIMM_EVA_APART = "timm", Library {
        block: &[
            ("attn.qkv", "attn.{q_proj,k_proj,v_proj}"),
            ("attn.q_bias", "attn.q_proj.bias"),
            ("attn.v_bias", "attn.v_proj.bias"),
            ("mlp.fc1", "mlp.{fc1_g,fc1_x}"),
        ],
        ..TIMM_EVA_LIBRARY
    };
    /// DINOv3 with biases (`…_qkvb`).
    TIMM_DINOV3 = "timm", Library {
        outside: &[("patch_embed", "patch_embed.proj")],
        block: &[
            ("scale1", "gamma_1"), ("scale2", "gamma_2"),
        ],
        ..TIMM_LIBRARY
    };
    /// timm leaves the biases out of files in which they are 0.
    TIMM_DINOV3_WITHOUT_BIAS = "timm", Library {
        outside: &[("patch_embed", "patch_embed.proj")],
        block: &[
            ("attn.q_bias", "attn.{0}"), ("attn.v_bias", "attn.{0}"),
            ("scale1", "gamma_1"), ("scale2", "gamma_2"),
        ],
        ..TIMM_LIBRARY
    };
    /// DINOv3 with SwiGLU: timm has two tensors.
    TIMM_DINOV3_PLUS = "timm", Library {
        outside: &[("patch_embed", "patch_embed.proj")],
        block: &[
            ("mlp.fc1", "mlp.{fc1_g,fc1_x}"),
            ("scale1", "gamma_1"), ("scale2", "gamma_2"),
        ],
        ..TIMM_LIBRARY
    };
    TIMM_DINOV3_PLUS_WITHOUT_BIAS = "timm", Library {
        outside: &[("patch_embed", "patch_embed.proj")],
        block: &[
            ("attn.q_bias", "attn.{0}"), ("attn.v_bias", "attn.{0}"),
            ("mlp.fc1", "mlp.{fc1_g,fc1_x}"),
            ("scale1", "gamma_1"), ("scale2", "gamma_2"),
        ],
        ..TIMM_LIBRARY
    };
    /// Files of transformers.
    TRANSFORMERS_VIT = "transformers", TRANSFORMERS_LIBRARY;
    TRANSFORMERS_VIT_BODY = "transformers", Library { prefix: "", ..TRANSFORMERS_LIBRARY };
    TRANSFORMERS_DEIT = "transformers", Library { prefix: "deit.", ..TRANSFORMERS_LIBRARY };
    /// The modules of transformers since version 5, whose names adapters have.
    TRANSFORMERS_5_VIT = "transformers 5", TRANSFORMERS_5_LIBRARY;
    TRANSFORMERS_5_DEIT = "transformers 5", Library { prefix: "deit.", ..TRANSFORMERS_5_LIBRARY };
    TRANSFORMERS_5_VIT_BODY = "transformers 5", Library { prefix: "", ..TRANSFORMERS_5_LIBRARY };
    TRANSFORMERS_DINOV2 = "transformers", DINOV2_LIBRARY;
    TRANSFORMERS_DINOV2_BODY = "transformers", Library { prefix: "", ..DINOV2_LIBRARY };
    TRANSFORMERS_5_DINOV2 = "transformers 5", DINOV2_5_LIBRARY;
    TRANSFORMERS_5_DINOV2_BODY = "transformers 5", Library { prefix: "", ..DINOV2_5_LIBRARY };
    TRANSFORMERS_DINOV2_REGISTERS = "transformers", Library {
        prefix: "dinov2_with_registers.", ..DINOV2_LIBRARY
    };
    TRANSFORMERS_5_DINOV2_REGISTERS = "transformers 5", Library {
        prefix: "dinov2_with_registers.", ..DINOV2_5_LIBRARY
    };
    TRANSFORMERS_DINOV2_GIANT = "transformers", DINOV2_GIANT_LIBRARY;
    TRANSFORMERS_DINOV2_GIANT_BODY = "transformers", Library { prefix: "", ..DINOV2_GIANT_LIBRARY };
    TRANSFORMERS_5_DINOV2_GIANT = "transformers 5", DINOV2_GIANT_5_LIBRARY;
    TRANSFORMERS_5_DINOV2_GIANT_BODY = "transformers 5", Library {
        prefix: "", ..DINOV2_GIANT_5_LIBRARY
    };
    TRANSFORMERS_DINOV3 = "transformers", DINOV3_LIBRARY;
    TRANSFORMERS_5_DINOV3 = "transformers 5", Library { blocks: "model.layer.", ..DINOV3_LIBRARY };
    TRANSFORMERS_DINOV3_PLUS = "transformers", Library { block: DINOV3_PLUS_BLOCK, ..DINOV3_LIBRARY };
    TRANSFORMERS_5_DINOV3_PLUS = "transformers 5", Library {
        blocks: "model.layer.", block: DINOV3_PLUS_BLOCK, ..DINOV3_LIBRARY
    };
    TIMM_BEIT = "timm", TIMM_EVA_LIBRARY;
    TRANSFORMERS_BEIT = "transformers", BEIT_LIBRARY;
    TRANSFORMERS_BEIT_BODY = "transformers", Library { prefix: "", ..BEIT_LIBRARY };
    TRANSFORMERS_5_BEIT = "transformers 5", Library {
        blocks: "layers.",
        block: &[
            ("norm1", "layernorm_before"),
            ("attn.qkv", "attention.{q_proj,k_proj,v_proj}"),
            ("attn.q_bias", "attention.q_proj.bias"),
            ("attn.v_bias", "attention.v_proj.bias"),
            ("attn.relative_position_bias_table", "relative_position_bias.relative_position_bias_table"),
            ("attn.proj", "attention.o_proj"),
            ("norm2", "layernorm_after"),
            ("scale1", "lambda_1"),
            ("scale2", "lambda_2"),
        ],
        ..BEIT_LIBRARY
    };
    TRANSFORMERS_CLIP = "transformers, transformers 5", CLIP_LIBRARY;
    /// The tower alone.
    TRANSFORMERS_5_CLIP_BODY = "transformers 5", Library { prefix: "", ..CLIP_LIBRARY };
    OPEN_CLIP = "open_clip", OPEN_CLIP_LIBRARY;
    TORCHVISION = "torchvision", Library {
        prefix: "",
        head: "heads.head",
        outside: &[
            ("cls_token", "class_token"),
            ("pos_embed", "encoder.pos_embedding"),
            ("patch_embed", "conv_proj"),
            ("norm", "encoder.ln"),
        ],
        blocks: "encoder.layers.encoder_layer_",
        block: TORCHVISION_BLOCK,
    };
    /// torchvision before version 0.13, whose names its published files still have.
    TORCHVISION_OLD = "torchvision", Library {
        prefix: "",
        head: "heads.head",
        outside: &[
            ("cls_token", "class_token"),
            ("pos_embed", "encoder.pos_embedding"),
            ("patch_embed", "conv_proj"),
            ("norm", "encoder.ln"),
        ],
        blocks: "encoder.layers.encoder_layer_",
        block: &[
            ("norm1", "ln_1"),
            ("attn.qkv.", "self_attention.in_proj_"),
            ("attn.proj", "self_attention.out_proj"),
            ("norm2", "ln_2"),
            ("mlp.fc1", "mlp.linear_1"),
            ("mlp.fc2", "mlp.linear_2"),
        ],
    };
}

/// torchvision has one tensor for queries, keys and values, which is not part of a layer.
const TORCHVISION_BLOCK: &[(&str, &str)] = &[
    ("norm1", "ln_1"),
    ("attn.qkv.", "self_attention.in_proj_"),
    ("attn.proj", "self_attention.out_proj"),
    ("norm2", "ln_2"),
    ("mlp.fc1", "mlp.0"),
    ("mlp.fc2", "mlp.3"),
];
