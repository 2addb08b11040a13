//! Ranks, scales, first values and schedules of the methods, compared with numbers worked out by hand.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::Tensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, TensorData};
use common::{Net, Shape, attach, low_rank, plain, relative, stir, values};
use finetune_methods::adapters::LowRank;
use finetune_methods::catalogue::{AdaloraConfig, Regrow, VeraConfig};
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::random::{normals, uniforms};
use finetune_methods::{
    Dynamics, Layer, LoraConfig, Method, MethodError, Scope, SparseSharedConfig, Targets, Values,
    conv2d, layers, linear, load, merge, parameters, trained,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn device() -> Device {
    Device::flex().autodiff()
}

fn layer(shape: &Shape, path: &str) -> Layer {
    let mut all = layers(&shape.net(&device())).into_iter();
    all.find(|layer| layer.path == path).unwrap()
}

/// Four channels, each with a kernel of 3×3 of its own.
fn depthwise() -> Shape {
    Shape {
        groups: 4,
        inputs: 1,
        outputs: 1,
        ..plain()
    }
}

/// Three groups of 4·2·1 = 8 inputs and 6 outputs.
fn grouped() -> Shape {
    Shape {
        groups: 3,
        kernel: [2, 1],
        ..plain()
    }
}

#[test]
fn the_rank_of_lora_is_the_highest_with_fewer_entries_than_the_weight() {
    let config = LoraConfig::default();
    let rank_of = |shape: &Shape, path: &str| config.rank_of(&layer(shape, path));
    // 36 → 6: 5·(36 + 6) = 210 entries are fewer than 216, and 6·42 = 252 are not.
    assert_eq!(rank_of(&plain(), "conv"), (8, Some(5)));
    // 6 → 7: 3·13 = 39 are fewer than 42.
    assert_eq!(rank_of(&plain(), "hidden"), (8, Some(3)));
    // 8 → 18 in 3 groups: 3·(3·8 + 18) = 126 are fewer than 144.
    assert_eq!(rank_of(&grouped(), "conv"), (8, Some(3)));
    // 9 → 4 in 4 groups: 4·9 + 4 = 40 are more than 36 already.
    assert_eq!(rank_of(&depthwise(), "conv"), (8, None));
    // With 4 → 1 (1×1), the 5 entries of rank 1 are more than 4; with 2 → 2, the 4 entries are as many.
    let small = |inputs, outputs| Shape {
        inputs,
        outputs,
        kernel: [1, 1],
        ..plain()
    };
    assert_eq!(rank_of(&small(4, 1), "conv"), (8, None));
    assert_eq!(rank_of(&small(2, 2), "conv"), (8, None));
    assert_eq!(rank_of(&small(3, 2), "conv"), (8, Some(1)));
    let method = Method::Lora(config.clone());
    assert_eq!(method.parameters_of(&layer(&depthwise(), "conv")), 4 * 9);
}

#[test]
fn the_scale_of_lora_is_alpha_by_the_rank_that_was_asked_for() {
    let scale = |rank, rslora| {
        let method = Method::Lora(LoraConfig {
            rank,
            alpha: 6.0,
            rslora,
            ..LoraConfig::default()
        });
        let net = attach(&method, plain().net(&device()));
        low_rank(&net.hidden.weight).geometry.scale
    };
    assert!((scale(2, false) - 3.0).abs() < 1e-12);
    assert!((scale(4, true) - 3.0).abs() < 1e-12);
    // The layer has room for rank 3 only.
    assert!((scale(6, false) - 1.0).abs() < 1e-12);
}

#[test]
fn patterns_give_single_layers_their_rank_and_alpha() {
    let attached = |rank_pattern: &str, alpha_pattern: &str| {
        let method = Method::Lora(LoraConfig {
            rank: 3,
            alpha: 6.0,
            rank_pattern: [(rank_pattern.to_owned(), 2)].into(),
            alpha_pattern: [(alpha_pattern.to_owned(), 9.0)].into(),
            ..LoraConfig::default()
        });
        let targets = Targets::all();
        let scope = Scope::new("head", &targets, 0);
        let adapted = method.attach(plain().net(&device()), &scope)?;
        Ok::<_, MethodError>(adapted.into_parts().model)
    };
    let net = attached("conv", "hid.*").unwrap();
    let (conv, hidden) = (low_rank(&net.conv.weight), low_rank(&net.hidden.weight));
    // 6/2 and 9/3.
    assert_eq!([conv.geometry.rank, hidden.geometry.rank], [2, 3]);
    assert!((conv.geometry.scale - 3.0).abs() < 1e-12);
    assert!((hidden.geometry.scale - 3.0).abs() < 1e-12);
    for (ranks, alphas) in [("none", "hidden"), ("conv", "none")] {
        let error = attached(ranks, alphas).unwrap_err();
        assert!(
            matches!(error, MethodError::NothingMatched { .. }),
            "{error}"
        );
    }
}

#[test]
fn the_frozen_factors_of_vera_are_kaiming_uniform_with_a_gain_of_root_2() {
    let rank = 24;
    let method = Method::Vera(VeraConfig {
        rank,
        ..VeraConfig::default()
    });
    let net = attach(&method, plain().net(&device()));
    let adapter = low_rank(&net.conv.weight);
    let of = |factor: &Param<Tensor<2>>| {
        let values = values(factor.val());
        values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()))
    };
    // √(6/n) for 36 inputs of A and 24 of B; hundreds of draws come close.
    for (largest, bound) in [
        (of(&adapter.lora_a), 0.408_25),
        (of(adapter.lora_b.as_ref().unwrap()), 0.5),
    ] {
        assert!(
            largest <= bound && largest > 0.9 * bound,
            "{largest} {bound}"
        );
    }
}

