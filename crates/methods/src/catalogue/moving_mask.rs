//! Masks that move while a method trains.
//!
//! Every `ΔT` steps until `T_end`, the share `ρ_t = ρ/2 · (1 + cos(π t / T_end))` of the active
//! entries, those with the smallest `|B|`, becomes inactive, and as many inactive entries become
//! active. They start at 0 and with cleared optimiser state (SET, Mocanu et al. 2018; the cosine is
//! `RigL`'s, Evci et al. 2020, equation 1).

use std::any::Any;
use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::during_training::{DuringTraining, Moved};
use crate::adapters::LowRank;
use crate::error::MethodError;
use crate::inspect::paths::{PathStack, follow_paths};
use crate::random::rng;
use crate::state::TrainedTensor;

/// Which inactive entries become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Regrow {
    /// Random ones (SET).
    #[default]
    Random,
    /// Those with the largest gradients (`RigL`, Evci et al. 2020, arXiv:1911.11134).
    Gradient,
}

/// What stays constant while the mask moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// The number of active entries of each layer.
    #[default]
    Layer,
    /// The number of active entries of all layers together.
    Global,
}

/// When and how masks move.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    /// Whether they move at all.
    pub(super) dynamic: bool,
    /// Share `ρ` of the active entries that the first move replaces.
    pub(super) drop_fraction: f64,
    /// Steps between moves, `ΔT`.
    pub(super) interval: usize,
    /// Share of the run after which the masks stay, `T_end`.
    pub(super) end: f64,
    pub(super) regrow: Regrow,
    pub(super) budget: Budget,
    /// Whether all layers train one shared projection.
    pub(super) tie: bool,
}

/// Moves the masks of a model's sparse adapters while it trains.
#[derive(Debug, Clone)]
pub struct MovingMask {
    moves: Moves,
    seed: u64,
    total_steps: usize,
    /// Absolute gradients of each `B`, if entries regrow by gradient.
    gradients: HashMap<ParamId, Vec<f32>>,
}

/// A masked `B`, read from the model.
#[derive(Debug, Clone, PartialEq)]
struct Masked {
    id: ParamId,
    values: Vec<f32>,
    active: Vec<bool>,
}

impl MovingMask {
    pub(super) fn new(moves: Moves, seed: u64) -> Self {
        Self {
            moves,
            seed,
            total_steps: 0,
            gradients: HashMap::new(),
        }
    }

    /// Share of the active entries that a move after step `step` (1 is the first) replaces; 0 if no
    /// move is due.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn drop_share(&self, step: usize) -> f64 {
        let end = self.moves.end * self.total_steps as f64;
        let step_f = step as f64;
        if !self.moves.dynamic || !step.is_multiple_of(self.moves.interval) || step_f >= end {
            return 0.0;
        }
        self.moves.drop_fraction / 2.0 * (1.0 + (std::f64::consts::PI * step_f / end).cos())
    }

    fn plan(&self, step: usize, share: f64, layers: Vec<Masked>) -> Vec<(Masked, Masked)> {
        let mut rng = rng(self.seed, 1_000_000 + step as u64);
        let counts: Vec<usize> = match self.moves.budget {
            Budget::Layer => layers.iter().map(|layer| portion(share, layer)).collect(),
            Budget::Global => vec![layers.iter().map(|layer| portion(share, layer)).sum()],
        };
        match self.moves.budget {
            Budget::Layer => layers
                .into_iter()
                .zip(counts)
                .map(|(layer, count)| {
                    let mut after = [layer.clone()];
                    self.relocate(&mut after, count, &mut rng);
                    let [after] = after;
                    (layer, after)
                })
                .collect(),
            Budget::Global => {
                let mut after = layers.clone();
                self.relocate(&mut after, counts[0], &mut rng);
                layers.into_iter().zip(after).collect()
            }
        }
    }

    /// Drops the `count` smallest active entries of `layers` and grows as many elsewhere.
    fn relocate(&self, layers: &mut [Masked], count: usize, rng: &mut ChaCha8Rng) {
        let mut active = Vec::new();
        let mut inactive = Vec::new();
        for (l, layer) in layers.iter().enumerate() {
            for (i, on) in layer.active.iter().enumerate() {
                if *on {
                    active.push((l, i));
                } else {
                    inactive.push((l, i));
                }
            }
        }
        let count = count.min(inactive.len());
        active.sort_by(|&(l, i), &(m, j)| {
            layers[l].values[i]
                .abs()
                .total_cmp(&layers[m].values[j].abs())
                .then((l, i).cmp(&(m, j)))
        });
        for &(l, i) in &active[..count] {
            layers[l].active[i] = false;
            layers[l].values[i] = 0.0;
        }
        match self.moves.regrow {
            Regrow::Random => {
                for k in 0..count {
                    let pick = rng.random_range(k..inactive.len());
                    inactive.swap(k, pick);
                }
            }
            Regrow::Gradient => {
                let size = |&(l, i): &(usize, usize)| {
                    self.gradients
                        .get(&layers[l].id)
                        .map_or(0.0, |sizes| sizes[i])
                };
                inactive.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
            }
        }
        for &(l, i) in &inactive[..count] {
            layers[l].active[i] = true;
            layers[l].values[i] = 0.0;
        }
    }
}

impl DuringTraining for MovingMask {
    fn start(&mut self, total_steps: usize) {
        self.total_steps = total_steps;
    }

    /// Nothing: the moves depend on the seed, the step and the model alone.
    fn state<M: Module>(&self, _model: &M) -> Vec<TrainedTensor> {
        Vec::new()
    }

    fn restore<M: Module>(
        &mut self,
        _model: &M,
        _state: Vec<TrainedTensor>,
    ) -> Result<(), MethodError> {
        Ok(())
    }

