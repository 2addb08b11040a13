//! An adapter in HF PEFT's format.

use std::collections::HashSet;

use burn::module::{Module, ModuleDisplay, ParamGroup};
use serde_json::{Map, Value};

use super::fused::{self, Opened};
use super::names::{Names, PREFIX};
use super::order::Order;
use super::parts::parts;
use super::read::{File, LayerTensors};
use super::settings::{Settings, rejected};
use super::write::Writer;
use crate::attach::{Adapted, Parts, attach_adapters, head_ids};
use crate::catalogue::{Method, reader, write};
use crate::error::MethodError;
use crate::inspect::{Layer, ParamInfo, adapt, is_under, layers, parameters};
use crate::state::{TrainedTensor, from_safetensors, put, settle};

/// An adapter in HF PEFT's format: the contents of its two files.
#[derive(Debug, Clone, PartialEq)]
pub struct HfPeftAdapter {
    /// `adapter_config.json`.
    pub config: Map<String, Value>,
    /// `adapter_model.safetensors`.
    pub tensors: Vec<TrainedTensor>,
    order: Order,
}

impl HfPeftAdapter {
    /// Converts a model's adapters and its trained head.
    ///
    /// # Errors
    ///
    /// [`MethodError::NotInHfPeft`] with the first thing that HF PEFT cannot represent.
    pub fn of<M: Module + ModuleDisplay>(
        model: &M,
        method: &Method,
        names: Names<'_>,
    ) -> Result<Self, MethodError> {
        settle(model);
        let parameters = parameters(model);
        let mut writer = Writer::new(model, &parameters, names)?;
        write(method, &mut writer)?;
        writer.targets(model);
        writer.rest(&parameters);
        let mut config = writer.config;
        let mut tensors = fused::split(&mut config, writer.found)?;
        tensors.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            config,
            tensors,
            order: Order::default(),
        })
    }

    /// Parses the contents of the two files.
    ///
    /// # Errors
    ///
    /// [`MethodError::HfPeftConfig`] and [`MethodError::Bytes`].
    pub fn parse(config: &str, tensors: &[u8]) -> Result<Self, MethodError> {
        let order = Order::read(config);
        let config = serde_json::from_str(config).map_err(|error| rejected(error.to_string()))?;
        let tensors = from_safetensors(tensors)?;
        Ok(Self {
            config,
            tensors,
            order,
        })
    }

    /// The text of `adapter_config.json`.
    #[must_use]
    pub fn config_text(&self) -> String {
        format!("{:#}", Value::Object(self.config.clone()))
    }

    /// The class of the model that it was made for, if PEFT wrote it down.
    #[must_use]
    pub fn base_model(&self) -> Option<&str> {
        self.config
            .get("auto_mapping")?
            .get("base_model_class")?
            .as_str()
    }

    /// How many layers of the model outside the head it has a tensor of, by these names.
    #[must_use]
    pub fn layers_of(&self, parameters: &[ParamInfo], names: Names<'_>) -> usize {
        let of_file = self.tensors.iter().filter_map(|tensor| {
            let path = tensor.path.strip_prefix(PREFIX)?;
            // The name of the layer ends at one of the dots.
            Some(path.match_indices('.').map(move |(end, _)| &path[..end]))
        });
        let of_file: HashSet<&str> = of_file.flatten().collect();
        let weights = parameters.iter().map(|param| &param.path);
        weights
            .filter(|path| !is_under(path, names.head))
            .filter_map(|path| names.layer(path.strip_suffix(".weight")?).ok())
            .filter(|name| {
                let mut parts = parts(name).into_iter().filter_map(|part| part.name);
                parts.any(|part| of_file.contains(&*part))
            })
            .count()
    }

    /// Puts the adapter on a plain model, as `from_pretrained` does in HF PEFT, and returns the method
    /// that can go on training it.
    ///
    /// Adapters of parts of a layer become one of the layer: `LoRA`s on `query` and `value` one on `qkv`
    /// of the sum of their ranks, which computes the same. The method that is returned trains that: the
    /// queries can then also use what was the `A` of the values.
    ///
    /// # Errors
    ///
    /// [`MethodError::HfPeftConfig`] for a setting that is not supported, and
    /// [`MethodError::OtherBase`] with the first tensor that does not fit the model.
    pub fn attach<M: Module + ModuleDisplay>(
        mut self,
        model: M,
        names: Names<'_>,
    ) -> Result<(Adapted<M>, Method), MethodError> {
        let device = model.devices().into_iter().next().unwrap_or_default();
        let mut file = File::new(self.tensors);
        let listed = parameters(&model);
        let all = layers(&model);
        let opened = Opened {
            file: &mut file,
            config: &mut self.config,
            order: &mut self.order,
            device: &device,
        };
        fused::join(opened, &model, (&all, &listed), names)?;
        let settings = Settings {
            map: &self.config,
            order: &self.order,
        };
        let mut reader = reader(&settings, &mut file, &device)?;
        // Settings from a file pass the same checks as typed ones, before an adapter is made of them.
        let unusable = |error: MethodError| rejected(error.to_string());
        reader.method().check(&[]).map_err(unusable)?;
        let mut trained = head_ids(&listed, names.head)?;
        let mut selected: Vec<&Layer> = Vec::new();
        for layer in &all {
            let Ok(name) = names.layer(&layer.path) else {
                continue;
            };
            let mut tensors = LayerTensors {
                file: &mut file,
                name: &name,
                layer,
                device: &device,
            };
            if reader.read(&mut tensors)? {
                selected.push(layer);
            }
        }
        if selected.is_empty() {
            return Err(MethodError::OtherBase {
                difference: "none of its adapters is on a layer of the model".to_owned(),
            });
        }
        let (values, ids) = file.whole(&listed, names)?;
        trained.extend(ids);
        file.finish()?;

        let statistics_changed = listed
            .iter()
            .any(|param| param.buffer && values.contains_key(&param.path));
        let method = reader.method();
        let model = attach_adapters(model.freeze(), &selected, reader.maker());
        let mut model = put(model, values).unfreeze_group(ParamGroup::from_ids(trained));
        if statistics_changed {
            model = adapt(model);
        }
        let parts = Parts {
            model,
            dynamics: method.dynamics(0),
            fit: None,
            faster: None,
            head: names.head.to_owned(),
        };
        Ok((Adapted::new(method.name(), parts), method))
    }
}
