//! A moving average of the weights, which is validated and saved in their place.

use std::collections::{HashMap, HashSet};

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, TensorData};
use finetune_methods::catalogue::Moved;
use finetune_methods::{Dynamics, Floats, TrainedTensor, Values, parameters};

use crate::error::TrainingError;

/// An exponential moving average of the trained parameters (Polyak and Juditsky 1992) with timm's
/// warm-up (`ModelEmaV3`, `use_warmup`): the decay of update `n` is `min(decay, 1 - n^(-2/3))`, so
/// that the average soon forgets the first weights.
///
/// Running statistics are not averaged but copied (as in PyTorch's `AveragedModel`).
#[derive(Debug, Clone)]
pub(crate) struct Ema {
    decay: f64,
    updates: usize,
    /// The parameters that are averaged, and their paths.
    trains: HashMap<ParamId, String>,
    /// Each average as a flat tensor; empty before the first update.
    averages: HashMap<ParamId, Tensor<1>>,
}

impl Ema {
    /// An average of all parameters that train, before its first update.
    pub(crate) fn new<M: Module>(decay: f64, model: &M) -> Self {
        let mut trains = HashMap::new();
        for param in parameters(model) {
            if param.trainable {
                trains.entry(param.id).or_insert(param.path);
            }
        }
        Self {
            decay,
            updates: 0,
            trains,
            averages: HashMap::new(),
        }
    }

    /// Adds the weights after a step.
    pub(crate) fn update<M: Module>(&mut self, model: &M) {
        self.updates += 1;
        let mut add = Add {
            share: 1.0 - decay(self.decay, self.updates),
            seen: HashSet::new(),
            ema: self,
        };
        model.visit(&mut add);
    }

    /// The model with the averages in place of its weights; it can go on training.
    fn on<M: Module>(&self, model: M) -> M {
        model.map(&mut Replace(&self.averages))
    }

    /// The model that is validated and saved: [`on`](Self::on) without what the method has removed
    /// from the model, whose average may be left.
    pub(crate) fn output<M: Module>(&self, model: M, dynamics: Option<&Dynamics>) -> M {
        let model = self.on(model);
        match dynamics {
            Some(dynamics) => dynamics.restrict(model),
            None => model,
        }
    }

    /// Sets the averages to 0 where a mask that has moved does not keep them: an entry that grows
    /// again has no past.
    pub(crate) fn forget(&mut self, moved: &[Moved]) {
        for moved in moved {
            let Some(average) = self.averages.remove(&moved.id) else {
                continue;
            };
            let kept = average.clone() * kept(moved, &average);
            self.averages.insert(moved.id, kept);
        }
    }

    /// The number of updates so far.
    pub(crate) fn updates(&self) -> usize {
        self.updates
    }

    /// The averages, sorted by path.
    pub(crate) fn tensors(&self) -> Vec<TrainedTensor> {
        let mut tensors: Vec<TrainedTensor> = self
            .averages
            .iter()
            .filter_map(|(id, average)| {
                let values = Floats::of(average.clone());
                Some(TrainedTensor {
                    path: self.trains.get(id)?.clone(),
                    shape: vec![values.len()],
                    values: Values::Floats(values),
                })
            })
            .collect();
        tensors.sort_by(|a, b| a.path.cmp(&b.path));
        tensors
    }

    /// Restores averages from a checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if one is missing.
    pub(crate) fn restore(
        &mut self,
        updates: usize,
        tensors: Vec<TrainedTensor>,
        device: &Device,
    ) -> Result<(), TrainingError> {
        let mut given: HashMap<String, Values> = tensors
            .into_iter()
            .map(|tensor| (tensor.path, tensor.values))
            .collect();
        self.updates = updates;
        if updates == 0 {
            return Ok(());
        }
        for (id, path) in &self.trains {
            let Some(Values::Floats(values)) = given.remove(path) else {
                let reason = format!("the average of `{path}` is missing");
                return Err(TrainingError::Checkpoint(reason));
            };
            let count = values.len();
            let average = Tensor::from_data(TensorData::new(values.into_vec(), [count]), device);
            self.averages.insert(*id, average);
        }
        Ok(())
    }
}

/// 1 for the entries that a move of a mask keeps and 0 for the others, like the flat tensor `like`.
pub(super) fn kept(moved: &Moved, like: &Tensor<1>) -> Tensor<1> {
    let keep = moved.keep.iter().map(|keep| f32::from(u8::from(*keep)));
    let data = TensorData::new(keep.collect(), like.shape());
    Tensor::from_data(data, &like.device())
}

