//! Adapters of HF PEFT.

use std::path::Path;

use burn::tensor::Device;
use finetune::methods::hf_peft::{HfPeftAdapter, Names};
use finetune::methods::merge;

use super::net::Net;
use super::safetensors;
use super::weights::shown;

/// `adapter_config.json`, a zero byte, and `adapter_model.safetensors` as the target `safetensors` has it.
/// The adapter is put on a small network and merged.
pub fn adapter(_: &Path, input: &[u8]) -> usize {
    let (config, tensors) = safetensors::split(input);
    let Ok(config) = std::str::from_utf8(config) else {
        return 0;
    };
    let tensors = safetensors::file(tensors);
    let adapter = match HfPeftAdapter::parse(config, &tensors) {
        Ok(adapter) => adapter,
        Err(error) => return shown(&error),
    };
    let _ = adapter.config_text();
    let device = Device::flex().autodiff();
    match adapter.attach(Net::new(&device), Names::same("head")) {
        Ok((attached, method)) => {
            serde_json::to_string(&method).expect("the settings of a method can be written");
            if let Err(error) = merge(attached.model()) {
                shown(&error);
            }
        }
        Err(error) => {
            shown(&error);
        }
    }
    tensors.len()
}
