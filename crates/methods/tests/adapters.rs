//! Adapters on a module outside this project: compares the gradients of the factored path with
//! those of the composed weight, and tests which parameters are trained and which are frozen.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, missing_docs)]

mod common;

use burn::Tensor;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, TensorData};
use common::{Net, Shape, attach, lora, low_rank, plain, relative, stir, values};
use finetune_methods::adapters::LowRank;
use finetune_methods::catalogue::{AdaloraConfig, Bias, Budget, GpsConfig, Regrow};
use finetune_methods::inspect::LayerKind;
use finetune_methods::{
    Dynamics, Importance, Layer, LoraConfig, Method, MethodError, Scope, SparseSharedConfig,
    Targets, Values, conv2d, count_parameters, layers, parameters, trained,
};

#[test]
fn lora_on_a_linear_layer_agrees_with_a_calculation_by_hand() {
    let device = Device::flex();
    let data = |values: &[f32], shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
    };
    let net = attach(
        &Method::Lora(LoraConfig {
            rank: 1,
            alpha: 3.0,
            ..LoraConfig::default()
        }),
        plain().net(&Device::flex().autodiff()),
    );
    let adapter = low_rank(&net.hidden.weight);
    assert_eq!(adapter.lora_a.dims(), [1, 6]);
    assert_eq!(adapter.lora_b.as_ref().unwrap().dims(), [7, 1]);
    let adapter = LowRank {
        lora_a: Param::from_tensor(data(&[1.0, 2.0, 0.0, -1.0, 0.0, 0.0], [1, 6])),
        lora_b: Some(Param::from_tensor(data(
            &[0.0, 1.0, 0.0, -2.0, 0.0, 0.0, 0.0],
            [7, 1],
        ))),
        ..adapter.clone()
    };
    // α/r · b · a with α/r = 3: output 1 has 3 at input 0, 6 at input 1 and -3 at input 3, and
    // output 3 has -2 times these values.
    let delta = values(adapter.delta());
    let mut wanted = vec![0.0; 42];
    for (input, a) in [(0, 1.0), (1, 2.0), (3, -1.0)] {
        wanted[6 + input] = 3.0 * a;
        wanted[3 * 6 + input] = -6.0 * a;
    }
    assert_eq!(delta, wanted);
}

#[test]
fn the_factored_path_has_the_same_gradients_as_the_composed_weight() {
    for groups in [1, 2] {
        let device = Device::flex().autodiff();
        let shape = Shape {
            groups,
            stride: [2, 1],
            dilation: [1, 2],
            ..plain()
        };
        let net = stir(attach(&lora(), shape.net(&device)));
        let x = shape.images(&device);
        let weights = |tensor: Tensor<4>| {
            let numbers = Tensor::arange(0..tensor.shape().num_elements() as i64, &device).float();
            (tensor.clone() * numbers.sin().reshape(tensor.shape())).sum()
        };
        let gradients = |output: Tensor<4>| {
            let gradients = weights(output).backward();
            let adapter = low_rank(&net.conv.weight);
            assert!(
                net.conv.weight.base().grad(&gradients).is_none(),
                "a frozen weight's gradient"
            );
            (
                adapter.lora_a.val().grad(&gradients).unwrap(),
                adapter.b().unwrap().grad(&gradients).unwrap(),
            )
        };
        let factored = gradients(conv2d(&net.conv, x.clone()));
        let composed = gradients(net.conv.forward(x));
        assert!(relative(factored.0, composed.0) < 1e-5);
        assert!(relative(factored.1, composed.1) < 1e-5);
    }
}

#[test]
fn groups_and_dilation_are_read_from_the_module_of_burn() {
    let device = Device::flex();
    for groups in [1, 3] {
        let net = Shape {
            groups,
            dilation: [1, 2],
            ..plain()
        }
        .net(&device);
        let found = layers(&net);
        assert_eq!(
            found[0].kind,
            LayerKind::Conv2d {
                groups,
                kernel: [3, 3],
                dilation: [1, 2],
            }
        );
        assert_eq!(
            (found[0].shape.outputs, found[0].shape.inputs),
            (6 * groups, 4 * 9)
        );
        assert_eq!(found[1].kind, LayerKind::Linear);
        assert_eq!(
            found
                .iter()
                .map(|layer| layer.path.as_str())
                .collect::<Vec<_>>(),
            ["conv", "hidden", "head"]
        );
    }
}

