//! Every method on every kind of layer: a fresh adapter does not change the outputs, merged and
//! unmerged models agree, and trained tensors survive a round trip through safetensors.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use burn::Tensor;
use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device};
use common::{Net, Shape, attach, plain, relative, shapes, stir, values};
use finetune_methods::adapters::{Adapter, LoraInit, Quantize};
use finetune_methods::catalogue::{
    AdaloraConfig, Bias, GpsConfig, Ia3Config, LohaConfig, LokrConfig, OftConfig, ShiraConfig,
    SsfConfig, VeraConfig,
};
use finetune_methods::inspect::counts;
use finetune_methods::state::{from_safetensors, to_safetensors};
use finetune_methods::{
    Layer, LoraConfig, Method, MethodError, SparseSharedConfig, count_parameters, layers, load,
    merge, parameters, trained,
};
use proptest::prelude::*;

#[test]
fn a_quantised_base_approximates_the_original_can_be_merged_and_does_not_change() {
    let device = Device::flex().autodiff();
    let shape = Shape {
        inputs: 16,
        outputs: 32,
        kernel: [1, 1],
        padding: 0,
        ..plain()
    };
    let net = shape.net(&device);
    let x = shape.images(&Device::flex());
    let before = net.valid().forward(x.clone());
    for (quantize, most) in [
        (Quantize::Int8, 0.02),
        (Quantize::Int4, 0.3),
        (Quantize::Nf4, 0.3),
    ] {
        for dora in [false, true] {
            let method = lora(|config| (config.quantize, config.dora) = (Some(quantize), dora));
            let adapted = attach(&method, net.clone());
            let bytes = |net: &Net| net.conv.weight.base().into_data();
            let stored = bytes(&adapted);
            assert!(matches!(stored.dtype(), DType::QFloat(_)));
            let apart = relative(adapted.valid().forward(x.clone()), before.clone());
            assert!(apart > 0.0 && apart <= most, "{quantize:?}: {apart} apart");

            let inputs = Tensor::from_data(x.clone().into_data(), &device);
            let loss = adapted.forward(inputs).powi_scalar(2).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &adapted);
            let stepped = SgdConfig::new().init().step(0.1, adapted, gradients);
            assert_eq!(bytes(&stepped), stored);

            let adapted = stir(stepped).valid();
            let unmerged = adapted.forward(x.clone());
            let merged = merge(&adapted).unwrap();
            let apart = relative(merged.forward(x.clone()), unmerged);
            assert!(apart <= 1e-5, "{quantize:?}: merged {apart} apart");
        }
    }
}

fn lora(change: impl FnOnce(&mut LoraConfig)) -> Method {
    // The smallest layers of the property test allow only rank 1.
    let mut config = LoraConfig {
        rank: 1,
        alpha: 2.5,
        ..LoraConfig::default()
    };
    change(&mut config);
    Method::Lora(config)
}

/// Every method that changes weights, each with α ≠ r.
fn mergeable() -> Vec<(&'static str, Method)> {
    vec![
        ("lora", lora(|_| {})),
        ("rslora", lora(|config| config.rslora = true)),
        ("dora", lora(|config| config.dora = true)),
        ("pissa", lora(|config| config.init = LoraInit::Pissa)),
        ("olora", lora(|config| config.init = LoraInit::Olora)),
        (
            "pissa and dora",
            lora(|config| (config.init, config.dora) = (LoraInit::Pissa, true)),
        ),
        ("lora-fa", lora(|config| config.freeze_a = true)),
        ("trained biases", lora(|config| config.bias = Bias::All)),
        (
            "peft",
            Method::SparseShared(SparseSharedConfig {
                rank: 5,
                alpha: 3.0,
                density: 0.4,
                ..SparseSharedConfig::default()
            }),
        ),
        (
            "vera",
            Method::Vera(VeraConfig {
                rank: 6,
                ..VeraConfig::default()
            }),
        ),
        (
            "adalora",
            Method::Adalora(AdaloraConfig {
                rank: 1,
                target_rank: 1,
                ..AdaloraConfig::default()
            }),
        ),
        ("shira", Method::Shira(ShiraConfig { rank: 1 })),
        ("gps", Method::Gps(GpsConfig { per_output: 2 })),
        ("ia3", Method::Ia3(Ia3Config::default())),
        (
            "ia3 on inputs",
            Method::Ia3(Ia3Config {
                feedforward: Some(String::new()),
            }),
        ),
        ("ssf", Method::Ssf(SsfConfig {})),
        (
            "loha",
            Method::Loha(LohaConfig {
                rank: 2,
                alpha: 3.0,
                ..LohaConfig::default()
            }),
        ),
        (
            "lokr",
            Method::Lokr(LokrConfig {
                rank: 1,
                alpha: 3.0,
                decompose_both: true,
                ..LokrConfig::default()
            }),
        ),
        (
            "oft",
            Method::Oft(OftConfig {
                block_size: 4,
                ..OftConfig::default()
            }),
        ),
        (
            "exact oft",
            Method::Oft(OftConfig {
                cayley_neumann: false,
                ..OftConfig::default()
            }),
        ),
        (
            "shared oft",
            Method::Oft(OftConfig {
                blocks: Some(2),
                block_share: true,
                ..OftConfig::default()
            }),
        ),
        (
            "coft",
            Method::Oft(OftConfig {
                coft: true,
                eps: 0.5,
                ..OftConfig::default()
            }),
        ),
    ]
}

