//! `AdaLoRA`'s rank budget (Zhang et al. 2023, arXiv:2303.10512, sections 3.1–3.3).
//!
//! A triplet is a row of `Q`, an entry of `Λ` and a column of `P`. The importance of an entry is the
//! product of its smoothed sensitivity `|w·∂L/∂w|` and the smoothed uncertainty of that sensitivity;
//! a triplet's importance is that of its entry of `Λ` plus the means over its two vectors (equations
//! 7–11). All but the most important triplets have their entry of `Λ` set to 0. The number that is
//! left, the budget, falls along a cubic (equation 12).

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::TensorData;

use super::during_training::{DuringTraining, Moved};
use crate::adapters::LowRank;
use crate::error::MethodError;
use crate::inspect::paths::{PathStack, follow_paths};
use crate::state::{TrainedTensor, Values};

/// How the budget falls and how importance is measured.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// Rank of each layer at the start.
    pub(super) rank: usize,
    /// Mean rank at the end.
    pub(super) target_rank: usize,
    /// Share of the run before the budget falls.
    pub(super) warmup: f64,
    /// Share of the run after which the budget has fallen.
    pub(super) settle: f64,
    /// Steps between prunings.
    pub(super) interval: usize,
    /// Smoothing of the sensitivity.
    pub(super) beta1: f64,
    /// Smoothing of its uncertainty.
    pub(super) beta2: f64,
    /// Weight `γ` of the orthogonality term.
    pub(super) orthogonality: f64,
}

/// Prunes the ranks of a model's `AdaLoRA` adapters while it trains.
#[derive(Debug, Clone)]
pub struct RankBudget {
    schedule: Schedule,
    total_steps: usize,
    gradients: HashMap<ParamId, Vec<f32>>,
    /// Which entries of each `Λ` stay, once the budget has fallen.
    left: Option<HashMap<ParamId, Vec<bool>>>,
    /// Smoothed sensitivity and uncertainty of each entry.
    smoothed: HashMap<ParamId, (Vec<f32>, Vec<f32>)>,
}

/// The current factors of an adapter.
struct Triplets {
    q: Factor,
    p: Factor,
    lambda: Factor,
}

impl Triplets {
    fn named(&self) -> [(&'static str, &Factor); 3] {
        [("q", &self.q), ("p", &self.p), ("lambda", &self.lambda)]
    }
}

#[derive(Clone)]
struct Factor {
    id: ParamId,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl RankBudget {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            total_steps: 0,
            gradients: HashMap::new(),
            left: None,
            smoothed: HashMap::new(),
        }
    }

    /// The steps at which the budget begins to fall and has fallen.
    #[allow(clippy::cast_precision_loss)]
    fn fall(&self) -> (f64, f64) {
        let at = |share: f64| (share * self.total_steps as f64).floor();
        (at(self.schedule.warmup), at(self.schedule.settle))
    }

    #[allow(clippy::cast_precision_loss)]
    fn has_fallen(&self, step: usize) -> bool {
        step as f64 >= self.fall().1
    }