#[test]
fn parameter_counts_agree_with_the_formulas() {
    let device = Device::flex().autodiff();
    let base = 4 * 6 * 9 + 6 + 2 * 6 + 6 * 7 + 7 + 7 * 3 + 3;
    let head = 7 * 3 + 3;
    let count = |method: &Method| count_parameters(&attach(method, plain().net(&device)));
    assert_eq!(count(&Method::Sft).trainable, base);
    assert_eq!(count(&Method::Linear).trainable, head);
    // r · (inputs + outputs) per layer: 3 · (36 + 6) and 3 · (6 + 7).
    let lora = count(&lora());
    assert_eq!(lora.trainable, head + 126 + 39);
    assert_eq!(lora.total, base + 126 + 39);
    // A tenth of 32 · 6 and of 32 · 7 entries, rounded; both layers share a projection of 32 × 36.
    let peft = count(&Method::SparseShared(SparseSharedConfig::default()));
    assert_eq!(peft.trainable, head + 19 + 22);
    assert_eq!(peft.total, base + 32 * 36 + 32 * 6 + 32 * 7);
    // Without sharing, each layer has its own projection.
    let own = count(&Method::SparseShared(SparseSharedConfig {
        share: false,
        ..SparseSharedConfig::default()
    }));
    assert_eq!(own.total, base + 32 * 36 + 32 * 6 + 32 * 6 + 32 * 7);
}

/// Trains for `steps` steps; returns the network and the paths of the tensors that changed.
fn train(method: &Method, steps: usize) -> (Net, Vec<String>) {
    let device = Device::flex().autodiff();
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 5);
    let adapted = method.attach(plain().net(&device), &scope).unwrap();
    let parts = adapted.into_parts();
    let (mut net, mut dynamics) = (parts.model, parts.dynamics);
    if let Some(dynamics) = &mut dynamics {
        dynamics.start(steps);
    }
    let before = read(&net.valid());
    let x = plain().images(&device);
    // SGD has no moments, which only the training loop would clear.
    let mut optimizer = SgdConfig::new().init();
    for step in 1..=steps {
        let loss = net.forward(x.clone()).powi_scalar(2).sum();
        let mut gradients = GradientsParams::from_grads(loss.backward(), &net);
        if let Some(dynamics) = &mut dynamics {
            gradients = dynamics.after_backward(&net, gradients);
        }
        net = optimizer.step(0.01, net, gradients);
        if let Some(dynamics) = &mut dynamics {
            (net, _) = dynamics.after_step(step, net);
        }
    }
    let after = read(&net.valid());
    let changed = before
        .into_iter()
        .zip(after)
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a.0)
        .collect();
    (net, changed)
}

fn read(net: &Net) -> Vec<(String, Vec<f32>)> {
    struct Read(Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(values(param.base()));
        }
    }
    let mut read = Read(Vec::new());
    net.visit(&mut read);
    parameters(net)
        .into_iter()
        .map(|param| param.path)
        .zip(read.0)
        .collect()
}

#[test]
fn each_method_changes_only_the_tensors_that_it_trains() {
    let (_, changed) = train(&Method::Linear, 3);
    assert_eq!(changed, ["head.weight", "head.bias"]);
    let (_, changed) = train(&lora(), 3);
    let adapters = ["conv", "hidden"]
        .map(|layer| ["lora_a", "lora_b"].map(|factor| format!("{layer}.weight.adapter.{factor}")));
    let mut wanted = adapters.concat();
    wanted.extend(["head.weight".to_owned(), "head.bias".to_owned()]);
    assert_eq!(changed, wanted);
    // Full fine-tuning also updates the running statistics.
    let (_, mut changed) = train(&Method::Sft, 3);
    assert!(changed.contains(&"norm.running_mean".to_owned()));
    // The gradient of a bias before a batch norm is zero except for rounding errors.
    changed.retain(|path| path != "conv.bias");
    assert_eq!(changed.len(), 9);
}