#[test]
fn only_b_trains_at_the_ratio_of_lora_plus() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let faster = |b_lr_ratio| {
        let method = Method::Lora(LoraConfig {
            rank: 2,
            b_lr_ratio,
            ..LoraConfig::default()
        });
        let parts = method.attach(plain().net(&device()), &scope).unwrap();
        let parts = parts.into_parts();
        let b = parameters(&parts.model).into_iter();
        let b = b.filter(|param| param.path.ends_with(".adapter.lora_b"));
        (parts.faster, b.map(|param| param.id).collect::<Vec<_>>())
    };
    let (found, b) = faster(16.0);
    let found = found.unwrap();
    assert!((found.ratio - 16.0).abs() < 1e-12);
    assert_eq!(b.len(), 2);
    assert_eq!(found.parameters, b);
    let (slower, _) = faster(0.5);
    assert!((slower.unwrap().ratio - 0.5).abs() < 1e-12);
    assert_eq!(faster(1.0).0, None);
}

#[test]
fn a_factor_of_lora_starts_within_one_by_the_root_of_its_inputs() {
    let net = attach(&common::lora(), plain().net(&device()));
    // 36 inputs: U(-1/6, 1/6), and 3·36 draws come close to the bounds.
    let a = values(low_rank(&net.conv.weight).lora_a.val());
    assert!(a.iter().all(|value| value.abs() <= 1.0 / 6.0));
    assert!(a.iter().any(|value| *value > 0.9 / 6.0));
    assert!(a.iter().any(|value| *value < -0.9 / 6.0));
}

/// Mean and mean square.
#[allow(clippy::cast_precision_loss)]
fn moments(values: &[f32]) -> (f32, f32) {
    let count = values.len() as f32;
    let squares: f32 = values.iter().map(|value| value * value).sum();
    (values.iter().sum::<f32>() / count, squares / count)
}

#[test]
fn random_numbers_have_the_bounds_and_moments_of_their_distribution() {
    let rng = || ChaCha8Rng::seed_from_u64(3);
    // U(-b, b) has the variance b²/3.
    let uniform = uniforms(&mut rng(), 0.5, 10_000);
    assert_eq!(uniform.len(), 10_000);
    assert!(uniform.iter().all(|value| value.abs() <= 0.5));
    let (mean, square) = moments(&uniform);
    assert!(mean.abs() < 0.01 && (square - 0.25 / 3.0).abs() < 0.003);
    let (mean, square) = moments(&normals(&mut rng(), 2.0, 10_000));
    assert!(mean.abs() < 0.08 && (square - 4.0).abs() < 0.2);
}

