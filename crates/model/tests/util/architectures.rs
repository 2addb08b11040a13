//! Compares the architectures of a family with PyTorch's libraries. `tests/parity/architectures.py`
//! computed the expected values; its formula for weights and images is repeated here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use std::path::Path;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Gradients, Int, TensorData};
use finetune_methods::parameters;
use finetune_model::{
    Architecture, Head, Network, Sizes, StateTensor, WeightsFile, state_dict, state_dict_of,
    tensors_of, write_safetensors,
};
use serde_json::Value;

pub(crate) const CLASSES: usize = 7;

/// Parameters of a network of a hundred layers: a convolution's weight and a normalisation's two per layer.
const DEEP: usize = 300;

pub(crate) fn fixture(family: &str) -> Value {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/architectures"
    );
    let text = std::fs::read_to_string(format!("{folder}/{family}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Checks the architectures of a family with so many parameters.
pub(crate) fn check(family: &str, bars: Bars, parameters: impl RangeBounds<usize>) {
    let fixture = fixture(family);
    let cases = fixture["models"].as_object().unwrap();
    assert!(!cases.is_empty());
    for (key, case) in cases {
        let (name, library) = name_and_library(key);
        let architecture = Architecture::find(name).unwrap();
        let tensors = tensors_of(architecture, library, CLASSES).unwrap();
        let sizes = tensors
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>());
        if parameters.contains(&sizes.sum()) {
            agrees_with(key, case, bars);
        }
    }
}

/// The name of an architecture, and that of a library in brackets.
fn name_and_library(key: &str) -> (&str, Option<&str>) {
    match key.split_once(" (") {
        Some((name, library)) => (name, Some(library.trim_end_matches(')'))),
        None => (key, None),
    }
}

/// Computes the CRC-32 (IEEE), bit by bit.
fn crc32(text: &str) -> u32 {
    !text.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Returns a number in [-1, 1) that the script's hash computes from a name and an index.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = crc32(name);
    (0..count).map(move |index| {
        let mut x = (index as u32).wrapping_add(seed).wrapping_mul(0x9E37_79B1);
        x ^= x >> 15;
        x = x.wrapping_mul(0x85EB_CA77);
        x ^= x >> 13;
        f64::from(x) / f64::from(1_u32 << 31) - 1.0
    })
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn fill(tensor: &mut StateTensor) {
    let StateTensor {
        name,
        shape,
        values,
    } = tensor;
    let inputs: usize = shape.iter().skip(1).product();
    let long = shape.iter().filter(|length| **length != 1).count();
    let positions = [
        "pos_embed",
        "pos_embedding",
        "position_embeddings",
        "position_embedding.weight",
        "positional_embedding",
    ];
    let position = positions.iter().any(|ending| name.ends_with(ending));
    let formula = |u: f64| {
        // Only the weights of norms have a single axis.
        if name.ends_with("running_var") || (shape.len() == 1 && name.ends_with("weight")) {
            1.0 + 0.3 * u
        } else if long > 1 && !position {
            u * (3.0 / inputs as f64).sqrt()
        } else {
            0.1 * u
        }
    };
    *values = uniform(name, values.len())
        .map(|u| formula(u) as f32)
        .collect();
}

#[allow(clippy::cast_possible_truncation)]
pub(crate) fn images(batch: usize, height: usize, width: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = uniform("images", batch * 3 * height * width)
        .map(|u| u as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, [batch, 3, height, width]), device)
}

struct Norms<'a> {
    gradients: &'a Gradients,
    found: BTreeMap<ParamId, f64>,
}

impl ModuleVisitor for Norms<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let norm = gradient.powi_scalar(2).sum().sqrt();
            self.found
                .insert(param.id, f64::from(norm.into_scalar::<f32>()));
        }
    }
}

fn numbers(rows: &Value) -> Vec<f64> {
    let rows = rows.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|value| value.as_f64().unwrap())
        .collect()
}

/// Largest errors that are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bars {
    /// Error of logits, relative to the largest logit.
    pub(crate) logits: f64,
    /// Further error of logits in training mode, relative to that of PyTorch in `f32`.
    pub(crate) rounding: f64,
    /// Error of the norm of each gradient in evaluation mode, relative to that norm.
    pub(crate) gradients: f64,
    /// The same for networks of more than a hundred layers.
    pub(crate) deep_gradients: f64,
    /// The same in training mode, or `None` if gradients differ because of kinks.
    pub(crate) training_gradients: Option<f64>,
}

