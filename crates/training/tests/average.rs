//! The model with averaged weights that is tested is the one that is saved, also if the method removes
//! weights while it trains.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::Tensor;
use burn::module::Module;
use burn::tensor::{Device, TensorData};
use finetune_data::{Normalization, Preprocess, embedded_signs};
use finetune_methods::catalogue::{AdaloraConfig, Regrow};
use finetune_methods::{
    Adapted, Method, Scope, SparseSharedConfig, Targets, Values, load, trained,
};
use finetune_model::{Architecture, Network};
use finetune_training::{Checkpoint, Observer, Optimizer, Recipe, TrainingData, resume, train};

fn attached(method: &Method, device: &Device) -> Adapted<Network> {
    let architecture = Architecture::find("resnet8-64").unwrap();
    let targets = Targets::all();
    let network = architecture.build(5, 0, device);
    let scope = Scope::new(architecture.head, &targets, 3);
    method.attach(network, &scope).unwrap()
}

/// Keeps the last checkpoint.
#[derive(Default)]
struct Last(Option<Checkpoint>);

impl Observer for Last {
    fn wants_checkpoint(&self) -> bool {
        true
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        self.0 = Some(checkpoint.clone());
        Ok(())
    }
}

fn logits(network: &Network, device: &Device) -> Vec<f32> {
    let values: Vec<f32> = (0..3 * 16 * 16_u16)
        .map(|i| (f32::from(i) * 0.7).sin())
        .collect();
    let images = Tensor::from_data(TensorData::new(values, [1, 3, 16, 16]), device);
    network.forward(images).into_data().iter().collect()
}

/// Trains with averaged weights. Returns the model of the end, and the one of the checkpoint before the
/// last epoch with the same tensors loaded into a fresh model.
fn run(method: &Method) -> Network {
    let images = embedded_signs().train.take_per_class(4, 0);
    let images = images.decode(&Preprocess::square(16)).unwrap();
    let device = Device::flex().autodiff();
    let data = TrainingData {
        train: &images,
        valid: None,
        normalization: Normalization::HALF,
    };
    let recipe = Recipe {
        epochs: 4,
        batch_size: 4,
        ema: Some(0.9),
        ..Recipe::new(Optimizer::Adam, 0.05)
    };
    let mut last = Last::default();
    let found = train(
        attached(method, &device),
        &data,
        &recipe,
        &device,
        &mut last,
    )
    .unwrap();
    let plain = device.clone().inner();
    let check = |model: &Network, name: &str| {
        let saved = load(attached(method, &device).into_parts().model, trained(model)).unwrap();
        let (tested, saved) = (
            logits(&model.valid(), &plain),
            logits(&saved.valid(), &plain),
        );
        assert_eq!(tested, saved, "{} {name}", method.name());
    };
    check(&found.model, "at the end");
    let checkpoint = last.0.unwrap();
    let model = checkpoint
        .model(attached(method, &device), &recipe)
        .unwrap();
    check(&model, "from a checkpoint");

    // A resumed run ends with the same model: the checkpoint has the ages of the entries.
    let file = tempfile::NamedTempFile::new().unwrap();
    checkpoint.write(file.path(), None).unwrap();
    let stored = Checkpoint::from_bytes(&std::fs::read(file.path()).unwrap()).unwrap();
    let again = attached(method, &device);
    let again = resume(again, &data, &recipe, &device, &mut (), Some(&stored)).unwrap();
    assert_eq!(
        trained(&again.model),
        trained(&found.model),
        "{}",
        method.name()
    );
    found.model
}

#[test]
fn the_average_of_a_moving_mask_has_nothing_outside_of_the_mask() {
    for regrow in [Regrow::Gradient, Regrow::Random] {
        let method = Method::SparseShared(SparseSharedConfig {
            rank: 4,
            regrow,
            interval: 2,
            drop_fraction: 0.5,
            end: 1.0,
            ..SparseSharedConfig::default()
        });
        run(&method);
    }
}

#[test]
fn the_average_of_ranks_that_were_pruned_is_0() {
    let method = Method::Adalora(AdaloraConfig {
        rank: 4,
        target_rank: 1,
        settle: 0.6,
        interval: 1,
        ..AdaloraConfig::default()
    });
    let model = run(&method);
    let (mut all, mut left) = (0, 0);
    for tensor in trained(&model) {
        if let Values::Floats(values) = &tensor.values
            && tensor.path.rsplit('.').next() == Some("inner")
        {
            all += values.len();
            left += values.iter().filter(|value| **value != 0.0).count();
        }
    }
    assert_eq!(left, all / 4, "{left} of {all}");
}