fn sparse_shared(change: impl FnOnce(&mut SparseSharedConfig)) -> Method {
    let mut config = SparseSharedConfig::default();
    change(&mut config);
    Method::SparseShared(config)
}

#[test]
fn projections_have_the_variance_that_keeps_that_of_the_activations() {
    // A shared projection is N(0, 1) and divided by √inputs, a layer's own is drawn so.
    for (share, wanted) in [(true, 1.0_f32), (false, 1.0 / 36.0)] {
        let method = sparse_shared(|config| config.share = share);
        let net = attach(&method, plain().net(&device()));
        let a = values(low_rank(&net.conv.weight).lora_a.val());
        assert_eq!(a.len(), 32 * 36);
        // Standard errors for 1152 numbers: 3 % of the deviation, 4 % of the variance.
        let (mean, square) = moments(&a);
        assert!(mean.abs() < 0.12 * wanted.sqrt(), "mean {mean}");
        assert!((square / wanted - 1.0).abs() < 0.17, "variance {square}");
    }
}

#[test]
fn a_shared_projection_is_divided_by_the_root_of_the_layers_inputs() {
    let method =
        sparse_shared(|config| (config.rank, config.alpha, config.density) = (2, 6.0, 1.0));
    let net = attach(&method, plain().net(&device()));
    let adapter = low_rank(&net.hidden.weight).clone();
    // Output 0 takes row 0 of A, output 1 half of row 1, and the others nothing.
    let mut b = vec![0.0; 7 * 2];
    (b[0], b[3]) = (1.0, 0.5);
    let b = Tensor::<2>::from_data(TensorData::new(b, [7, 2]), &device());
    let adapter = LowRank {
        lora_b: Some(Param::from_tensor(b)),
        ..adapter
    };
    let a = values(adapter.lora_a.val());
    let delta = values(adapter.delta());
    // α/r = 3. The shared projection is as wide as the convolution's 36 inputs; this layer has 6.
    for input in 0..6 {
        let by_root = 3.0 / 6.0_f32.sqrt();
        assert!((delta[input] - by_root * a[input]).abs() < 1e-5);
        assert!((delta[6 + input] - by_root * 0.5 * a[36 + input]).abs() < 1e-5);
    }
    assert!(delta[12..].iter().all(|value| *value == 0.0));
}

#[test]
fn sparse_factors_and_own_projections_are_counted() {
    let count =
        |shape: &Shape, path: &str, method: Method| method.parameters_of(&layer(shape, path));
    let trained = |share| {
        sparse_shared(|config| {
            (config.rank, config.density) = (2, 0.5);
            (config.train_shared, config.share) = (true, share);
        })
    };
    // Half of 7·2 entries of B, and 2·6 of an own A.
    assert_eq!(count(&plain(), "hidden", trained(false)), 7 + 12);
    assert_eq!(count(&plain(), "hidden", trained(true)), 7);
    // Half of 18·2, and 2 rows of 8 in each of 3 groups.
    assert_eq!(count(&grouped(), "conv", trained(false)), 18 + 48);
    let dense = sparse_shared(|config| (config.rank, config.density) = (2, 1.0));
    assert_eq!(count(&plain(), "hidden", dense), 14);
}

#[test]
fn a_full_mask_does_not_move() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let moves = |density| {
        let method = sparse_shared(|config| config.density = density);
        let adapted = method.attach(plain().net(&device()), &scope).unwrap();
        adapted.dynamics().is_some()
    };
    assert!(moves(0.9));
    assert!(!moves(1.0));
}

