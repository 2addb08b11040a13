//! Which network the tensors of a file are, whatever a training script nests, renames and stores beside
//! them.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use finetune_model::{
    Architecture, Head, StateTensor, Understood, WeightsFile, state_dict, state_dict_of, write_pth,
    write_safetensors,
};

/// The tensors of an architecture with 3 classes, with a prefix.
fn network(model: &str, library: Option<&str>, prefix: &str) -> Vec<StateTensor> {
    let architecture = Architecture::find(model).unwrap();
    let network = architecture.build(3, 1, &Device::flex());
    let mut tensors = match library {
        Some(library) => state_dict_of(&network, architecture, library).unwrap(),
        None => state_dict(&network, architecture).unwrap(),
    };
    for tensor in &mut tensors {
        tensor.name.insert_str(0, prefix);
    }
    tensors
}

fn resnet8(prefix: &str) -> Vec<StateTensor> {
    network("resnet8", None, prefix)
}

fn other(names: &[&str]) -> Vec<StateTensor> {
    let tensor = |name: &&str| StateTensor {
        name: (*name).to_owned(),
        shape: vec![2],
        values: vec![0.5; 2].into(),
    };
    names.iter().map(tensor).collect()
}

/// Writes tensors as both formats, which must be understood in the same way.
fn understood(parts: &[Vec<StateTensor>]) -> Option<Understood> {
    let folder = tempfile::tempdir().unwrap();
    let tensors = parts.concat();
    let (pth, safetensors) = (
        folder.path().join("a.pth"),
        folder.path().join("a.safetensors"),
    );
    write_pth(&tensors, &pth).unwrap();
    write_safetensors(tensors, &BTreeMap::new(), &safetensors).unwrap();
    let of = |path: &Path| WeightsFile::open(path).unwrap().understand();
    let (first, second) = (of(&pth), of(&safetensors));
    let lines = |understood: &Option<Understood>| understood.as_ref().map(Understood::lines);
    assert_eq!(lines(&first), lines(&second));
    first
}

#[test]
fn a_network_is_found_under_any_prefix() {
    for prefix in [
        "",
        "module.",
        "model.",
        "net.",
        "backbone.",
        "encoder.",
        "state_dict.module.model.",
        "model_state.",
        "a.b.0.c.",
    ] {
        let found = understood(&[resnet8(prefix)]).unwrap();
        assert_eq!(found.architecture.name, "resnet8");
        assert_eq!((found.prefix.as_str(), found.left_out), (prefix, 0));
        assert_eq!(found.classes, Some(3));
        // 7 convolutions, 7 normalisations of 4 tensors, and the head.
        assert_eq!(found.tensors, 7 + 7 * 4 + 2);
        assert_eq!(found.also_fits, ["resnet8-64"]);
        assert!(found.notes().is_empty());
    }
}

