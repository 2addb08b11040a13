//! Files are whole, consistent and for any number of images; what cannot be written says why.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Distribution, TensorData};
use common::shapes::check;
use common::{CLASSES, description, filled};
use finetune_model::{Architecture, Network};
use finetune_onnx::proto::{GraphProto, Message, ModelProto};
use finetune_onnx::{Description, Normalization, OPSET, OnnxError, export};

fn decoded(file: &[u8]) -> ModelProto {
    ModelProto::decode(file).unwrap()
}

fn graph(file: &[u8]) -> GraphProto {
    decoded(file).graph.unwrap()
}

/// One of each kind of network, as small as there is.
const NETWORKS: [&str; 16] = [
    "resnet8-64",
    "chapter",
    "resnet18",
    "seresnet18",
    "mobilenet_v2",
    "efficientnet_b0",
    "mobilenet_v3_small",
    "densenet121",
    "inception_v3",
    "convnext_atto",
    "convnextv2_atto",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "vit_tiny_patch16_224",
    "dinov2_small",
    "eva02_tiny_patch14_336",
];

#[test]
fn graphs_are_consistent_for_any_number_of_images_and_have_all_parameters() {
    for name in NETWORKS {
        let architecture = Architecture::find(name).unwrap();
        let network = filled(architecture);
        let file = export(&network, Network::forward, &description(architecture)).unwrap();
        let graph = graph(&file);
        for batch in [1, 2, 5] {
            assert_eq!(check(&graph, batch), [batch, 7], "{name}");
        }
        // Nothing of weight is written twice, and constants of the graph take little.
        let most = 4 * network.num_params() + file.len() / 20 + 100_000;
        assert!(file.len() <= most, "{name} has {} bytes", file.len());
    }
}

#[test]
fn parameters_have_the_names_and_values_of_the_module() {
    let layer = LinearConfig::new(12, 2).init(&Device::flex());
    let description = Description {
        name: "linear".to_owned(),
        image: [3, 2, 2],
        producer: ["test", "1"].map(str::to_owned),
        metadata: BTreeMap::from([("classes".to_owned(), "[\"a\",\"b\"]".to_owned())]),
        normalization: None,
    };
    let forward = |layer: &Linear, images: Tensor<4>| layer.forward(images.flatten(1, 3));
    let model = decoded(&export(&layer, forward, &description).unwrap());
    assert_eq!(
        (model.ir_version, model.opset_import[0].version),
        (8, OPSET)
    );
    assert_eq!(
        (
            model.producer_name.as_str(),
            model.producer_version.as_str()
        ),
        ("test", "1")
    );
    assert_eq!(model.metadata_props[0].key, "classes");
    assert_eq!(model.metadata_props[0].value, "[\"a\",\"b\"]");
    let graph = model.graph.unwrap();
    assert_eq!(
        (graph.input[0].name.as_str(), graph.output[0].name.as_str()),
        ("images", "logits")
    );
    let weight = graph
        .initializer
        .iter()
        .find(|one| one.name == "weight")
        .unwrap();
    let wanted: Vec<f32> = layer.weight.val().into_data().iter::<f32>().collect();
    let found: Vec<f32> = (weight.raw_data.chunks_exact(4))
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!((weight.dims.as_slice(), found), (&[12, 2][..], wanted));
    assert!(graph.initializer.iter().any(|one| one.name == "bias"));
}

#[test]
fn a_tensor_that_is_used_twice_is_written_once_and_an_unused_one_not_at_all() {
    #[derive(Module, Debug)]
    struct Shared {
        used: Param<Tensor<2>>,
        equal: Param<Tensor<2>>,
        unused: Param<Tensor<2>>,
    }
    let value = |number: f32| {
        let data = TensorData::new(vec![number; 12 * 12], [12, 12]);
        Param::from_tensor(Tensor::from_data(data, &Device::flex()))
    };
    let shared = Shared {
        used: value(2.0),
        equal: value(2.0),
        unused: value(3.0),
    };
    let forward = |shared: &Shared, images: Tensor<4>| {
        let x: Tensor<2> = images.flatten(1, 3);
        let x = x.matmul(shared.used.val()).matmul(shared.used.val());
        let _ = x.clone().matmul(shared.unused.val());
        x.matmul(shared.equal.val())
    };
    let file = export(&shared, forward, &image(3, 2)).unwrap();
    let graph = graph(&file);
    check(&graph, 4);
    let matrices = graph.initializer.iter().filter(|one| one.dims == [12, 12]);
    assert_eq!(
        matrices.map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["used"]
    );
}

#[test]
fn what_depends_on_constants_alone_is_computed_when_the_file_is_written() {
    let layer = LinearConfig::new(12, 4).init(&Device::flex());
    let forward = |layer: &Linear, images: Tensor<4>| {
        let weight = layer
            .weight
            .val()
            .transpose()
            .mul_scalar(2.0)
            .exp()
            .transpose();
        images.flatten::<2>(1, 3).matmul(weight)
    };
    let file = export(&layer, forward, &image(3, 2)).unwrap();
    let graph = graph(&file);
    let kinds: Vec<&str> = graph
        .node
        .iter()
        .map(|node| node.op_type.as_str())
        .collect();
    assert_eq!(kinds, ["Reshape", "MatMul"]);
    let weight = graph
        .initializer
        .iter()
        .find(|one| one.dims == [12, 4])
        .unwrap();
    let found = weight.raw_data.chunks_exact(4);
    let found = found.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    for (found, value) in found.zip(layer.weight.val().into_data().iter::<f32>()) {
        assert!((found - (2.0 * value).exp()).abs() <= 1e-6 * found);
    }
}