#[test]
fn inactive_entries_have_gradients_only_if_they_regrow_by_gradient() {
    for (regrow, wanted) in [(Regrow::Random, false), (Regrow::Gradient, true)] {
        let method = sparse_shared(|config| config.regrow = regrow);
        let net = attach(&method, plain().net(&device()));
        let gradients = net
            .forward(plain().images(&device()))
            .square()
            .sum()
            .backward();
        let adapter = low_rank(&net.hidden.weight);
        let gradient = adapter.lora_b.as_ref().unwrap().val().grad(&gradients);
        let gradient = values(gradient.unwrap());
        let mask = values(adapter.lora_b_mask.as_ref().unwrap().val());
        let found = |active: bool| {
            let mut of = gradient
                .iter()
                .zip(&mask)
                .filter(|(_, on)| (**on > 0.0) == active);
            of.any(|(value, _)| *value != 0.0)
        };
        assert!(found(true), "{regrow:?}");
        assert_eq!(found(false), wanted, "{regrow:?}");
    }
}

#[test]
fn the_budget_of_adalora_falls_along_a_cube() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let method = Method::Adalora(AdaloraConfig {
        rank: 4,
        target_rank: 2,
        warmup: 0.2,
        settle: 0.8,
        interval: 5,
        ..AdaloraConfig::default()
    });
    let adapted = method.attach(plain().net(&device()), &scope).unwrap();
    let mut dynamics = adapted.into_parts().dynamics.unwrap();
    dynamics.start(100);
    let Dynamics::RankBudget(budget) = dynamics else {
        panic!("the budget falls");
    };
    // From 24 to 8 between the steps 20 and 80: 8 + 16·((80 - t)/60)³, rounded down.
    for (step, wanted) in [
        (20, None),
        (21, None),
        (25, Some(20)), // 8 + 16·0.7703 = 20.3
        (35, Some(14)), // 8 + 16·0.4219 = 14.75
        (50, Some(10)), // 8 + 16·0.125
        (51, None),
        (79, None),
        (80, Some(8)),
        (81, Some(8)),
    ] {
        assert_eq!(budget.budget(step, 24, 8), wanted, "step {step}");
    }
}

#[test]
fn try_map_replaces_the_model() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let adapted = Method::Linear
        .attach(plain().net(&device()), &scope)
        .unwrap();
    let bias = |net: &Net| values(net.head.bias.as_ref().unwrap().val());
    let doubled = bias(adapted.model())
        .iter()
        .map(|value| 2.0 * value)
        .collect::<Vec<_>>();
    let adapted = adapted
        .try_map(|mut net| {
            net.head.bias = net.head.bias.map(|bias| bias.map(|bias| bias * 2.0));
            Ok::<_, std::convert::Infallible>(net)
        })
        .unwrap();
    assert_eq!(bias(adapted.model()), doubled);
    assert_eq!(adapted.head(), "head");
}

fn dora(dropout: f64) -> Method {
    Method::Lora(LoraConfig {
        rank: 1,
        alpha: 2.5,
        dora: true,
        dropout,
        ..LoraConfig::default()
    })
}

#[test]
fn the_lengths_of_long_rows_of_a_grouped_convolution_agree_with_the_merged_weight() {
    // 16·3·3 = 144 inputs and rank 1: the lengths are computed without a dense change.
    let shape = Shape {
        groups: 2,
        inputs: 16,
        ..plain()
    };
    let net = stir(attach(&dora(0.0), shape.net(&device()))).valid();
    let x = shape.images(&Device::flex());
    let merged = merge(&net).unwrap();
    assert!(relative(net.forward(x.clone()), merged.forward(x)) < 1e-5);
}

#[test]
fn dora_in_training_with_a_dropout_that_drops_nothing_equals_dora_without() {
    let base = plain().net(&device());
    let without = stir(attach(&dora(0.0), base.clone()));
    // The chance that any value is dropped is below 10⁻⁶.
    let with = load(attach(&dora(1e-10), base), trained(&without)).unwrap();
    let x = plain().images(&device());
    let output = |net: &Net| conv2d(&net.conv, x.clone());
    assert!(relative(output(&with), output(&without)) < 1e-5);
}

