//! Gradual unfreezing: the head trains first, then block after block joins, from the head down.

use burn::module::{Module, ParamGroup, ParamId};
use finetune_methods::parameters;

use super::levels::Levels;

/// The parameters that are frozen for the first epochs (Howard and Ruder 2018, ULMFiT, section
/// 3.3).
///
/// As in fastai, running statistics are updated from the first epoch on. Between epochs, all
/// parameters are marked as trained, so that checkpoints do not depend on thawing.
#[derive(Debug, Clone)]
pub(crate) struct Thaw {
    /// The number of epochs until everything trains.
    epochs: usize,
    top: usize,
    /// The parameters that train in the end, and their levels.
    trains: Vec<(ParamId, usize)>,
}

impl Thaw {
    pub(crate) fn new<M: Module>(epochs: usize, model: &M) -> Self {
        let parameters = parameters(model);
        let levels = Levels::of(&parameters);
        let trains = parameters.iter().filter(|param| param.trainable);
        Self {
            epochs,
            top: levels.top(),
            trains: trains
                .map(|param| (param.id, levels.get(param.id)))
                .collect(),
        }
    }

    /// Freezes the parameters that do not train yet in an epoch (from 1).
    pub(crate) fn before<M: Module>(&self, epoch: usize, model: M) -> M {
        self.set(epoch, model, false)
    }

    /// Marks these parameters as trained again after the epoch.
    pub(crate) fn after<M: Module>(&self, epoch: usize, model: M) -> M {
        self.set(epoch, model, true)
    }

    fn set<M: Module>(&self, epoch: usize, model: M, trains: bool) -> M {
        let lowest = self.lowest(epoch);
        let frozen = self.trains.iter().filter(|(_, level)| *level < lowest);
        let frozen: Vec<ParamId> = frozen.map(|(id, _)| *id).collect();
        if frozen.is_empty() {
            return model;
        }
        model.set_require_grad_group(ParamGroup::from_ids(frozen), trains)
    }

    /// The lowest level that trains in an epoch.
    fn lowest(&self, epoch: usize) -> usize {
        if epoch > self.epochs {
            return 0;
        }
        self.top - (epoch - 1) * self.top / self.epochs
    }
}

#[cfg(test)]
mod tests {
    use burn::Tensor;
    use burn::module::Param;
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Net {
        stem: Layer,
        blocks: Vec<Layer>,
        head: Layer,
    }

    #[derive(Module, Debug)]
    struct Layer {
        weight: Param<Tensor<1>>,
        frozen: Param<Tensor<1>>,
    }

    #[test]
    fn the_network_is_unfrozen_from_the_head_to_the_first_layer() {
        let device = Device::flex().autodiff();
        let layer = || {
            let param = || Param::from_tensor(Tensor::zeros([1], &device));
            Layer {
                weight: param(),
                frozen: param().set_require_grad(false),
            }
        };
        let mut net = Net {
            stem: layer(),
            blocks: vec![layer(), layer()],
            head: layer(),
        };
        let trained = |net: &Net| -> Vec<String> {
            let parameters = parameters(net).into_iter();
            parameters
                .filter(|param| param.trainable)
                .map(|param| param.path)
                .collect()
        };
        let all = trained(&net);
        assert_eq!(all.len(), 4);
        let thaw = Thaw::new(3, &net);
        for (epoch, count) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)] {
            net = thaw.before(epoch, net);
            assert_eq!(trained(&net), all[4 - count..], "epoch {epoch}");
            net = thaw.after(epoch, net);
            assert_eq!(trained(&net), all);
        }
        let at_once = Thaw::new(1, &net);
        assert_eq!(trained(&at_once.before(1, net.clone())), all[3..]);
        let never = Thaw::new(0, &net);
        assert_eq!(trained(&never.before(1, net)), all);
    }
}
