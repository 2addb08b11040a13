//! Combinations of adapters, compared with sums of their changes.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::module::Module;
use burn::tensor::Device;
use common::{Net, Shape, attach, low_rank, plain, stir, values};
use finetune_methods::catalogue::Bias;
use finetune_methods::combine::Combination;
use finetune_methods::{Adapters, LoraConfig, Method, merge, parameters};

fn lora(bias: Bias) -> Method {
    Method::Lora(LoraConfig {
        rank: 2,
        alpha: 3.0,
        bias,
        ..LoraConfig::default()
    })
}

/// Two trained adapters `a` and `b` on one base.
fn adapters(shape: &Shape, method: &Method) -> Adapters<Net> {
    let base = shape.net(&Device::flex().autodiff());
    let mut adapters = Adapters::new(base.clone());
    for name in ["a", "b"] {
        adapters.put(name, stir(attach(method, base.clone())), method.clone());
    }
    adapters
}

/// The weights of the convolution with the change of the adapter `name` merged into them.
fn merged(adapters: &Adapters<Net>, name: &str) -> Vec<f32> {
    let model = adapters.get(name).unwrap().0.valid();
    values(merge(&model).unwrap().conv.weight.val())
}

#[test]
fn the_concatenation_changes_weights_by_the_weighted_sum_of_changes() {
    let depthwise = Shape {
        groups: 4,
        inputs: 1,
        outputs: 1,
        ..plain()
    };
    let grouped = Shape {
        groups: 3,
        kernel: [2, 1],
        ..plain()
    };
    for shape in [plain(), grouped, depthwise] {
        let mut adapters = adapters(&shape, &lora(Bias::None));
        let parts = [("a", 0.7), ("b", -0.4)];
        adapters.combine("cat", &parts, Combination::Cat).unwrap();
        let whole = Combination::Svd { rank: Some(9) };
        adapters.combine("svd", &parts, whole).unwrap();
        let base = values(adapters.base().conv.weight.val());
        let (a, b) = (merged(&adapters, "a"), merged(&adapters, "b"));
        for name in ["cat", "svd"] {
            for (i, found) in merged(&adapters, name).iter().enumerate() {
                let wanted = base[i] + 0.7 * (a[i] - base[i]) - 0.4 * (b[i] - base[i]);
                assert!(
                    (found - wanted).abs() < 1e-4,
                    "{name} of {shape:?}: {found} {wanted}"
                );
            }
        }
    }
}

#[test]
fn dare_drops_entries_and_divides_the_others_by_the_density() {
    let mut adapters = adapters(&plain(), &lora(Bias::None));
    let how = Combination::Dare {
        density: 0.25,
        seed: 1,
    };
    adapters.combine("dare", &[("a", 1.0)], how).unwrap();
    let a = |name: &str| {
        let adapter = low_rank(&adapters.get(name).unwrap().0.conv.weight);
        values(adapter.lora_a.val())
    };
    // α/r = 1.5, of which each factor takes the root.
    let all: Vec<f32> = a("a")
        .iter()
        .map(|value| value * 1.5_f32.sqrt() / 0.25)
        .collect();
    let found = a("dare");
    assert_eq!(found.len(), 2 * 36);
    for (found, all) in found.iter().zip(&all) {
        assert!(*found == 0.0 || (found - all).abs() < 1e-5, "{found} {all}");
    }
    // 18 of 72 are expected to stay, give or take 3.7.
    let kept = found.iter().filter(|value| **value != 0.0).count();
    assert!((7..=29).contains(&kept), "{kept}");
}

#[test]
fn biases_that_were_trained_can_be_trained_on() {
    let mut adapters = adapters(&plain(), &lora(Bias::LoraOnly));
    let parts = [("a", 0.5), ("b", 0.5)];
    adapters.combine("both", &parts, Combination::Cat).unwrap();
    let of = |name: &str| {
        let listed = parameters(adapters.get(name).unwrap().0).into_iter();
        let beside = listed.filter(|param| param.trainable && !param.in_adapter());
        beside.map(|param| param.path).collect::<Vec<_>>()
    };
    assert_eq!(
        of("a"),
        ["conv.bias", "hidden.bias", "head.weight", "head.bias"]
    );
    assert_eq!(of("both"), of("a"));
}

#[test]
fn ties_of_an_adapter_with_itself_is_its_mean() {
    let base = plain().net(&Device::flex().autodiff());
    let mut adapters = Adapters::new(base.clone());
    let (method, model) = (lora(Bias::None), stir(attach(&lora(Bias::None), base)));
    for name in ["a", "b"] {
        adapters.put(name, model.clone(), method.clone());
    }
    let how = Combination::Ties { density: 1.0 };
    adapters
        .combine("ties", &[("a", 0.5), ("b", 0.5)], how)
        .unwrap();
    let base = values(adapters.base().conv.weight.val());
    let a = merged(&adapters, "a");
    // Both signs agree everywhere: each factor is the mean of √0.5·t and √0.5·t.
    for (i, found) in merged(&adapters, "ties").iter().enumerate() {
        let wanted = base[i] + 0.5 * (a[i] - base[i]);
        assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
    }
}

#[test]
fn trained_biases_are_averaged_by_the_size_of_the_weights() {
    let mut adapters = adapters(&plain(), &lora(Bias::All));
    let changed = |net: &Net, by: f32| {
        let mut net = net.clone();
        net.hidden.bias = net
            .hidden
            .bias
            .map(|bias| bias.map(|bias| (bias + by).detach().require_grad()));
        net
    };
    let bias = |net: &Net| values(net.hidden.bias.as_ref().unwrap().val());
    let (a, method) = adapters.get("a").unwrap();
    let (a, method) = (changed(a, 1.0), method.clone());
    let b = changed(adapters.get("b").unwrap().0, 3.0);
    let base = bias(adapters.base());
    adapters.put("c", a, method.clone());
    adapters.put("d", b, method);
    let parts = [("c", 0.6), ("d", -0.2)];
    adapters.combine("both", &parts, Combination::Cat).unwrap();
    // 0.75·1 + 0.25·3.
    for (found, base) in bias(adapters.get("both").unwrap().0).iter().zip(&base) {
        assert!((found - base - 1.5).abs() < 1e-5, "{found} {base}");
    }
}

#[test]
fn combinations_out_of_range_are_named() {
    let mut adapters = adapters(&plain(), &lora(Bias::None));
    let mut error = |weight: f64, how: Combination| {
        let parts = [("a", 1.0), ("b", weight)];
        adapters.combine("c", &parts, how).unwrap_err().to_string()
    };
    let density = "the density must be above 0 and at most 1";
    for wrong in [0.0, -0.1, 1.1, f64::NAN] {
        let ties = error(1.0, Combination::Ties { density: wrong });
        assert!(ties.ends_with(density), "{ties}");
        let how = Combination::Dare {
            density: wrong,
            seed: 0,
        };
        let dare = error(1.0, how);
        assert!(dare.ends_with(density), "{dare}");
    }
    let svd = error(1.0, Combination::Svd { rank: Some(0) });
    assert!(svd.ends_with("the rank must be at least 1"), "{svd}");
    let weight = error(f64::INFINITY, Combination::Cat);
    assert!(
        weight.ends_with("its weight is not a finite number"),
        "{weight}"
    );
}