#[test]
fn each_method_trains_its_parameters_beside_the_adapters() {
    let device = Device::flex().autodiff();
    let trained = |method: &Method, targets: &str| {
        let targets = Targets::parse(targets).unwrap();
        let scope = Scope::new("head", &targets, 0);
        let net = method.attach(plain().net(&device), &scope).unwrap();
        let listed = parameters(&net.into_parts().model).into_iter();
        let beside = listed.filter(|param| param.trainable && !param.in_adapter());
        let paths: Vec<String> = beside.map(|param| param.path).collect();
        paths.join(" ")
    };
    let lora = |bias| {
        Method::Lora(LoraConfig {
            rank: 2,
            bias,
            ..LoraConfig::default()
        })
    };
    let head = "head.weight head.bias";
    let wanted = [
        (lora(Bias::None), head.to_owned()),
        (lora(Bias::LoraOnly), format!("hidden.bias {head}")),
        (
            lora(Bias::All),
            format!("conv.bias norm.beta hidden.bias {head}"),
        ),
        (Method::Linear, head.to_owned()),
        (Method::Norm, format!("norm.gamma norm.beta {head}")),
        (
            Method::Bitfit,
            format!("conv.bias norm.beta hidden.bias {head}"),
        ),
        (
            Method::Sft,
            format!("conv.weight conv.bias norm.gamma norm.beta hidden.weight hidden.bias {head}"),
        ),
    ];
    for (method, wanted) in wanted {
        assert_eq!(trained(&method, "hidden"), wanted, "{method:?}");
    }
}

/// Returns `B` and its mask for each adapter.
fn sparse(net: &Net) -> [(Vec<f32>, Vec<f32>); 2] {
    let read = |adapter: &LowRank| {
        let mask = adapter.lora_b_mask.as_ref().unwrap();
        let b = adapter.lora_b.as_ref().unwrap();
        (values(b.val()), values(mask.val()))
    };
    [
        read(low_rank(&net.conv.weight)),
        read(low_rank(&net.hidden.weight)),
    ]
}