    /// How many of `all` triplets stay after step `step`, on the way to `target`; `None` if nothing is
    /// pruned at this step.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn budget(&self, step: usize, all: usize, target: usize) -> Option<usize> {
        let (start, end) = self.fall();
        let now = step as f64;
        if now <= start {
            return None;
        }
        if now >= end {
            return Some(target);
        }
        if !step.is_multiple_of(self.schedule.interval) {
            return None;
        }
        let left = 1.0 - (now - start) / (end - start);
        Some(((all - target) as f64 * left.powi(3) + target as f64) as usize)
    }

    /// The model after the pruning of a step.
    fn pruned<M: Module>(&mut self, step: usize, model: M) -> M {
        let mut reader = Reader::default();
        model.visit(&mut reader);
        let adapters = reader.found;
        if let Some(left) = &self.left {
            return prune(model, adapters, left);
        }
        // As in HF PEFT, the last pruning goes by the importance of the step before.
        if !self.has_fallen(step) {
            for adapter in &adapters {
                for factor in [&adapter.q, &adapter.p, &adapter.lambda] {
                    self.smooth(factor);
                }
            }
        }
        let all: usize = adapters
            .iter()
            .map(|adapter| adapter.lambda.values.len())
            .sum();
        let target = self.schedule.target_rank * all / self.schedule.rank;
        let Some(budget) = self.budget(step, all, target) else {
            return model;
        };
        let left = self.most_important(&adapters, budget);
        let model = prune(model, adapters, &left);
        if self.has_fallen(step) {
            self.left = Some(left);
        }
        model
    }

    /// Which entries of each `Λ` are among the `budget` most important ones.
    fn most_important(&self, adapters: &[Triplets], budget: usize) -> HashMap<ParamId, Vec<bool>> {
        let scores: Vec<Vec<f32>> = adapters
            .iter()
            .map(|adapter| self.importance(adapter))
            .collect();
        let mut sorted: Vec<f32> = scores.concat();
        sorted.sort_by(f32::total_cmp);
        let last = (sorted.len() - budget).checked_sub(1);
        let threshold = last.map_or(f32::NEG_INFINITY, |last| sorted[last]);
        adapters
            .iter()
            .zip(scores)
            .map(|(adapter, scores)| {
                let stays = scores.into_iter().map(|score| score > threshold);
                (adapter.lambda.id, stays.collect())
            })
            .collect()
    }

    #[allow(clippy::cast_possible_truncation)]
    fn smooth(&mut self, factor: &Factor) {
        let Some(gradient) = self.gradients.get(&factor.id) else {
            return;
        };
        let (beta1, beta2) = (self.schedule.beta1 as f32, self.schedule.beta2 as f32);
        let count = factor.values.len();
        let (mean, uncertainty) = self
            .smoothed
            .entry(factor.id)
            .or_insert_with(|| (vec![0.0; count], vec![0.0; count]));
        for i in 0..count {
            let sensitivity = (factor.values[i] * gradient[i]).abs();
            mean[i] = beta1 * mean[i] + (1.0 - beta1) * sensitivity;
            uncertainty[i] = beta2 * uncertainty[i] + (1.0 - beta2) * (sensitivity - mean[i]).abs();
        }
    }

    /// The importance of each triplet of an adapter, `[groups · rank]`.
    #[allow(clippy::cast_precision_loss)]
    fn importance(&self, adapter: &Triplets) -> Vec<f32> {
        let element = |factor: &Factor, index: usize| {
            self.smoothed
                .get(&factor.id)
                .map_or(0.0, |(mean, uncertainty)| mean[index] * uncertainty[index])
        };
        let Triplets { q, p, lambda } = adapter;
        let (inputs, outputs, rank) = (q.shape[1], p.shape[0], p.shape[1]);
        let groups = lambda.values.len() / rank;
        let rows = outputs / groups;
        (0..lambda.values.len())
            .map(|triplet| {
                let (group, column) = (triplet / rank, triplet % rank);
                let of_q: f32 = (0..inputs).map(|i| element(q, triplet * inputs + i)).sum();
                let of_p: f32 = (group * rows..(group + 1) * rows)
                    .map(|row| element(p, row * rank + column))
                    .sum();
                element(lambda, triplet) + of_q / inputs as f32 + of_p / rows as f32
            })
            .collect()
    }
}

impl DuringTraining for RankBudget {
    fn start(&mut self, total_steps: usize) {
        self.total_steps = total_steps;
    }

    /// The smoothed sensitivities, and which entries of `Λ` are left: by the adapters' numbers, in the
    /// order of the model's fields.
    fn state<M: Module>(&self, model: &M) -> Vec<TrainedTensor> {
        let mut reader = Reader::default();
        model.visit(&mut reader);
        let mut found = Vec::new();
        let mut add = |path: String, values: Vec<f32>| {
            found.push(TrainedTensor {
                path,
                shape: vec![values.len()],
                values: Values::Floats(values.into()),
            });
        };
        for (index, adapter) in reader.found.iter().enumerate() {
            for (name, factor) in adapter.named() {
                if let Some((mean, uncertainty)) = self.smoothed.get(&factor.id) {
                    add(format!("{index}.{name}.mean"), mean.clone());
                    add(format!("{index}.{name}.uncertainty"), uncertainty.clone());
                }
            }
            if let Some(left) = self
                .left
                .as_ref()
                .and_then(|left| left.get(&adapter.lambda.id))
            {
                let left = left.iter().map(|stays| f32::from(*stays)).collect();
                add(format!("{index}.left"), left);
            }
        }
        found
    }

    fn restore<M: Module>(
        &mut self,
        model: &M,
        state: Vec<TrainedTensor>,
    ) -> Result<(), MethodError> {
        let mut reader = Reader::default();
        model.visit(&mut reader);
        let mut given: HashMap<String, Vec<f32>> = HashMap::new();
        for tensor in state {
            if let Values::Floats(values) = tensor.values {
                given.insert(tensor.path, values.into_vec());
            }
        }
        let mut take = |path: &str, count: usize| match given.remove(path) {
            Some(values) if values.len() != count => Err(MethodError::OtherBase {
                difference: format!(
                    "the state `{path}` has {} numbers, not {count}",
                    values.len()
                ),
            }),
            other => Ok(other),
        };
        let mut left = HashMap::new();
        for (index, adapter) in reader.found.iter().enumerate() {
            for (name, factor) in adapter.named() {
                let count = factor.values.len();
                let mean = take(&format!("{index}.{name}.mean"), count)?;
                let uncertainty = take(&format!("{index}.{name}.uncertainty"), count)?;
                if let (Some(mean), Some(uncertainty)) = (mean, uncertainty) {
                    self.smoothed.insert(factor.id, (mean, uncertainty));
                }
            }
            let lambda = &adapter.lambda;
            if let Some(stays) = take(&format!("{index}.left"), lambda.values.len())? {
                left.insert(lambda.id, stays.iter().map(|stays| *stays != 0.0).collect());
            }
        }
        self.left = (!left.is_empty()).then_some(left);
        Ok(())
    }