/// The decay of update `update` (from 1).
#[allow(clippy::cast_precision_loss)]
fn decay(most: f64, update: usize) -> f64 {
    most.min(1.0 - (update as f64).powf(-2.0 / 3.0))
}

struct Add<'a> {
    share: f64,
    /// A shared tensor is visited several times.
    seen: HashSet<ParamId>,
    ema: &'a mut Ema,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.ema.trains.contains_key(&param.id) || !self.seen.insert(param.id) {
            return;
        }
        let weights = param.base().inner();
        let weights = weights.clone().reshape([weights.shape().num_elements()]);
        let average = match self.ema.averages.remove(&param.id) {
            Some(average) => average.clone() + (weights - average) * self.share,
            None => weights,
        };
        self.ema.averages.insert(param.id, average);
    }
}

struct Replace<'a>(&'a HashMap<ParamId, Tensor<1>>);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(average) = self.0.get(&param.id) else {
            return param;
        };
        let average = Tensor::from_inner(average.clone().reshape(param.lazy_shape()));
        let id = param.id;
        param.transform_for_load(average, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Module, Debug)]
    struct Net {
        trained: Param<Tensor<2>>,
        frozen: Param<Tensor<1>>,
    }

    fn net(value: f32, device: &Device) -> Net {
        Net {
            trained: Param::from_tensor(Tensor::full([2, 3], value, device)),
            frozen: Param::from_tensor(Tensor::full([2], value, device)).set_require_grad(false),
        }
    }

    fn first<const D: usize>(param: &Param<Tensor<D>>) -> f32 {
        param.val().into_data().iter::<f32>().next().unwrap()
    }

    #[test]
    fn the_decay_warms_up_as_in_timm() {
        // ModelEmaV3(use_warmup=True).get_decay(n), n = 1, 2, 9, with decay 0.9999 and 0.7.
        for (update, wanted) in [(1, 0.0), (2, 0.370_039_475), (9, 0.768_879_575)] {
            assert!((decay(0.9999, update) - wanted).abs() < 1e-8, "{update}");
        }
        assert!((decay(0.7, 9) - 0.7).abs() < 1e-12);
    }

    #[test]
    fn trained_parameters_are_averaged_and_averages_can_be_restored() {
        let device = Device::flex().autodiff();
        let mut model = net(1.0, &device);
        let mut ema = Ema::new(0.5, &model);
        let ids = (model.trained.id, model.frozen.id);
        let mut wanted = 0.0;
        for (update, value) in [(1, 1.0_f32), (2, 3.0), (3, 11.0), (4, 2.0)] {
            model = net(value, &device);
            model.trained.id = ids.0;
            model.frozen.id = ids.1;
            ema.update(&model);
            let decay = [0.0, 0.370_039_475, 0.5, 0.5][update - 1];
            wanted = wanted * decay + f64::from(value) * (1.0 - decay);
        }
        let averaged = ema.on(model.clone());
        assert!((f64::from(first(&averaged.trained)) - wanted).abs() < 1e-5);
        assert!(averaged.trained.is_require_grad());
        assert!((first(&averaged.frozen) - 2.0).abs() < 1e-9);
        assert!((first(&model.trained) - 2.0).abs() < 1e-9);

        let mut again = Ema::new(0.5, &model);
        again
            .restore(ema.updates(), ema.tensors(), &device.clone().inner())
            .unwrap();
        ema.update(&model);
        again.update(&model);
        assert_eq!(again.tensors(), ema.tensors());
        assert!(
            Ema::new(0.5, &model)
                .restore(1, Vec::new(), &device)
                .is_err()
        );
    }
    #[test]
    fn an_entry_whose_mask_moved_has_no_past() {
        let device = Device::flex().autodiff();
        let model = net(4.0, &device);
        let mut ema = Ema::new(0.5, &model);
        ema.update(&model);
        ema.forget(&[Moved {
            id: model.trained.id,
            keep: vec![true, false, true, true, true, false],
        }]);
        let averaged = |ema: &Ema| -> Vec<f32> {
            let model = ema.on(model.clone());
            model.trained.val().into_data().iter().collect()
        };
        assert_eq!(averaged(&ema), [4.0, 0.0, 4.0, 4.0, 4.0, 0.0]);
        // The second update has the decay 0.37004: the forgotten entries come from 0.
        ema.update(&model);
        let after = averaged(&ema);
        assert!((after[0] - 4.0).abs() < 1e-5);
        assert!((after[1] - 4.0 * (1.0 - 0.370_039_5)).abs() < 1e-5);
    }
}
