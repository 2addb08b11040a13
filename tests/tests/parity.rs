//! Compares our networks with PyTorch; `tests/parity/logits.py` computed the expected values.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, TensorData};
use finetune::model::{Architecture, Head, Network, WeightsFile};

fn fixture() -> serde_json::Value {
    serde_json::from_str(include_str!("../fixtures/logits.json")).unwrap()
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn images(side: usize) -> Tensor<4> {
    let values: Vec<f32> = (0..2 * 3 * side * side)
        .map(|i| (i as f64 * 0.37).sin() as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, [2, 3, side, side]), &Device::flex())
}

fn assert_close(logits: Tensor<2>, wanted: &serde_json::Value) {
    let wanted: Vec<f64> = wanted
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|v| v.as_f64().unwrap())
        .collect();
    let found: Vec<f64> = logits.into_data().iter::<f64>().collect();
    let largest = wanted
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(
            (found - wanted).abs() <= 1e-4 * largest,
            "{found} instead of {wanted}"
        );
    }
}

#[test]
fn the_shipped_checkpoint_gives_the_same_logits_as_in_pytorch() {
    let architecture = Architecture::find("resnet8-64").unwrap();
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../datasets/weights/resnet8-64-signs.safetensors"
    );
    let mut checkpoint = WeightsFile::open(file.as_ref()).unwrap();
    let network = checkpoint
        .load(architecture, 5, Head::Stored, &Device::flex())
        .unwrap()
        .network;
    for side in [64, 49] {
        assert_close(
            network.forward(images(side)),
            &fixture()["resnet8-64"][side.to_string()],
        );
    }
}

/// Fills parameters by the formula of the script, in PyTorch's layout and under PyTorch's names.
struct Fill;

impl ModuleMapper for Fill {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        // Names are `0.weight`, `0.bias`, `4.weight`, …
        let length = if D == 1 { "0.bias" } else { "0.weight" }.len() as f64;
        let mut torch: Vec<usize> = shape.to_vec();
        if D == 2 {
            torch.reverse();
        }
        let inputs: usize = torch[1..].iter().product();
        let scale = if D == 1 { 1.0 } else { (inputs as f64).sqrt() };
        let count: usize = torch.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|i| ((i as f64 * 0.37 + length).sin() / scale) as f32)
            .collect();
        let tensor = Tensor::<D>::from_data(TensorData::new(values, torch), &Device::flex());
        let tensor = if D == 2 {
            tensor.swap_dims(0, 1)
        } else {
            tensor
        };
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

#[test]
fn the_network_of_the_chapter_gives_the_same_logits_as_in_pytorch() {
    let architecture = Architecture::find("chapter").unwrap();
    let network: Network = architecture.build(5, 0, &Device::flex()).map(&mut Fill);
    assert_close(network.forward(images(64)), &fixture()["chapter"]);
}