/// Returns whether a method trains parameters outside the head: a block of one input cannot rotate.
fn rotates(method: &Method, net: &Net) -> bool {
    let layers = layers(net);
    let mut bodies = layers.iter().filter(|layer| layer.path != "head");
    bodies.any(|layer| method.parameters_of(layer) > 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn merged_and_unmerged_models_agree_and_a_fresh_adapter_changes_nothing(shape in shapes()) {
        let device = Device::flex().autodiff();
        let net = shape.net(&device);
        let x = shape.images(&Device::flex());
        let before = net.valid().forward(x.clone());
        for (name, method) in mergeable() {
            let adapted = attach(&method, net.clone());
            let fresh = adapted.valid().forward(x.clone());
            prop_assert!(relative(fresh, before.clone()) <= 2e-5, "{name} changes the outputs");

            let adapted = stir(adapted).valid();
            let unmerged = adapted.forward(x.clone());
            prop_assert!(
                !rotates(&method, &net) || relative(unmerged.clone(), before.clone()) > 1e-4,
                "{name} has no effect"
            );
            let merged = merge(&adapted).unwrap();
            prop_assert!(merged.conv.weight.reparameterization::<Adapter>().is_none());
            let apart = relative(merged.forward(x.clone()), unmerged.clone());
            // PiSSA may leave a residual weight of almost 0, and DoRA divides by the norm of the
            // weight. This amplifies the rounding errors of both models.
            let most = if name == "pissa and dora" { 1e-4 } else { 1e-5 };
            prop_assert!(apart <= most, "{name}: merged and unmerged are {apart} apart");
            // Merging does not change the adapted model.
            prop_assert_eq!(values(adapted.forward(x.clone())), values(unmerged));
        }
    }
}

#[test]
fn trained_tensors_survive_a_round_trip_through_safetensors() {
    let device = Device::flex().autodiff();
    let net = plain().net(&device);
    let x = plain().images(&Device::flex());
    for (name, method) in mergeable() {
        let adapted = stir(attach(&method, net.clone()));
        let bytes = to_safetensors(&trained(&adapted), &BTreeMap::new()).unwrap();
        let fresh = attach(&method, net.clone());
        let loaded = load(fresh, from_safetensors(&bytes).unwrap()).unwrap();
        assert_eq!(
            values(loaded.valid().forward(x.clone())),
            values(adapted.valid().forward(x.clone())),
            "{name}"
        );
        // The same parameters are trainable as before.
        let train = |net: &Net| -> Vec<bool> {
            parameters(net)
                .iter()
                .map(|param| param.trainable)
                .collect()
        };
        assert_eq!(train(&loaded), train(&adapted), "{name}");
    }
}

#[test]
fn the_error_for_another_models_adapter_names_the_first_difference() {
    let device = Device::flex().autodiff();
    let other = Shape {
        outputs: 5,
        ..plain()
    };
    let method = lora(|_| {});
    let tensors = trained(&attach(&method, other.net(&device)));
    let refused = load(attach(&method, plain().net(&device)), tensors).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the adapter was made for another model: `conv.weight.adapter.lora_b` is of shape [5, 1], \
         not [6, 1]"
    );
    let tensors = trained(&attach(&Method::Linear, plain().net(&device)));
    let refused = load(attach(&method, plain().net(&device)), tensors).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("it lacks `conv.weight.adapter.lora_a`")
    );
    let tensors = trained(&attach(&method, plain().net(&device)));
    let refused = load(attach(&Method::Linear, plain().net(&device)), tensors).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("it has `conv.weight.adapter.lora_a`, which the model has not")
    );
}

