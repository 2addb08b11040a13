//! Adapters that are made already: read from a file, or combined from others.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Param, ParamId};

use crate::adapters::Adapter;
use crate::adapters::start;
use crate::catalogue::{LoraInit, Made, Maker};
use crate::inspect::Layer;

/// Hands out adapters that are made already.
pub(crate) struct Ready {
    /// By the weights of their layers.
    pub(crate) made: HashMap<ParamId, Adapter>,
    /// What the base lacks for them.
    pub(crate) init: LoraInit,
}

impl Maker for Ready {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let Some(mut adapter) = self.made.remove(&layer.weight) else {
            unreachable!("only layers that have one are selected");
        };
        let mut new_base = None;
        if let Adapter::LowRank(low_rank) = &mut adapter {
            let rank = low_rank.geometry.rank;
            let scale = low_rank.geometry.scale;
            let split = start::split(&base, layer.shape, self.init, rank, scale);
            new_base = split.map(|split| split.base);
            if low_rank.magnitude.is_some() {
                let base = new_base.clone().unwrap_or(base);
                let square = base.square().sum_dim(1).squeeze_dim::<1>(1).detach();
                low_rank.base_square = Some(Param::from_tensor(square).set_require_grad(false));
            }
        }
        Made {
            adapter,
            base: new_base,
            quantize: None,
        }
    }
}
