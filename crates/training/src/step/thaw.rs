//! Gradual unfreezing: the head first, then block after block from the top.

use burn::module::{Module, ParamGroup, ParamId};
use finetune_methods::parameters;

use crate::step::levels::Levels;

/// Which parameters rest in which epoch (Howard and Ruder 2018, ULMFiT, section 3.3).
///
/// As in fastai, running statistics go on moving. Between epochs everything counts as trained, so
/// that checkpoints do not depend on it.
#[derive(Debug, Clone)]
pub(crate) struct Thaw {
    /// Epochs until everything trains.
    epochs: usize,
    top: usize,
    /// What trains at last, and its level.
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

    /// Lets what rests in an epoch (1 is the first) rest.
    pub(crate) fn before<M: Module>(&self, epoch: usize, model: M) -> M {
        self.set(epoch, model, false)
    }

    /// Wakes it again after that epoch.
    pub(crate) fn after<M: Module>(&self, epoch: usize, model: M) -> M {
        self.set(epoch, model, true)
    }

    fn set<M: Module>(&self, epoch: usize, model: M, trains: bool) -> M {
        let lowest = self.lowest(epoch);
        let resting = self.trains.iter().filter(|(_, level)| *level < lowest);
        let resting: Vec<ParamId> = resting.map(|(id, _)| *id).collect();
        if resting.is_empty() {
            return model;
        }
        model.set_require_grad_group(ParamGroup::from_ids(resting), trains)
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
    fn the_network_thaws_from_the_top() {
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