#[test]
fn the_mask_moves_and_nothing_outside_it_is_trained() {
    for regrow in [Regrow::Random, Regrow::Gradient] {
        for budget in [Budget::Layer, Budget::Global] {
            let config = SparseSharedConfig {
                interval: 2,
                drop_fraction: 0.5,
                regrow,
                budget,
                ..SparseSharedConfig::default()
            };
            let still = Method::SparseShared(SparseSharedConfig {
                dynamic: false,
                ..config.clone()
            });
            let (net, _) = train(&still, 8);
            let first = sparse(&net);
            let (net, changed) = train(&Method::SparseShared(config), 8);
            let moved = sparse(&net);
            assert!(changed.iter().any(|path| path.ends_with("lora_b_mask")));
            assert!(!changed.iter().any(|path| path.ends_with("lora_a")));
            let active = |nets: &[(Vec<f32>, Vec<f32>); 2]| {
                nets.iter()
                    .map(|(_, mask)| mask.iter().sum::<f32>())
                    .sum::<f32>()
            };
            assert_eq!(active(&first).to_bits(), active(&moved).to_bits());
            assert_eq!(active(&moved).to_bits(), (19.0_f32 + 22.0).to_bits());
            for (values, mask) in first.iter().chain(&moved) {
                for (value, on) in values.iter().zip(mask) {
                    assert!(
                        *on != 0.0 || *value == 0.0,
                        "an entry outside the mask is {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn into_model_is_an_error_for_a_method_with_dynamics() {
    let device = Device::flex().autodiff();
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let adalora = AdaloraConfig {
        rank: 4,
        target_rank: 2,
        ..AdaloraConfig::default()
    };
    for (method, name) in [
        (Method::SparseShared(SparseSharedConfig::default()), "peft"),
        (Method::Adalora(adalora), "adalora"),
    ] {
        let adapted = method.attach(plain().net(&device), &scope).unwrap();
        let error = adapted.into_model().unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{name} changes the model while it trains, so the model alone would train only \
                 half of it; call `into_parts` and apply the dynamics at every step"
            )
        );
    }
    let still = Method::SparseShared(SparseSharedConfig {
        dynamic: false,
        ..SparseSharedConfig::default()
    });
    let adapted = still.attach(plain().net(&device), &scope).unwrap();
    assert!(adapted.into_model().is_ok());
}

#[test]
fn a_trained_projection_stays_shared() {
    let config = SparseSharedConfig {
        train_shared: true,
        ..SparseSharedConfig::default()
    };
    let (net, changed) = train(&Method::SparseShared(config), 4);
    assert!(changed.contains(&"conv.weight.adapter.lora_a".to_owned()));
    assert_eq!(
        values(low_rank(&net.conv.weight).lora_a.val()),
        values(low_rank(&net.hidden.weight).lora_a.val())
    );
}

#[test]
fn the_share_of_moved_entries_falls_along_a_cosine() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let method = Method::SparseShared(SparseSharedConfig {
        interval: 25,
        ..SparseSharedConfig::default()
    });
    let adapted = method
        .attach(plain().net(&Device::flex().autodiff()), &scope)
        .unwrap();
    let mut dynamics = adapted.into_parts().dynamics.unwrap();
    dynamics.start(200); // the mask stops moving before step 150
    let Dynamics::MovingMask(mask) = dynamics else {
        panic!("the mask moves");
    };
    // 0.1 · (1 + cos(π t / 150)) at t = 25, 75, 125; 0 between these steps and at the end.
    for (step, wanted) in [
        (25, 0.186_602_5),
        (75, 0.1),
        (125, 0.013_397_5),
        (26, 0.0),
        (150, 0.0),
        (175, 0.0),
    ] {
        assert!((mask.drop_share(step) - wanted).abs() < 1e-6, "{step}");
    }
}

#[test]
fn gps_selects_the_weights_with_the_largest_gradients_of_each_output() {
    let device = Device::flex().autodiff();
    let shape = plain();
    let net = shape.net(&device);
    let mut importance = Importance::default();
    let mut sums = [vec![0.0; 6 * 36], vec![0.0; 7 * 6]];
    for factor in [1.0, -2.0] {
        let loss = net
            .forward(shape.images(&device) * factor)
            .powi_scalar(3)
            .sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        importance.add(&net, &gradients);
        let conv = gradients.get::<4>(net.conv.weight.id).unwrap();
        // The weight of a Linear layer has the shape [inputs, outputs].
        let hidden = gradients
            .get::<2>(net.hidden.weight.id)
            .unwrap()
            .transpose();
        for (sum, gradient) in sums.iter_mut().zip([values(conv), values(hidden)]) {
            for (sum, value) in sum.iter_mut().zip(gradient) {
                *sum += value.abs();
            }
        }
    }
    let targets = Targets::all();
    let scope = Scope {
        importance: Some(&importance),
        ..Scope::new("head", &targets, 0)
    };
    let method = Method::Gps(GpsConfig { per_output: 3 });
    let net = method.attach(net, &scope).unwrap().into_model().unwrap();
    for (weight, sums, inputs) in [("conv", &sums[0], 36), ("hidden", &sums[1], 6)] {
        let path = format!("{weight}.weight.adapter.shira_indices");
        let found = trained(&net).into_iter().find(|tensor| tensor.path == path);
        let Values::Indices(found) = found.unwrap().values else {
            unreachable!("places are whole numbers")
        };
        let mut wanted = Vec::new();
        for (output, row) in sums.chunks(inputs).enumerate() {
            let mut row: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
            row.sort_by(|a, b| b.1.total_cmp(&a.1));
            let mut best: Vec<_> = row[..3]
                .iter()
                .map(|(i, _)| u32::try_from(output * inputs + i).unwrap())
                .collect();
            best.sort_unstable();
            wanted.extend(best);
        }
        assert_eq!(found, wanted, "{weight}");
    }
    let without = method.attach(shape.net(&device), &Scope::new("head", &targets, 0));
    assert_eq!(
        without.unwrap_err().to_string(),
        "gps selects parameters by their gradients before training; pass them in the `Scope`"
    );
}

#[test]
fn targets_select_layers_by_block() {
    let first = layers(&plain().net(&Device::flex())).remove(0);
    let paths = [
        "stem.conv",
        "blocks.0.mlp.fc1",
        "blocks.0.attn.qkv",
        "blocks.1.mlp.fc1",
        "blocks.11.mlp.fc1",
        "stages.1.blocks.0.mlp.fc1",
    ];
    let layers: Vec<_> = paths
        .iter()
        .map(|path| Layer {
            path: (*path).to_owned(),
            ..first.clone()
        })
        .collect();
    let select = |targets: Targets| -> Vec<&str> {
        let found = targets.select(&layers, "head").unwrap();
        let at = |layer: &&Layer| layers.iter().position(|other| other.path == layer.path);
        found.iter().filter_map(at).map(|i| paths[i]).collect()
    };
    assert_eq!(
        select(Targets::parse("fc1,qkv").unwrap()),
        paths[1..].to_vec()
    );
    assert_eq!(
        select(Targets::all().in_blocks(&[1, 11], None).unwrap()),
        paths[3..].to_vec()
    );
    assert_eq!(
        select(Targets::all().in_blocks(&[0], Some("blocks")).unwrap()),
        [paths[1], paths[2], paths[5]]
    );
}

#[test]
fn modules_to_save_are_trained_without_an_adapter() {
    let device = Device::flex().autodiff();
    let targets = Targets::all();
    let attach = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let scope = Scope {
            modules_to_save: &names,
            ..Scope::new("head", &targets, 5)
        };
        lora().attach(plain().net(&device), &scope)
    };
    let net = attach(&["norm", "hidden"]).unwrap().into_model().unwrap();
    let trained: Vec<_> = parameters(&net)
        .into_iter()
        .filter(|param| param.trainable)
        .map(|param| param.path)
        .collect();
    assert_eq!(
        trained,
        [
            "conv.weight.adapter.lora_a",
            "conv.weight.adapter.lora_b",
            "norm.gamma",
            "norm.beta",
            "hidden.weight",
            "hidden.bias",
            "head.weight",
            "head.bias"
        ]
    );
    let error = attach(&["hiden"]).unwrap_err().to_string();
    assert!(
        error.contains("`hiden` matches no layer") && error.contains("hidden"),
        "{error}"
    );
}

#[test]
fn targets_select_layers_by_name() {
    let net = plain().net(&Device::flex());
    let layers = layers(&net);
    let select = |targets: Targets| {
        targets.select(&layers, "head").map(|found| {
            found
                .into_iter()
                .map(|layer| layer.path.clone())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(select(Targets::all()).unwrap(), ["conv", "hidden"]);
    assert_eq!(
        select(Targets::parse("all-conv").unwrap()).unwrap(),
        ["conv"]
    );
    assert_eq!(
        select(Targets::parse("all-linear").unwrap()).unwrap(),
        ["hidden"]
    );
    assert_eq!(select(Targets::parse("^hid").unwrap()).unwrap(), ["hidden"]);
    assert_eq!(
        select(Targets::all().exclude("conv").unwrap()).unwrap(),
        ["hidden"]
    );
    assert_eq!(
        select(Targets::parse("dden, conv").unwrap()).unwrap(),
        ["conv"],
        "ends of paths count from a dot on"
    );
    let error = select(Targets::parse("hiden").unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the target pattern `hiden` matches no layer of the model; nearest names: hidden, conv"
    );
    assert!(matches!(
        Targets::parse("(").unwrap_err(),
        MethodError::Pattern { .. }
    ));
}

#[test]
fn settings_out_of_range_and_second_adapters_are_rejected() {
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let net = || plain().net(&Device::flex().autodiff());
    let refused = |method: Method| method.attach(net(), &scope).unwrap_err().to_string();
    assert_eq!(
        refused(Method::Lora(LoraConfig {
            rank: 0,
            ..LoraConfig::default()
        })),
        "rank is 0, but must be at least 1"
    );
    assert_eq!(
        refused(Method::Lora(LoraConfig {
            alpha: f64::NAN,
            ..LoraConfig::default()
        })),
        "alpha is NaN, but must be a finite number"
    );
    assert_eq!(
        refused(Method::SparseShared(SparseSharedConfig {
            density: 0.0,
            ..SparseSharedConfig::default()
        })),
        "density is 0, but must be above 0 and at most 1"
    );
    let wrong = Scope {
        head: "heads",
        ..scope.clone()
    };
    let error = Method::Linear
        .attach(net(), &wrong)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the head `heads` is not a layer of the model; nearest names: head"),
        "{error}"
    );
    let twice = lora().attach(attach(&lora(), net()), &scope).unwrap_err();
    assert_eq!(
        twice,
        MethodError::AlreadyAdapted {
            path: "conv.weight".to_owned()
        }
    );
}
