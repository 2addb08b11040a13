//! Attaching a method: which parameters train, which are frozen, and which layers get an adapter.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, Param, ParamGroup, ParamId, Reparameterizer};

use super::adapted::{Adapted, Faster, Parts};
use super::maker::Maker;
use super::scope::Scope;
use crate::catalogue::{Adapter, Context, Method, Place};
use crate::error::MethodError;
use crate::inspect::paths::ADAPTER;
use crate::inspect::{
    Layer, LayerKind, ParamInfo, adapt, ends_with, is_under, layers, nearest, parameters,
};

impl Method {
    /// Attaches the method to a model whose parameters all require gradients.
    ///
    /// The model computes the same as before, except with [`VptDeep`](Self::VptDeep), whose prompts
    /// are not neutral.
    ///
    /// # Errors
    ///
    /// A setting out of range, a head or target that names no layer, a head that is not Linear for a
    /// method that answers in place of it, missing gradients, or a model that already carries adapters.
    pub fn attach<M: Module + ModuleDisplay>(
        &self,
        model: M,
        scope: &Scope<'_>,
    ) -> Result<Adapted<M>, MethodError> {
        let parameters = parameters(&model);
        let mut trained = head_ids(&parameters, scope.head)?;
        let parts = |model| Parts {
            model,
            dynamics: self.dynamics(scope.seed),
            fit: self.fit(scope.seed),
            faster: None,
            head: scope.head.to_owned(),
        };
        if !self.freezes_base() {
            return Ok(Adapted::new(self.name(), parts(model)));
        }
        let whole = whole(&parameters, scope.modules_to_save)?;
        let mut all = layers(&model);
        all.retain(|layer| !whole.contains(&layer.weight));
        trained.extend(whole);
        let selected = match self.place() {
            Place::Nowhere => Vec::new(),
            Place::Head => {
                // Nothing of a head trains that another answers for.
                trained.clear();
                vec![self.linear_head(&all, scope.head)?]
            }
            Place::AnyLayer | Place::Attention | Place::FeedForward => {
                scope.targets.select(&all, scope.head)?
            }
        };
        let beside = parameters
            .iter()
            .filter(|param| self.trained_beside(param, &selected));
        trained.extend(beside.map(|param| param.id));
        let device = model.devices().into_iter().next().unwrap_or_default();
        self.check(&selected)?;
        let maker = self.maker(&Context {
            method: self.name(),
            layers: &selected,
            device: &device,
            seed: scope.seed,
            importance: scope.importance,
        })?;
        let mut model = model.freeze();
        if let Some(mut maker) = maker {
            model = attach_adapters(model, &selected, maker.as_mut());
        }
        let mut model = model.unfreeze_group(ParamGroup::from_ids(trained));
        if scope.adapt_statistics {
            model = adapt(model);
        }
        let faster = self.faster_than_the_rest(&model);
        let parts = Parts {
            faster,
            ..parts(model)
        };
        Ok(Adapted::new(self.name(), parts))
    }

    /// The only layer of the head, which must be Linear.
    fn linear_head<'a>(&self, all: &'a [Layer], head: &str) -> Result<&'a Layer, MethodError> {
        let mut of_head = all.iter().filter(|layer| is_under(&layer.path, head));
        match (of_head.next(), of_head.next()) {
            (Some(layer), None) if layer.kind == LayerKind::Linear => Ok(layer),
            _ => Err(MethodError::NotLinear {
                method: self.name(),
                head: head.to_owned(),
            }),
        }
    }

    /// The parameters of an adapted model that train at another learning rate.
    fn faster_than_the_rest<M: Module>(&self, model: &M) -> Option<Faster> {
        let (ratio, field) = self.faster()?;
        let in_field =
            |param: &ParamInfo| param.trainable && param.in_adapter() && param.name() == field.name;
        Some(Faster {
            ratio,
            parameters: parameters(model)
                .into_iter()
                .filter(in_field)
                .map(|param| param.id)
                .collect(),
        })
    }
}

/// The parameters of the head of a model that carries no adapters yet.
pub(crate) fn head_ids(parameters: &[ParamInfo], head: &str) -> Result<Vec<ParamId>, MethodError> {
    if let Some(adapted) = parameters.iter().find(|param| param.in_adapter()) {
        let path = adapted.path.split(ADAPTER).next();
        return Err(MethodError::AlreadyAdapted {
            path: path.unwrap_or_default().to_owned(),
        });
    }
    let ids: Vec<ParamId> = parameters
        .iter()
        .filter(|param| is_under(&param.path, head))
        .map(|param| param.id)
        .collect();
    if ids.is_empty() {
        return Err(MethodError::HeadNotFound {
            head: head.to_owned(),
            nearest: nearest_layers(parameters, head),
        });
    }
    Ok(ids)
}

/// The parameters of the layers that train whole, given by their names.
fn whole(parameters: &[ParamInfo], names: &[String]) -> Result<Vec<ParamId>, MethodError> {
    let mut found = Vec::new();
    for name in names {
        let is_of = |param: &&ParamInfo| {
            // The layer itself, or a module that contains it.
            let parts = param.path.match_indices('.');
            let mut parents = parts.map(|(dot, _)| &param.path[..dot]);
            !param.buffer && parents.any(|parent| ends_with(parent, name))
        };
        let before = found.len();
        found.extend(parameters.iter().filter(is_of).map(|param| param.id));
        if found.len() == before {
            return Err(MethodError::NothingMatched {
                pattern: name.clone(),
                nearest: nearest_layers(parameters, name),
            });
        }
    }
    Ok(found)
}

/// The layers whose paths resemble `name` most.
fn nearest_layers(parameters: &[ParamInfo], name: &str) -> Vec<String> {
    let paths = parameters
        .iter()
        .filter_map(|param| param.path.rsplit_once('.'));
    let mut paths: Vec<_> = paths.map(|(layer, _)| layer).collect();
    paths.dedup();
    nearest(name, paths.into_iter(), 3)
}

/// Puts the adapters that `maker` makes on the given layers of a model.
pub(crate) fn attach_adapters<M: Module>(
    model: M,
    layers: &[&Layer],
    maker: &mut dyn Maker<Adapter>,
) -> M {
    model.apply_reparameterization(Attach {
        layers: layers.iter().map(|layer| (layer.weight, *layer)).collect(),
        maker,
    })
}

struct Attach<'a, 'b> {
    layers: HashMap<ParamId, &'a Layer>,
    maker: &'a mut (dyn Maker<Adapter> + 'b),
}

impl Reparameterizer for Attach<'_, '_> {
    type Reparam = Adapter;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Adapter>) {
        let Some(layer) = self.layers.remove(&param.id) else {
            return (param, None);
        };
        let base = param.base();
        let shape = base.dims();
        let made = self.maker.make(layer, layer.shape.matrix(base));
        let param = match made.base {
            None => param,
            Some(base) => param.map(|_| layer.shape.weight(base, shape).detach()),
        };
        let Some(quantize) = made.quantize else {
            return (param, Some(made.adapter));
        };
        let mut blocks = None;
        let param = param.map(|weight| {
            let stored = quantize.store(weight, layer.shape);
            blocks = stored.blocks;
            stored.codes
        });
        let adapter = match made.adapter {
            Adapter::LowRank(adapter) => Adapter::LowRank(adapter.above(blocks)),
            other => other,
        };
        (param, Some(adapter))
    }
}
