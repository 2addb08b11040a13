//! The shape of a Vision Transformer: what its families differ in.

use crate::networks::settings::{Setting, Settings};

/// The shape of a Vision Transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerShape {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Number of features of a token.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Number of heads of each attention.
    pub heads: usize,
    /// Number of features between the layers of a perceptron.
    pub hidden: usize,
    /// Whether a class token comes before the patches.
    pub class_token: bool,
    /// Whether a distillation token follows the class token (Touvron et al. 2020, arXiv:2012.12877). The
    /// head then works on both tokens, one after the other: it is the mean of `DeiT`'s two heads.
    pub distilled: bool,
    /// Number of register tokens before the patches (Darcet et al. 2023, arXiv:2309.16588).
    pub registers: usize,
    /// How tokens know where they are.
    pub positions: Positions,
    /// Whether the tokens are normalised before the first block, as in CLIP. The patch embedding has no bias
    /// then.
    pub pre_norm: bool,
    /// The biases of queries, keys and values.
    pub bias: QkvBias,
    /// Whether the outputs of both branches of a block are scaled, per feature: the initial factor (Touvron
    /// et al. 2021, arXiv:2103.17239).
    pub layer_scale: Option<f64>,
    /// What a perceptron computes between its layers.
    pub mlp: MlpKind,
    /// How tokens become the features that the head takes.
    pub pool: Pool,
    /// Added to the variance in layer normalisations.
    pub epsilon: f64,
}

/// How tokens know where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// A learned embedding of the patches and of the class and distillation tokens, which is added.
    Learned,
    /// A learned embedding of the patches alone.
    LearnedOfPatches,
    /// Rotations of queries and keys by angles that follow from the relative position in the image, as in
    /// `DINOv3` (arXiv:2508.10104).
    Rotary,
    /// [`Learned`](Self::Learned), and rotations by the index of the patch in a grid of so many rows, as in
    /// EVA-02 (arXiv:2303.11331).
    LearnedAndRotary(usize),
    /// A learned bias of the scores in each block for each distance between patches, as in `BEiT`
    /// (arXiv:2106.08254).
    Relative,
}

/// The biases of queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkvBias {
    /// One for each.
    All,
    /// None for keys.
    WithoutKeys,
}

/// What a perceptron computes between its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MlpKind {
    /// GELU.
    Gelu,
    /// GELU as `x · σ(1.702 x)`, as OpenAI's CLIP has it.
    QuickGelu,
    /// GELU with a hyperbolic tangent, as `SigLIP` has it.
    TanhGelu,
    /// `SiLU` of one half of twice as many features times the other half: SwiGLU (Shazeer 2020,
    /// arXiv:2002.05202).
    SwiGlu,
    /// SwiGLU and a normalisation after it, as in the larger EVA-02.
    NormalizedSwiGlu,
}

/// How tokens become the features that the head takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The class token, and the distillation token if there is one, normalised.
    Class,
    /// The mean of the patches, which is normalised.
    AverageThenNorm,
    /// The attention of a learned query to all tokens and a perceptron, as in `SigLIP` (Zhai et al. 2021,
    /// arXiv:2106.04560, section 3.4: MAP head).
    Attention,
}

impl TransformerShape {
    /// A shape as in the first paper (arXiv:2010.11929).
    #[must_use]
    pub const fn new(width: usize, depth: usize, heads: usize) -> Self {
        Self {
            patch: 16,
            width,
            depth,
            heads,
            hidden: 4 * width,
            class_token: true,
            distilled: false,
            registers: 0,
            positions: Positions::Learned,
            pre_norm: false,
            bias: QkvBias::All,
            layer_scale: None,
            mlp: MlpKind::Gelu,
            pool: Pool::Class,
            epsilon: 1e-6,
        }
    }

    /// The same with patches of this side in pixels.
    #[must_use]
    pub const fn patch(self, patch: usize) -> Self {
        Self { patch, ..self }
    }

    /// The settings that the configurations of transformers have for all of these networks.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = vec![
            ("hidden_size", Setting::count(self.width)),
            ("num_hidden_layers", Setting::count(self.depth)),
            ("num_attention_heads", Setting::count(self.heads)),
            ("patch_size", Setting::count(self.patch)),
            ("num_register_tokens", Setting::count(self.registers)),
        ];
        let activation = match self.mlp {
            MlpKind::Gelu => Some("gelu"),
            MlpKind::QuickGelu => Some("quick_gelu"),
            MlpKind::TanhGelu => Some("gelu_pytorch_tanh"),
            MlpKind::SwiGlu | MlpKind::NormalizedSwiGlu => None,
        };
        if self.positions == Positions::Rotary {
            settings.push(("rope_theta", Setting::Number(100.0)));
        }
        if let Some(name) = activation {
            settings.push(("hidden_act", Setting::Word(name)));
            settings.push(("intermediate_size", Setting::count(self.hidden)));
        }
        settings
    }

    /// The class and distillation tokens.
    pub(super) const fn classes(&self) -> usize {
        self.class_token as usize + self.distilled as usize
    }

    /// Tokens before those of the patches.
    pub(super) const fn prefix(&self) -> usize {
        self.classes() + self.registers
    }

    /// Entries of the position embedding for an image of so many patches; `None` if there is no embedding.
    pub(super) const fn positions(&self, patches: usize) -> Option<usize> {
        match self.positions {
            Positions::Learned | Positions::LearnedAndRotary(_) => Some(self.classes() + patches),
            Positions::LearnedOfPatches => Some(patches),
            Positions::Rotary | Positions::Relative => None,
        }
    }

    /// Number of features that the head takes.
    pub(super) const fn features(&self) -> usize {
        match self.pool {
            Pool::Class => self.classes() * self.width,
            Pool::AverageThenNorm | Pool::Attention => self.width,
        }
    }
}

/// The widths, depths and heads that the papers have names for.
pub(crate) const TINY: TransformerShape = TransformerShape::new(192, 12, 3);
pub(crate) const SMALL: TransformerShape = TransformerShape::new(384, 12, 6);
pub(crate) const BASE: TransformerShape = TransformerShape::new(768, 12, 12);
pub(crate) const LARGE: TransformerShape = TransformerShape::new(1024, 24, 16);
pub(crate) const HUGE: TransformerShape = TransformerShape::new(1280, 32, 16);
