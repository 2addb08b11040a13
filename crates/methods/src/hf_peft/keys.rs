//! The settings of `adapter_config.json`, key by key: which are read, which change nothing, and which
//! are rejected.
//!
//! A test goes through every field of PEFT's dataclasses and finds each in exactly one list. A key that
//! is in none comes from another version of PEFT, and nobody knows what it changes: it is rejected
//! unless it is switched off, as all fields of PEFT are that a newer version adds and an adapter does
//! not use.

/// The keys of a type of HF PEFT beside those that all types have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// What is read.
    pub(crate) read: &'static [&'static str],
    /// What changes nothing of an adapter that was saved, and why.
    pub(crate) unused: &'static [(&'static str, &'static str)],
    /// What changes what an adapter or its base computes, in a way that is not supported. A key is
    /// rejected unless it is absent, null, false, 0 or empty.
    pub(crate) rejected: &'static [&'static str],
}

/// How a key of a type is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    Read,
    Unused,
    Rejected,
    /// The key is in no list.
    Unknown,
}

/// The keys that all types have.
const COMMON: Keys = Keys {
    read: &["peft_type"],
    unused: &[
        ("auto_mapping", NAMES_THE_BASE),
        ("base_model_name_or_path", NAMES_THE_BASE),
        ("revision", NAMES_THE_BASE),
        ("task_type", "chooses PEFT's wrapper of a language model"),
        ("inference_mode", "the adapter may always be trained on"),
        (
            "peft_version",
            "the file was written by the version named there",
        ),
        ("target_modules", NAMES_TENSORS),
        ("exclude_modules", NAMES_TENSORS),
        ("layers_to_transform", NAMES_TENSORS),
        ("layers_pattern", NAMES_TENSORS),
        ("modules_to_save", NAMES_TENSORS),
    ],
    rejected: &[],
};

const NAMES_THE_BASE: &str = "names the base model, whose weights are given as a file";
const NAMES_TENSORS: &str = "the names of the stored tensors say which layers have an adapter";

/// Why a setting of the start is not used.
pub(crate) const ONLY_AT_THE_START: &str =
    "sets the values before training, which the file replaces";

/// Why `fan_in_fan_out` is not used.
pub(crate) const FOR_CONV1D: &str =
    "is for the Conv1D layers of GPT-2; PEFT switches it off for a Linear layer";

/// Why a setting of biases is not used.
pub(crate) const BIASES_ARE_STORED: &str = "trained biases are among the stored tensors";

/// The settings of HF PEFT's `LoRA`.
pub(crate) const LORA_KEYS: Keys = Keys {
    read: &[
        "r",
        "lora_alpha",
        "lora_dropout",
        "rank_pattern",
        "alpha_pattern",
        "use_rslora",
        "use_dora",
        "init_lora_weights",
        "bias",
    ],
    unused: LORA_UNUSED,
    rejected: LORA_REJECTED,
};

/// What changes nothing of a saved `LoRA` of HF PEFT, and of the types that inherit its settings.
pub(crate) const LORA_UNUSED: &[(&str, &str)] = &[
    ("fan_in_fan_out", FOR_CONV1D),
    ("eva_config", ONLY_AT_THE_START),
    ("megatron_core", "is used with `megatron_config` alone"),
    ("qalora_group_size", "is used with `use_qalora` alone"),
    ("runtime_config", "moves tensors between devices"),
    ("ensure_weight_tying", "is for tied embeddings of words"),
];

/// What is not supported of HF PEFT's `LoRA`.
pub(crate) const LORA_REJECTED: &[&str] = &[
    "alora_invocation_tokens",
    "arrow_config",
    "corda_config",
    "kasa_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "lora_ga_config",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
];

impl Keys {
    pub(super) fn treatment(&self, key: &str) -> Treatment {
        let read = |keys: &Self| keys.read.contains(&key);
        let unused = |keys: &Self| keys.unused.iter().any(|(name, _)| *name == key);
        if read(self) || read(&COMMON) {
            Treatment::Read
        } else if unused(self) || unused(&COMMON) {
            Treatment::Unused
        } else if self.rejected.contains(&key) {
            Treatment::Rejected
        } else {
            Treatment::Unknown
        }
    }

    /// How many times a key is listed.
    #[cfg(test)]
    pub(crate) fn occurrences(&self, key: &str) -> usize {
        let lists = [self, &COMMON].into_iter().flat_map(|keys| {
            let unused = keys.unused.iter().map(|(name, _)| *name);
            keys.read.iter().chain(keys.rejected).copied().chain(unused)
        });
        lists.filter(|name| *name == key).count()
    }

    /// All keys.
    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> + use<> {
        let keys = [*self, COMMON].into_iter();
        keys.flat_map(|keys| {
            let unused = keys.unused.iter().map(|(name, _)| *name);
            keys.read.iter().chain(keys.rejected).copied().chain(unused)
        })
    }

    #[cfg(test)]
    pub(crate) fn rejects(&self, key: &str) -> bool {
        self.rejected.contains(&key)
    }
}