    fn penalty<M: Module>(&self, _model: &M) -> Option<Tensor<1>> {
        None
    }

    /// If entries regrow by gradient: remembers the gradients of all of `B` and passes only those
    /// under the mask to the optimiser.
    fn after_backward<M: Module>(
        &mut self,
        model: &M,
        mut gradients: GradientsParams,
    ) -> GradientsParams {
        if self.moves.regrow == Regrow::Gradient && self.moves.dynamic {
            let mut visitor = MaskGradients {
                stack: PathStack::default(),
                last: None,
                gradients: &mut gradients,
                sizes: &mut self.gradients,
            };
            model.visit(&mut visitor);
        }
        gradients
    }

    /// Only the entries under the mask are left.
    fn restrict<M: Module>(&self, model: M) -> M {
        let mut reader = Reader::default();
        model.visit(&mut reader);
        let inside = |mut layer: Masked| {
            for (value, active) in layer.values.iter_mut().zip(&layer.active) {
                if !active {
                    *value = 0.0;
                }
            }
            (layer.id, layer)
        };
        model.map(&mut Replace {
            stack: PathStack::default(),
            new: reader.found.into_iter().map(inside).collect(),
            mask: None,
            tie: false,
            projection: None,
        })
    }

    /// Moves the masks if a move is due, and makes all layers share the first one's projection if it
    /// trains.
    fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>) {
        let share = self.drop_share(step);
        let mut replace = Replace {
            stack: PathStack::default(),
            new: HashMap::new(),
            mask: None,
            tie: self.moves.tie,
            projection: None,
        };
        let mut moved = Vec::new();
        if share > 0.0 {
            let mut reader = Reader::default();
            model.visit(&mut reader);
            for (before, after) in self.plan(step, share, reader.found) {
                let keep = (0..before.active.len())
                    .map(|i| before.active[i] && after.active[i])
                    .collect();
                moved.push(Moved { id: after.id, keep });
                replace.new.insert(after.id, after);
            }
        }
        if replace.new.is_empty() && !replace.tie {
            return (model, moved);
        }
        (model.map(&mut replace), moved)
    }
}

/// The number of entries that the share `share` of a layer's active entries is.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn portion(share: f64, layer: &Masked) -> usize {
    let active = layer.active.iter().filter(|on| **on).count();
    (share * active as f64).round() as usize
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Reads every masked `B`, in the order of the model's fields.
#[derive(Default)]
struct Reader {
    stack: PathStack,
    last: Option<(ParamId, Vec<f32>)>,
    found: Vec<Masked>,
}

impl ModuleVisitor for Reader {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.stack.field() {
            LowRank::B => self.last = Some((param.id, values(param.base()))),
            LowRank::B_MASK => {
                if let Some((id, numbers)) = self.last.take() {
                    let active = values(param.base()).iter().map(|on| *on != 0.0).collect();
                    self.found.push(Masked {
                        id,
                        values: numbers,
                        active,
                    });
                }
            }
            _ => {}
        }
    }
}

/// Masks the gradients of every `B`, and stores their absolute values before that.
struct MaskGradients<'a> {
    stack: PathStack,
    last: Option<ParamId>,
    gradients: &'a mut GradientsParams,
    sizes: &'a mut HashMap<ParamId, Vec<f32>>,
}

impl ModuleVisitor for MaskGradients<'_> {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.stack.field() {
            LowRank::B => self.last = Some(param.id),
            LowRank::B_MASK => {
                let Some(id) = self.last.take() else { return };
                let Some(gradient) = self.gradients.remove::<D>(id) else {
                    return;
                };
                let sizes = values(gradient.clone()).into_iter().map(f32::abs).collect();
                self.sizes.insert(id, sizes);
                let mask = param.base().without_autodiff();
                self.gradients.register(id, gradient * mask);
            }
            _ => {}
        }
    }
}

/// Writes new values and masks, and replaces all projections by the first.
struct Replace {
    stack: PathStack,
    new: HashMap<ParamId, Masked>,
    /// The new mask of the `B` that was visited last.
    mask: Option<Vec<f32>>,
    /// Whether projections are replaced by the first.
    tie: bool,
    /// The first projection, once it was visited.
    projection: Option<Param<Tensor<2>>>,
}

impl Replace {
    fn leaf<const D: usize>(param: Param<Tensor<D>>, values: Vec<f32>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let data = TensorData::new(values, tensor.shape());
        let new =
            Tensor::from_data(data, &tensor.device()).set_require_grad(tensor.is_require_grad());
        Param::from_mapped_value(id, new, mapper)
    }
}

impl ModuleMapper for Replace {
    follow_paths!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.stack.field() {
            LowRank::A if self.tie => {
                // A projection is a matrix, but `D` is generic.
                let param: Box<dyn Any> = Box::new(param);
                let tied = match param.downcast::<Param<Tensor<2>>>() {
                    Ok(param) => self.projection.get_or_insert(*param).clone(),
                    Err(_) => unreachable!("a projection has rank 2"),
                };
                let tied: Box<dyn Any> = Box::new(tied);
                match tied.downcast::<Param<Tensor<D>>>() {
                    Ok(tied) => *tied,
                    Err(_) => unreachable!("`D` is 2 here"),
                }
            }
            LowRank::B => match self.new.remove(&param.id) {
                Some(sparse) => {
                    // The mask is the field after `B`.
                    self.mask = Some(sparse.active.iter().map(|on| f32::from(*on)).collect());
                    Self::leaf(param, sparse.values)
                }
                None => param,
            },
            LowRank::B_MASK => match self.mask.take() {
                Some(mask) => Self::leaf(param, mask),
                None => param,
            },
            _ => param,
        }
    }
}
