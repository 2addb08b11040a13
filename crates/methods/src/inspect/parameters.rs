//! Which tensors a module has, what trains of them, and how many parameters that is.

use std::collections::{HashMap, HashSet};

use burn::Tensor;
use burn::module::{Flag, Module, ModuleVisitor, Param, ParamId};

use super::paths::burn_names::{BATCH_NORM, BATCH_NORM_TRAINING, RUNNING};
use crate::adapters::Neighbours;

use super::paths::{ADAPTER, Field, MASK, PathStack, follow_paths};

/// A floating-point tensor of a module, trained or frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamInfo {
    /// Path without the names of enum variants, e.g. `layer1.0.conv1.weight`.
    pub path: String,
    /// Its identity. Paths that share a tensor share the identity.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it requires gradients.
    pub trainable: bool,
    /// Whether it is a running statistic of a `BatchNorm`, or features of known images, rather than a
    /// parameter.
    pub buffer: bool,
    /// Whether training changes it: it requires gradients, is a statistic that is not frozen, or holds
    /// features of the training images.
    pub changes: bool,
    /// Name of the struct that has it as a field, e.g. `Linear`.
    pub owner: String,
}

impl ParamInfo {
    /// Whether it belongs to an adapter rather than to the model itself.
    #[must_use]
    pub fn in_adapter(&self) -> bool {
        self.path.contains(ADAPTER)
    }

    /// Whether it holds features of known images: a row for each, however many there are.
    pub(crate) fn is_index(&self) -> bool {
        let Field { owner, name } = Neighbours::INDEX;
        self.owner == owner && self.name() == name
    }

    /// Whether it is the bias of a layer of the model or the shift of a normalisation.
    #[must_use]
    pub fn is_bias(&self) -> bool {
        !self.in_adapter() && matches!(self.name(), "bias" | "beta")
    }

    /// Whether it is the scale or the shift of a normalisation.
    #[must_use]
    pub fn is_norm(&self) -> bool {
        !self.in_adapter() && matches!(self.name(), "gamma" | "beta")
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// Lists every floating-point tensor of a module, in the order of its fields.
///
/// Burn initialises a weight when it is first read; this reads all of them.
#[must_use]
pub fn parameters<M: Module>(module: &M) -> Vec<ParamInfo> {
    list(module, false)
}

/// Lists the same without initialising weights; those that are not initialised count as trainable.
///
/// Use it for a model whose weights are about to be loaded: it allocates none of them.
#[must_use]
pub fn parameters_lazily<M: Module>(module: &M) -> Vec<ParamInfo> {
    list(module, true)
}

fn list<M: Module>(module: &M, lazily: bool) -> Vec<ParamInfo> {
    let mut visitor = Lister {
        lazily,
        ..Lister::default()
    };
    module.visit(&mut visitor);
    visitor.found
}

#[derive(Default)]
struct Lister {
    lazily: bool,
    stack: PathStack,
    /// Whether the current normalisation updates its statistics.
    moving: bool,
    found: Vec<ParamInfo>,
}

impl ModuleVisitor for Lister {
    follow_paths!();

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        // The flag is a field before the statistics.
        if self.stack.field() == BATCH_NORM_TRAINING {
            self.moving = flag.val().is_enabled();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Field { owner, name } = self.stack.field();
        let statistic = owner == BATCH_NORM && name.starts_with(RUNNING);
        let known = self.stack.field() == Neighbours::INDEX;
        let buffer = statistic || known;
        let trainable =
            !buffer && ((self.lazily && !param.is_initialized()) || param.is_require_grad());
        self.found.push(ParamInfo {
            path: self.stack.path(),
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            trainable,
            buffer,
            changes: trainable || known || (statistic && self.moving),
            owner: owner.to_owned(),
        });
    }
}

/// Numbers of parameters of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterCount {
    /// Entries that training changes by gradients; of a masked tensor, the entries where the mask is 1.
    pub trainable: usize,
    /// All entries. A shared tensor counts once; buffers and masks do not count.
    pub total: usize,
}

/// Counts a module's parameters; a shared tensor counts once.
///
/// If a tensor `x` has a tensor `x_mask` (of 0 and 1) beside it, only the entries where the mask is 1
/// count as trainable.
#[must_use]
pub fn count_parameters<M: Module>(module: &M) -> ParameterCount {
    let mut count = ParameterCount {
        trainable: 0,
        total: 0,
    };
    for (param, trainable) in counts(module) {
        count.total += param.shape.iter().product::<usize>();
        count.trainable += trainable;
    }
    count
}

/// Every tensor of a module with the number of its entries that train.
///
/// A shared tensor is listed once; buffers and masks are left out.
#[must_use]
pub fn counts<M: Module>(module: &M) -> Vec<(ParamInfo, usize)> {
    let mut masks = MaskSums::default();
    module.visit(&mut masks);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for param in parameters(module) {
        if param.buffer || param.path.ends_with(MASK) || !seen.insert(param.id) {
            continue;
        }
        let trainable = if param.trainable {
            let mask = format!("{}{MASK}", param.path);
            let size = param.shape.iter().product();
            masks.active.get(&mask).copied().unwrap_or(size)
        } else {
            0
        };
        found.push((param, trainable));
    }
    found
}

#[derive(Default)]
struct MaskSums {
    stack: PathStack,
    active: HashMap<String, usize>,
}

impl ModuleVisitor for MaskSums {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.stack.field().name.ends_with(MASK) {
            let data = param.base().into_data();
            let active = data.iter::<f32>().filter(|value| *value != 0.0).count();
            self.active.insert(self.stack.path(), active);
        }
    }
}