fn agrees(
    key: &str,
    network: &Network,
    names: &BTreeMap<ParamId, Vec<String>>,
    case: &Value,
    mode: &str,
    bars: Bars,
) {
    let size = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
    let device = Device::flex().autodiff();
    let batch = size("batch");
    let output = network.forward(images(batch, size("height"), size("width"), &device));
    let wanted = numbers(&case[mode]["logits"]);
    let found: Vec<f64> = output.clone().into_data().iter::<f64>().collect();
    let largest = wanted
        .iter()
        .fold(0.0_f64, |max, value| max.max(value.abs()));
    // How far PyTorch's own logits in `f32` are from these.
    let rounding = case[mode]["rounding"].as_f64().unwrap_or(0.0);
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(
            (found - wanted).abs() <= bars.logits * largest + bars.rounding * rounding,
            "{key}, {mode}: logit {found} instead of {wanted}"
        );
    }
    let bar = match mode {
        "eval" if names.len() > DEEP => bars.deep_gradients,
        "eval" => bars.gradients,
        _ => match bars.training_gradients {
            Some(bar) => bar,
            None => return,
        },
    };
    let labels: Vec<i64> = (0..i64::try_from(batch).unwrap()).map(|i| i % 7).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device);
    let loss = CrossEntropyLossConfig::new()
        .init(&device)
        .forward(output, labels);
    let gradients = loss.backward();
    let mut norms = Norms {
        gradients: &gradients,
        found: BTreeMap::new(),
    };
    network.visit(&mut norms);
    let mut wanted: BTreeMap<&String, f64> = case[mode]["gradient_norms"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, norm)| (name, norm.as_f64().unwrap()))
        .collect();
    if case.get("every").is_some() {
        // Some of the gradients are stored.
        norms
            .found
            .retain(|id, _| names[id].iter().all(|name| wanted.contains_key(name)));
        // And of some parameters, those of a part alone.
        let all: Vec<&Vec<String>> = names.values().collect();
        wanted.retain(|name, _| {
            let parts = all.iter().find(|parts| parts.contains(name));
            let parts = parts.unwrap_or_else(|| panic!("{key} has no {name}"));
            parts
                .iter()
                .all(|part| case[mode]["gradient_norms"].get(part).is_some())
        });
    }
    let found = norms.found.keys().flat_map(|id| &names[id]);
    assert_eq!(
        found.collect::<BTreeSet<_>>(),
        wanted.keys().copied().collect::<BTreeSet<_>>(),
        "{key}"
    );
    let largest = wanted.values().fold(0.0_f64, |max, norm| max.max(*norm));
    for (id, found) in &norms.found {
        let names = &names[id];
        let squares = names.iter().map(|name| wanted[name].powi(2));
        let norm = squares.sum::<f64>().sqrt();
        // The change of the norm if values that are closer to a kink than `f32` can resolve move to
        // its other side.
        let kinks = case[mode]["kinks"][&names[0]].as_f64().unwrap_or(0.0);
        assert!(
            (found - norm).abs() <= bar * norm + kinks + 1e-6 * largest,
            "{key}, {mode}: gradient of {} has norm {found} instead of {norm}",
            names.join(", ")
        );
    }
}

/// The names of the parts of each parameter in a library.
fn names_of(
    network: &Network,
    architecture: &Architecture,
    library: Option<&str>,
) -> BTreeMap<ParamId, Vec<String>> {
    let name = architecture.names(library).unwrap();
    let of = |path: &str| {
        let path = match path.rsplit_once('.') {
            Some((layer, "gamma")) => format!("{layer}.weight"),
            Some((layer, "beta")) => format!("{layer}.bias"),
            _ => path.to_owned(),
        };
        // The layers of a head with a hidden layer have numbers in an `nn.Sequential`.
        let head = architecture.head;
        let path = path
            .replace(&format!("{head}.hidden."), &format!("{head}.0."))
            .replace(&format!("{head}.output."), &format!("{head}.2."));
        let name = name(&path);
        let Some((before, (inside, after))) = name
            .split_once('{')
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        else {
            return vec![name];
        };
        let parts = inside.split(',').filter(|part| *part != "0");
        let parts = parts.map(|part| part.split_once('*').map_or(part, |(name, _)| name));
        parts.map(|part| format!("{before}{part}{after}")).collect()
    };
    let parameters = parameters(network).into_iter();
    parameters
        .map(|param| (param.id, of(&param.path)))
        .collect()
}

/// Writes weights by formula with the names of a library, and opens the file.
pub(crate) fn weights(
    architecture: &Architecture,
    library: Option<&str>,
    folder: &Path,
) -> WeightsFile {
    let network = architecture.build(CLASSES, 0, &Device::flex());
    let mut tensors = match library {
        Some(library) => state_dict_of(&network, architecture, library).unwrap(),
        None => state_dict(&network, architecture).unwrap(),
    };
    tensors.iter_mut().for_each(fill);
    let path = folder.join("weights.safetensors");
    write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
    WeightsFile::open(&path).unwrap()
}

fn agrees_with(key: &str, case: &Value, bars: Bars) {
    let (name, library) = name_and_library(key);
    let architecture = Architecture::find(name).unwrap();
    let architecture = match architecture.sizes {
        Sizes::MultipleOf(_) => {
            let side = case["height"].as_u64().unwrap();
            architecture.at(usize::try_from(side).unwrap()).unwrap()
        }
        _ => *architecture,
    };
    let hidden = case["head_hidden"].as_u64();
    let hidden = hidden.map(|units| usize::try_from(units).unwrap());
    let architecture = architecture.with_head_hidden(hidden);
    // Loads the weights from a file with the library's names, which must be recognised.
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, library, folder.path());
    let understood = file.understand().unwrap();
    let recognized = understood.architecture.name;
    assert!(
        recognized == architecture.name || understood.also_fits.contains(&architecture.name),
        "{key} is recognised as {recognized}"
    );
    let device = Device::flex().autodiff();
    let loaded = file
        .load(&architecture, CLASSES, Head::Stored, &device)
        .unwrap();
    assert!(loaded.notes.is_empty(), "{key}: {:?}", loaded.notes);
    let network = loaded.network;
    let names = names_of(&network, &architecture, library);

    let evaluation = network.freeze();
    // All parameters have gradients, although the norms use their running statistics.
    let evaluation = evaluation.set_require_grad_group(ParamGroup::all(), true);
    agrees(key, &evaluation, &names, case, "eval", bars);
    let training = evaluation.unfreeze_group(ParamGroup::all());
    // Without batch normalisation both modes compute the same.
    if !case["train"].is_null() {
        agrees(key, &training, &names, case, "train", bars);
    }
}