#[test]
fn a_constant_per_image_follows_the_number_of_images() {
    let layer = LinearConfig::new(12, 4).init(&Device::flex());
    let forward = |layer: &Linear, images: Tensor<4>| {
        let [batch, ..] = images.dims();
        let token = layer
            .weight
            .val()
            .narrow(1, 0, 1)
            .transpose()
            .repeat_dim(0, batch);
        let offset = Tensor::<2>::ones([2 * batch, 6], &images.device()).reshape([batch, 12]);
        let x = images.flatten::<2>(1, 3) + offset;
        layer.forward(Tensor::cat(vec![x, token], 1).narrow(1, 6, 12))
    };
    let graph = graph(&export(&layer, forward, &image(3, 2)).unwrap());
    for batch in [1, 2, 3, 17] {
        assert_eq!(check(&graph, batch), [batch, 4]);
    }
    let kinds: BTreeSet<&str> = graph
        .node
        .iter()
        .map(|node| node.op_type.as_str())
        .collect();
    assert!(
        kinds.contains("Shape") && kinds.contains("Expand"),
        "{kinds:?}"
    );
}

#[test]
fn pixel_values_are_normalised_in_the_graph_if_it_is_asked_for() {
    let architecture = Architecture::find("resnet8").unwrap();
    let network = filled(architecture);
    let mut description = description(architecture);
    let plain = graph(&export(&network, Network::forward, &description).unwrap());
    description.normalization = Some(Normalization {
        mean: vec![0.5, 0.25, 0.125],
        std: vec![0.2, 0.3, 0.4],
    });
    let normalising = graph(&export(&network, Network::forward, &description).unwrap());
    check(&normalising, 3);
    assert_eq!(normalising.node.len(), plain.node.len() + 3);
    let first: Vec<(&str, &str)> = (normalising.node[..3].iter())
        .map(|node| (node.op_type.as_str(), node.input[0].as_str()))
        .collect();
    assert_eq!(
        (first[0], first[1].0, first[2].0),
        (("Div", "images"), "Sub", "Div")
    );
    assert_eq!(normalising.node[1].input[0], normalising.node[0].output[0]);
    // Only their number is taken elsewhere.
    let mut rest = normalising.node[3..]
        .iter()
        .filter(|node| node.op_type != "Shape");
    assert!(rest.all(|node| !node.input.contains(&"images".to_owned())));
}

#[test]
fn an_unknown_operation_is_named() {
    let layer = LinearConfig::new(12, 4).init(&Device::flex());
    let forward =
        |layer: &Linear, images: Tensor<4>| layer.forward(images.flatten::<2>(1, 3).cumsum(1));
    let error = export(&layer, forward, &image(3, 2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the network uses an operation that cannot be written as ONNX: CumSum (NumericFloat)"
    );
    let forward = |layer: &Linear, images: Tensor<4>| {
        let shape = images.dims();
        let noise = Tensor::random(shape, Distribution::Default, &images.device());
        layer.forward((images + noise).flatten::<2>(1, 3))
    };
    let error = export(&layer, forward, &image(3, 2))
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("Random (Float)"), "{error}");
}

#[test]
fn a_network_that_mixes_the_images_of_a_batch_is_refused() {
    let layer = LinearConfig::new(12, 4).init(&Device::flex());
    let scaled = |layer: &Linear, images: Tensor<4>| {
        let [batch, ..] = images.dims();
        #[allow(clippy::cast_precision_loss)]
        layer
            .forward(images.flatten::<2>(1, 3))
            .div_scalar(batch as f32)
    };
    let other = |layer: &Linear, images: Tensor<4>| {
        let [batch, ..] = images.dims();
        let logits = layer.forward(images.flatten::<2>(1, 3));
        if batch > 2 { logits.exp() } else { logits }
    };
    let error = export(&layer, scaled, &image(3, 2)).unwrap_err();
    assert_eq!(
        error,
        OnnxError::BatchDependent {
            what: "the settings of DivScalar (NumericFloat) depend on the number of images"
                .to_owned()
        }
    );
    let error = export(&layer, other, &image(3, 2)).unwrap_err();
    assert!(matches!(error, OnnxError::BatchDependent { .. }), "{error}");
}

#[test]
fn a_module_larger_than_a_message_is_refused_before_it_is_recorded() {
    // 2³⁰ parameters, which are never made.
    let layer = LinearConfig::new(1 << 20, 1 << 10).init(&Device::flex());
    let forward = |_: &Linear, _: Tensor<4>| -> Tensor<2> { panic!("it was recorded") };
    let error = export(&layer, forward, &image(1, 1 << 10)).unwrap_err();
    assert!(matches!(error, OnnxError::TooLarge { .. }), "{error}");
}

fn image(channels: usize, side: usize) -> Description {
    Description {
        image: [channels, side, side],
        ..Description::default()
    }
}

#[test]
fn the_number_of_classes_is_the_networks() {
    let architecture = Architecture::find("resnet8").unwrap();
    let file = export(
        &filled(architecture),
        Network::forward,
        &description(architecture),
    );
    let classes = i64::try_from(CLASSES).unwrap();
    assert_eq!(check(&graph(&file.unwrap()), 2), [2, classes]);
}