#[test]
fn parts_of_names_may_be_separated_by_slashes() {
    let everywhere = |mut tensors: Vec<StateTensor>| {
        for tensor in &mut tensors {
            tensor.name = tensor.name.replace('.', "/");
        }
        tensors
    };
    for (tensors, prefix) in [
        (resnet8("encoder/"), "encoder."),
        (everywhere(resnet8("net/encoder/")), "net.encoder."),
        (everywhere(resnet8("")), ""),
    ] {
        let beside = other(&["decoder/conv1/weight"]);
        let found = understood(&[tensors.clone(), beside]).unwrap();
        assert_eq!(found.architecture.name, "resnet8");
        assert_eq!((found.prefix.as_str(), found.left_out), (prefix, 1));
        assert_eq!(found.left_out_examples, ["decoder/conv1/weight"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        let architecture = Architecture::find("resnet8").unwrap();
        let loaded = file.load(architecture, 3, Head::Stored, &Device::flex());
        let read = state_dict(&loaded.unwrap().network, architecture).unwrap();
        let values = |mut tensors: Vec<StateTensor>| {
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            tensors
        };
        assert_eq!(values(read), values(resnet8("")));
    }
}

#[test]
fn what_wrappers_insert_into_names_does_not_matter() {
    let mut tensors = resnet8("model._orig_mod.");
    for tensor in &mut tensors {
        tensor.name = tensor
            .name
            .replace("layer1.", "layer1._fsdp_wrapped_module.");
        tensor.name = tensor
            .name
            .replace("layer2.0.", "layer2.0._checkpoint_wrapped_module.");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.understand().unwrap().prefix, "model.");
    let architecture = Architecture::find("resnet8").unwrap();
    let loaded = file
        .load(architecture, 3, Head::Stored, &Device::flex())
        .unwrap();
    let mut wanted = resnet8("");
    let mut read = state_dict(&loaded.network, architecture).unwrap();
    for list in [&mut wanted, &mut read] {
        list.sort_by(|a, b| a.name.cmp(&b.name));
    }
    assert_eq!(read, wanted);
}

#[test]
fn what_is_beside_a_network_is_left_out_and_named() {
    let beside = [
        "criterion.weight",
        "optimizer.state.0.exp_avg",
        "projector.0.weight",
    ];
    let found = understood(&[resnet8("model."), other(&beside)]).unwrap();
    assert_eq!((found.prefix.as_str(), found.left_out), ("model.", 3));
    assert_eq!(found.left_out_examples, beside);
    assert_eq!(
        found.notes(),
        [
            "3 of its tensors do not belong to the network and are left out: `criterion.weight`, \
          `optimizer.state.0.exp_avg`, `projector.0.weight`"
        ]
    );
    // At the same level as well, and a head of several layers in place of the network's.
    let mut headless = resnet8("");
    headless.retain(|tensor| !tensor.name.starts_with("linear."));
    let found = understood(&[headless, other(&["criterion.weight", "linear.2.weight"])]).unwrap();
    assert_eq!(
        (found.prefix.as_str(), found.left_out, found.classes),
        ("", 2, None)
    );
}

#[test]
fn a_network_with_further_tokens_is_another_network() {
    let vit = network("vit_tiny_patch16_224", None, "");
    assert!(understood(std::slice::from_ref(&vit)).is_some());
    for further in ["reg_token", "register_tokens", "attn_pool.q.weight"] {
        let found = understood(&[vit.clone(), other(&[further])]);
        assert!(found.is_none(), "{further}");
    }
}

#[test]
fn a_network_with_further_tensors_in_its_layers_is_another_network() {
    for further in [
        "layer1.0.se.weight",
        "layer4.0.conv1.weight",
        "layer3.1.conv1.weight",
    ] {
        assert!(
            understood(&[resnet8(""), other(&[further])]).is_none(),
            "{further}"
        );
    }
    let mut tensors = resnet8("");
    tensors.remove(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    assert!(file.understand().is_none());
    let (architecture, problems) = file.nearest().unwrap();
    assert_eq!(architecture.name, "resnet8");
    assert!(problems.starts_with("missing: "), "{problems}");
}

#[test]
fn of_several_networks_one_is_chosen_by_a_rule_and_the_others_are_named() {
    let chosen = |parts: &[Vec<StateTensor>]| {
        let found = understood(parts).unwrap();
        let others: Vec<_> = found
            .others
            .iter()
            .map(|other| other.prefix.clone())
            .collect();
        (found.prefix, others.join(" "))
    };
    let pair = |first: &str, second: &str| (first.to_owned(), second.to_owned());
    // Averages of the weights come after the weights.
    for ema in ["state_dict_ema.", "model_ema.", "ema.module.", "swa_model."] {
        assert_eq!(
            chosen(&[resnet8("model."), resnet8(ema)]),
            pair("model.", ema)
        );
    }
    assert_eq!(chosen(&[resnet8("ema.")]), pair("ema.", ""));
    // The teacher is the student's average if both are the same network.
    let (student, teacher) = ("student.backbone.", "teacher.backbone.");
    assert_eq!(
        chosen(&[resnet8(student), resnet8(teacher)]),
        pair(teacher, student)
    );
    let larger = network("resnet14", None, teacher);
    assert_eq!(
        chosen(&[resnet8(student), larger.clone()]),
        pair(student, teacher)
    );
    // The larger one otherwise.
    let two = [resnet8("a."), network("resnet14", None, "b.")];
    assert_eq!(chosen(&two), pair("b.", "a."));
    assert_eq!(
        understood(&two).unwrap().notes(),
        [
            "it holds several sets of weights; those under `b.` are used, not those under `a.` (resnet8) (to \
          use others, save them alone, for example checkpoint[\"a\"])"
        ]
    );
}

#[test]
fn the_body_of_a_network_in_the_names_of_transformers_is_found() {
    let whole = network("resnet18", Some("transformers"), "");
    let found = understood(std::slice::from_ref(&whole)).unwrap();
    assert_eq!(found.architecture.name, "resnet18");
    assert_eq!((found.library, found.prefix.as_str()), ("transformers", ""));
    assert_eq!((found.classes, found.left_out), (Some(3), 0));
    // The body within it is no second network.
    assert!(found.others.is_empty());
    let body: Vec<StateTensor> = whole
        .into_iter()
        .filter_map(|mut tensor| {
            tensor.name = tensor.name.strip_prefix("resnet.")?.to_owned();
            Some(tensor)
        })
        .collect();
    let found = understood(&[body]).unwrap();
    assert_eq!(found.architecture.name, "resnet18");
    assert_eq!((found.library, found.prefix.as_str()), ("transformers", ""));
    assert_eq!((found.classes, found.left_out), (None, 0));
}

#[test]
fn networks_with_the_same_tensors_are_named() {
    let found = understood(&[network("resnet18", None, "")]).unwrap();
    assert_eq!(found.architecture.name, "resnet18");
    assert!(found.twins.contains(&"resnetblur18"));
    assert!(
        found.lines()[0].contains("could also be resnetblur18"),
        "{:?}",
        found.lines()
    );
    let found = understood(&[network("mobilenet_v2", Some("timm"), "module.")]).unwrap();
    assert_eq!(
        (found.architecture.name, found.library),
        ("mobilenet_v2", "timm")
    );
}

#[test]
fn a_librarys_model_without_a_head_is_part_of_its_model_with_one() {
    let whole = network("convnextv2_atto", Some("transformers"), "");
    let found = understood(std::slice::from_ref(&whole)).unwrap();
    assert_eq!(found.architecture.name, "convnextv2_atto");
    assert_eq!((found.prefix.as_str(), found.classes), ("", Some(3)));
    assert!(found.others.is_empty() && found.left_out == 0);
    // `ConvNextV2Model`, which stands under `convnextv2.` in `ConvNextV2ForImageClassification`.
    let mut body = whole;
    body.retain(|tensor| !tensor.name.starts_with("classifier."));
    for tensor in &mut body {
        tensor.name = tensor.name.replace("convnextv2.", "");
    }
    let found = understood(&[body]).unwrap();
    assert_eq!(found.architecture.name, "convnextv2_atto");
    assert_eq!((found.prefix.as_str(), found.classes), ("", None));
    assert!(found.others.is_empty() && found.left_out == 0);
}

#[test]
fn a_wanted_architecture_is_found_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    let both = [network("resnet14", None, "b."), resnet8("a.")].concat();
    write_pth(&both, &path).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.understand_as("resnet8").unwrap().prefix, "a.");
    assert_eq!(file.understand_as("resnet8-64").unwrap().prefix, "a.");
    assert!(file.understand_as("resnet18").is_none());
    let head = Head::New { seed: 0 };
    for model in ["resnet8", "resnet14"] {
        let architecture = Architecture::find(model).unwrap();
        let loaded = file.load(architecture, 5, head, &Device::flex()).unwrap();
        assert!(
            loaded.notes[0].starts_with("it holds several sets of weights"),
            "{:?}",
            loaded.notes
        );
    }
    let resnet18 = Architecture::find("resnet18").unwrap();
    let error = file.load(resnet18, 5, head, &Device::flex()).unwrap_err();
    assert!(
        error.to_string().contains("it looks like `resnet14`"),
        "{error}"
    );
}