    /// `γ` times the mean of `‖P·Pᵀ - I‖` over all factors (equation 4, as PEFT averages it).
    #[allow(clippy::cast_precision_loss)]
    fn penalty<M: Module>(&self, model: &M) -> Option<Tensor<1>> {
        if self.schedule.orthogonality == 0.0 {
            return None;
        }
        let mut visitor = Orthogonality::default();
        model.visit(&mut visitor);
        let count = visitor.count as f64;
        Some(visitor.sum? * (self.schedule.orthogonality / count))
    }

    /// Stores the adapters' gradients; does not change them.
    fn after_backward<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams {
        let mut visitor = Collected {
            stack: PathStack::default(),
            gradients: &gradients,
            by_id: &mut self.gradients,
        };
        model.visit(&mut visitor);
        gradients
    }

    /// Once the budget has fallen, the entries that were pruned stay at 0. Before that, they may grow
    /// again after each pruning.
    fn restrict<M: Module>(&self, model: M) -> M {
        let Some(left) = &self.left else {
            return model;
        };
        let mut reader = Reader::default();
        model.visit(&mut reader);
        prune(model, reader.found, left)
    }

    /// Updates the importance and prunes if that is due. Once the budget has fallen, the same entries
    /// stay.
    fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>) {
        (self.pruned(step, model), Vec::new())
    }
}

/// Sets the entries of each `Λ` that do not stay to 0.
fn prune<M: Module>(model: M, adapters: Vec<Triplets>, left: &HashMap<ParamId, Vec<bool>>) -> M {
    let mut values = HashMap::new();
    for Triplets { lambda, .. } in adapters {
        let Some(left) = left.get(&lambda.id) else {
            continue;
        };
        let pruned = lambda.values.into_iter().zip(left);
        let pruned = pruned.map(|(value, stays)| if *stays { value } else { 0.0 });
        values.insert(lambda.id, pruned.collect());
    }
    model.map(&mut Write { values })
}

#[derive(Default)]
struct Orthogonality {
    stack: PathStack,
    sum: Option<Tensor<1>>,
    count: usize,
}

impl ModuleVisitor for Orthogonality {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let rows_are_vectors = match self.stack.field() {
            LowRank::A => true,
            LowRank::B => false,
            _ => return,
        };
        let values = param.val();
        let shape = values.dims();
        let values = values.reshape([shape[0], shape[1]]);
        let covariance = if rows_are_vectors {
            values.clone().matmul(values.transpose())
        } else {
            values.clone().transpose().matmul(values)
        };
        let eye = Tensor::<2>::eye(covariance.dims()[0], &covariance.device());
        let norm = (covariance - eye).square().sum().sqrt();
        self.count += 1;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + norm,
            None => norm,
        });
    }
}

struct Collected<'a> {
    stack: PathStack,
    gradients: &'a GradientsParams,
    by_id: &'a mut HashMap<ParamId, Vec<f32>>,
}

impl ModuleVisitor for Collected<'_> {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let wanted = [LowRank::A, LowRank::B, LowRank::INNER];
        if !wanted.contains(&self.stack.field()) {
            return;
        }
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let values = gradient.into_data().iter::<f32>().collect();
            self.by_id.insert(param.id, values);
        }
    }
}

/// Reads the factors of every adapter, in the order of the model's fields.
#[derive(Default)]
struct Reader {
    stack: PathStack,
    q: Option<Factor>,
    p: Option<Factor>,
    found: Vec<Triplets>,
}

impl ModuleVisitor for Reader {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let read = || Factor {
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            values: param.base().into_data().iter::<f32>().collect(),
        };
        match self.stack.field() {
            LowRank::A => self.q = Some(read()),
            LowRank::B => self.p = Some(read()),
            LowRank::INNER => {
                if let (Some(q), Some(p)) = (self.q.take(), self.p.take()) {
                    let lambda = read();
                    self.found.push(Triplets { q, p, lambda });
                }
            }
            _ => {}
        }
    }
}

struct Write {
    values: HashMap<ParamId, Vec<f32>>,
}

impl ModuleMapper for Write {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&param.id) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let data = TensorData::new(values, tensor.shape());
        let new =
            Tensor::from_data(data, &tensor.device()).set_require_grad(tensor.is_require_grad());
        Param::from_mapped_value(id, new, mapper)
    }
}