/// Liu et al. 2024, equation 5, with HF PEFT's dropout: the base is not dropped, its direction is.
#[test]
fn the_dropout_of_dora_acts_on_the_direction_and_not_on_the_base() {
    let base = plain().net(&device());
    let net = attach(&dora(0.5), base.clone());
    let mut tensors = trained(&net);
    let doubled = "hidden.weight.adapter.magnitude";
    let length = tensors.iter_mut().find(|tensor| tensor.path == doubled);
    let Values::Floats(lengths) = &mut length.unwrap().values else {
        panic!("lengths are numbers");
    };
    *lengths = lengths
        .iter()
        .map(|length| 2.0 * length)
        .collect::<Vec<_>>()
        .into();
    let net = load(net, tensors).unwrap();
    // B is 0, so with lengths of twice the weights' the output is W·x + W·dropped(x) + bias. An input
    // with one value is dropped or doubled.
    let mut x = vec![0.0; 64 * 6];
    x.iter_mut().step_by(6).for_each(|value| *value = 1.0);
    let x = Tensor::<2>::from_data(TensorData::new(x, [64, 6]), &device());
    let output = values(linear(&net.hidden, x));
    let bias = values(base.hidden.bias.as_ref().unwrap().val());
    let row = values(base.hidden.weight.val().narrow(0, 0, 1));
    let mut seen = [0, 0];
    for output in output.chunks_exact(7) {
        let is = |times: f32| {
            let mut entries = output.iter().zip(&row).zip(&bias);
            entries.all(|((output, weight), bias)| (output - times * weight - bias).abs() < 1e-5)
        };
        assert!(is(1.0) || is(3.0), "{output:?}");
        seen[usize::from(is(3.0))] += 1;
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}

#[test]
fn changes_of_grouped_convolutions_survive_a_round_trip_through_the_hf_peft_format() {
    let rank = 2;
    let lora = Method::Lora(LoraConfig {
        rank,
        alpha: 3.0,
        ..LoraConfig::default()
    });
    let sparse = sparse_shared(|config| (config.rank, config.density) = (rank, 0.5));
    // The whole change of a depthwise convolution is trained by LoRA, and written with B as identity.
    for (shape, method) in [
        (grouped(), &lora),
        (grouped(), &sparse),
        (depthwise(), &lora),
    ] {
        let base = shape.net(&device());
        let net = stir(attach(method, base.clone()));
        let written = HfPeftAdapter::of(&net, method, Names::same("head")).unwrap();
        let (back, _) = written.attach(base, Names::same("head")).unwrap();
        let back = back.into_model().unwrap().valid();
        let x = shape.images(&Device::flex());
        let wanted = net.valid().forward(x.clone());
        assert!(relative(back.forward(x.clone()), wanted.clone()) < 1e-5);
        assert!(relative(merge(&back).unwrap().forward(x), wanted) < 1e-5);
    }
}

#[test]
fn the_dropout_of_the_settings_reaches_the_adapters_and_hf_pefts_files() {
    let dropout = 0.25;
    let lora = Method::Lora(LoraConfig {
        rank: 2,
        dropout,
        ..LoraConfig::default()
    });
    let adalora = Method::Adalora(AdaloraConfig {
        rank: 2,
        target_rank: 2,
        dropout,
        ..AdaloraConfig::default()
    });
    let sparse = sparse_shared(|config| (config.rank, config.dropout) = (2, dropout));
    for method in [lora, adalora, sparse] {
        let base = plain().net(&device());
        let net = attach(&method, base.clone());
        let of = |net: &Net| low_rank(&net.hidden.weight).dropout.prob;
        assert!((of(&net) - dropout).abs() < 1e-12, "{method:?}");
        let written = HfPeftAdapter::of(&net, &method, Names::same("head")).unwrap();
        let (back, _) = written.attach(base, Names::same("head")).unwrap();
        let back = back.into_parts().model;
        assert!((of(&back) - dropout).abs() < 1e-12, "{method:?}");
    }
}
