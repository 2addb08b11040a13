//! The moving mask of the sparse shared method.
//!
//! Every `ΔT` steps, until the share `end` of the run, the share
//! `ρ_t = ρ/2 · (1 + cos(π t / T_end))` of the active entries with the smallest `|B|` is dropped
//! and as many inactive ones become active, at 0 and with cleared optimiser state (SET, Mocanu et
//! al. 2018; the cosine is `RigL`'s, Evci et al. 2020, equation 1).

use std::any::Any;
use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Moved;
use crate::catalogue::{Budget, PeftConfig, Regrow};
use crate::inspect::{PathStack, follow_paths};
use crate::random::rng;

/// Moves the masks of a model's sparse adapters while it trains.
///
/// A training loop calls [`after_backward`](Self::after_backward) on the gradients of each step,
/// then its optimiser, then [`after_step`](Self::after_step).
#[derive(Debug, Clone)]
pub struct SparseDynamics {
    config: PeftConfig,
    seed: u64,
    total_steps: usize,
    /// Size of the gradient of each `B`, where entries grow back by gradient.
    gradients: HashMap<ParamId, Vec<f32>>,
}

/// One sparse `B`, read from the model.
#[derive(Debug, Clone, PartialEq)]
struct Sparse {
    id: ParamId,
    values: Vec<f32>,
    active: Vec<bool>,
}

impl SparseDynamics {
    pub(crate) fn new(config: PeftConfig, seed: u64) -> Self {
        Self {
            config,
            seed,
            total_steps: 0,
            gradients: HashMap::new(),
        }
    }

    /// Tells how many optimiser steps the run takes; the schedule of the moves depends on it.
    pub fn start(&mut self, total_steps: usize) {
        self.total_steps = total_steps;
    }

    /// Share of the active entries that a move at `step` (1 is the first) replaces; 0 where none
    /// is due.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn drop_share(&self, step: usize) -> f64 {
        let end = self.config.end * self.total_steps as f64;
        let step_f = step as f64;
        if !self.config.moves() || !step.is_multiple_of(self.config.interval) || step_f >= end {
            return 0.0;
        }
        self.config.drop_fraction / 2.0 * (1.0 + (std::f64::consts::PI * step_f / end).cos())
    }

    /// Where entries grow back by gradient: remembers the gradients of all of `B`, and lets only
    /// those under the mask through to the optimiser. Elsewhere it changes nothing.
    #[must_use]
    pub fn after_backward<M: Module>(
        &mut self,
        model: &M,
        mut gradients: GradientsParams,
    ) -> GradientsParams {
        if self.config.regrow == Regrow::Gradient && self.config.moves() {
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

    /// Moves the masks where a move is due, and keeps a trained projection shared.
    ///
    /// Returns the model and what moved; the caller clears the optimiser's state there.
    #[must_use]
    pub fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>) {
        let share = self.drop_share(step);
        let mut replace = Replace {
            stack: PathStack::default(),
            new: HashMap::new(),
            mask: None,
            tie: self.config.share && self.config.train_shared,
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

    fn plan(&self, step: usize, share: f64, layers: Vec<Sparse>) -> Vec<(Sparse, Sparse)> {
        let mut rng = rng(self.seed, 1_000_000 + step as u64);
        let counts: Vec<usize> = match self.config.budget {
            Budget::Layer => layers.iter().map(|layer| portion(share, layer)).collect(),
            Budget::Global => vec![layers.iter().map(|layer| portion(share, layer)).sum()],
        };
        match self.config.budget {
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
    fn relocate(&self, layers: &mut [Sparse], count: usize, rng: &mut ChaCha8Rng) {
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
        match self.config.regrow {
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

/// How many active entries the share `share` of a layer is.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn portion(share: f64, layer: &Sparse) -> usize {
    let active = layer.active.iter().filter(|on| **on).count();
    (share * active as f64).round() as usize
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Reads every `B` that has a mask, in the order of the model's fields.
#[derive(Default)]
struct Reader {
    stack: PathStack,
    last: Option<(ParamId, Vec<f32>)>,
    found: Vec<Sparse>,
}

impl ModuleVisitor for Reader {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.stack.field() {
            ("lora_b", "LowRank") => self.last = Some((param.id, values(param.base()))),
            ("lora_b_mask", "LowRank") => {
                if let Some((id, numbers)) = self.last.take() {
                    let active = values(param.base()).iter().map(|on| *on != 0.0).collect();
                    self.found.push(Sparse {
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

/// Masks the gradients of every `B` and keeps their sizes.
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
            ("lora_b", "LowRank") => self.last = Some(param.id),
            ("lora_b_mask", "LowRank") => {
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

/// Writes new values and masks; ties all projections to the first.
struct Replace {
    stack: PathStack,
    new: HashMap<ParamId, Sparse>,
    /// The new mask of the `B` that was visited last.
    mask: Option<Vec<f32>>,
    /// Whether projections are tied.
    tie: bool,
    /// The first projection, once it was seen.
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
            ("lora_a", "LowRank") if self.tie => {
                // All projections are matrices; Burn's mapper only knows their rank as `D`.
                let param: Box<dyn Any> = Box::new(param);
                let tied = match param.downcast::<Param<Tensor<2>>>() {
                    Ok(param) => self.projection.get_or_insert(*param).clone(),
                    Err(_) => unreachable!("a projection has rank 2"),
                };
                let tied: Box<dyn Any> = Box::new(tied);
                match tied.downcast::<Param<Tensor<D>>>() {
                    Ok(tied) => *tied,
                    Err(_) => unreachable!("it had this type before"),
                }
            }
            ("lora_b", "LowRank") => match self.new.remove(&param.id) {
                Some(sparse) => {
                    // The mask follows its B in the order of fields.
                    self.mask = Some(sparse.active.iter().map(|on| f32::from(*on)).collect());
                    Self::leaf(param, sparse.values)
                }
                None => param,
            },
            ("lora_b_mask", "LowRank") => match self.mask.take() {
                Some(mask) => Self::leaf(param, mask),
                None => param,
            },
            _ => param,
        }
    }
}