#[test]
fn merging_an_adapter_whose_weights_are_not_finite_is_an_error() {
    let device = Device::flex().autodiff();
    let method = lora(|config| config.alpha = 1e38);
    let net = stir(attach(&method, plain().net(&device)));
    assert_eq!(
        merge(&net.valid()).unwrap_err(),
        MethodError::NotFinite {
            path: "conv.weight".to_owned()
        }
    );
}

#[test]
fn a_method_merges_if_it_says_so() {
    let device = Device::flex().autodiff();
    // The largest layer has room for the default ranks.
    let shape = Shape {
        outputs: 16,
        ..plain()
    };
    for method in Method::all() {
        let net = attach(&method, shape.net(&device));
        assert_eq!(merge(&net).is_ok(), method.merges(), "{}", method.name());
    }
}

#[test]
fn only_gps_needs_gradients_before_training() {
    let all = Method::all();
    let needing = all.iter().filter(|method| method.needs_gradients());
    let names: Vec<_> = needing.map(Method::name).collect();
    assert_eq!(names, ["gps"]);
}

/// Returns the number of trainable parameters under the path of a layer.
fn trained_in(net: &Net, layer: &Layer) -> usize {
    let prefix = format!("{}.", layer.path);
    let of_layer = counts(net)
        .into_iter()
        .filter(|(param, _)| param.path.starts_with(&prefix));
    of_layer.map(|(_, trainable)| trainable).sum()
}

#[test]
fn parameters_of_counts_the_trainable_parameters_of_a_layer() {
    let device = Device::flex().autodiff();
    let shapes = [
        plain(),
        Shape {
            groups: 3,
            kernel: [2, 1],
            ..plain()
        },
    ];
    let defaults = Method::all()
        .into_iter()
        .filter(|method| !matches!(method, Method::Lora(_) | Method::Adalora(_)))
        .map(|method| (method.name(), method));
    for (name, method) in mergeable().into_iter().chain(defaults) {
        for shape in &shapes {
            let net = shape.net(&device);
            let layers = layers(&net);
            let adapted = attach(&method, net);
            for layer in layers.iter().filter(|layer| layer.path != "head") {
                assert_eq!(
                    trained_in(&adapted, layer),
                    method.parameters_of(layer),
                    "{name} on {layer:?}"
                );
            }
        }
    }
}

/// Uses the formulas in the documentation of each configuration, for a convolution of 4·3·3 → 6 and
/// a Linear layer of 6 → 7, each with a bias; the head has 7·3 + 3 parameters.
#[test]
fn parameter_counts_agree_with_the_documented_formulas() {
    let device = Device::flex().autodiff();
    let head = 7 * 3 + 3;
    let both = |conv: usize, linear: usize| head + conv + linear;
    let wanted = [
        ("lora", both(36 + 6, 6 + 7)),
        ("dora", both(36 + 6 + 6, 6 + 7 + 7)),
        ("lora-fa", both(6, 7)),
        // Also 6 + 7 biases and 6 shifts of the batch norm; `head` includes the head's bias.
        ("trained biases", both(36 + 6, 6 + 7) + 6 + 7 + 6),
        ("peft", both(12, 14)), // 0.4 of 5 entries per output
        ("vera", both(6 + 6, 6 + 7)),
        ("adalora", both(36 + 6 + 1, 6 + 7 + 1)),
        ("shira", both(36 + 6, 6 + 7)),
        ("gps", both(2 * 6, 2 * 7)),
        ("ia3", both(6, 7)),
        ("ia3 on inputs", both(4, 6)),
        // Also the scales and shifts of the batch norm.
        ("ssf", both(2 * 6, 2 * 7) + 2 * 6),
        ("loha", both(2 * 2 * (36 + 6), 2 * 2 * (6 + 7))),
        // Convolution: 6 = 2·3 and 4 = 2·2, so C is a full 2×2 matrix, and D of 3 × 2·9 has rank 1.
        // Linear: 7 = 1·7 and 6 = 2·3, so C is a full 1×2 matrix, and D of 7×3 has rank 1.
        ("lokr", both(2 * 2 + 3 + 18, 2 + 7 + 3)),
        // 9 blocks of 4 inputs with 6 entries each; the 6 inputs of the Linear layer are divided
        // into 2 blocks of 3 inputs with 3 entries each.
        ("oft", both(9 * 6, 2 * 3)),
        ("exact oft", both(36 * 35 / 2, 6 * 5 / 2)),
        ("shared oft", both(18 * 17 / 2, 3)),
    ];
    let methods = mergeable();
    for (name, count) in wanted {
        let (_, method) = methods.iter().find(|(known, _)| *known == name).unwrap();
        let net = attach(method, plain().net(&device));
        assert_eq!(count_parameters(&net).trainable, count, "{name}");
    }
}
