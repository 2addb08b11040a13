//! Pretrained weights from PyTorch files, and models exported for PyTorch.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::collections::BTreeMap;

use burn::tensor::Device;
use finetune::model::{
    Architecture, WeightsFile, state_dict, state_dict_of, write_pth, write_safetensors,
};
use util::Folder;

const QUICK: &str = "--data data --epochs 1 --image-size 32 --ui none --threads 2";

/// Writes a `.pth` file with random weights under the names of a library.
fn write(folder: &Folder, model: &str, library: Option<&str>) {
    let architecture = Architecture::find(model).unwrap();
    let network = architecture.build(10, 3, &Device::flex());
    let tensors = match library {
        Some(library) => state_dict_of(&network, architecture, library).unwrap(),
        None => state_dict(&network, architecture).unwrap(),
    };
    write_pth(&tensors, &folder.path("weights.pth")).unwrap();
}

/// A text whose lines were broken to fit.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pytorch_file_is_recognised_fine_tuned_and_exported() {
    let folder = Folder::colors();
    write(&folder, "mobilenet_v2", Some("timm"));
    let trained = folder
        .run(&format!(
            "train {QUICK} --weights weights.pth --method lora --format pth --out out"
        ))
        .ok();
    let said = on_one_line(&trained.stderr());
    assert!(
        said.contains("weights from weights.pth recognised as mobilenet_v2 by "),
        "{said}"
    );
    assert!(
        said.contains("its head for 10 classes is replaced by a new one for 2"),
        "{said}"
    );
    let report = folder.json("out/report.json");
    assert_eq!(report["model"], "mobilenet_v2");
    let artifacts = report["runs"][0]["artifacts"].as_array().unwrap();
    assert!(artifacts.contains(&"finetuned_model_lora.pth".into()));

    // The PyTorch file of the run and the exported files contain the same tensors as its
    // safetensors file.
    folder.run("export --run out --format pth --out a.pth").ok();
    folder
        .run("export --run out --names timm --out b.safetensors")
        .ok();
    let open = |file: &str| WeightsFile::open(&folder.path(file)).unwrap();
    let values = |file: &str, name: &str| open(file).values(name).unwrap();
    let wanted = values(
        "out/finetuned_model_lora.safetensors",
        "classifier.1.weight",
    );
    assert_eq!(wanted.len(), 2 * 1280);
    assert_eq!(values("a.pth", "classifier.1.weight"), wanted);
    assert_eq!(values("b.safetensors", "classifier.weight"), wanted);
    assert_eq!(
        values("out/finetuned_model_lora.pth", "features.2.conv.0.0.weight"),
        values("b.safetensors", "blocks.1.0.conv_pw.weight")
    );
    assert_eq!(open("a.pth").recognize().unwrap().name, "mobilenet_v2");
    let beside = folder.json("a.json");
    assert_eq!(beside["classes"], serde_json::json!(["green", "red"]));
    assert_eq!(
        (&beside["image_size"], &beside["crop"]),
        (&32.into(), &0.875.into())
    );

    let outcome = folder.run("export --run out --names keras --out c.safetensors");
    assert_eq!(outcome.code(), 2);
    assert!(outcome.stderr().contains(
        "the names of `keras` for `mobilenet_v2` are not known; libraries: torchvision, timm"
    ));
}

#[test]
fn an_adapter_is_exported_for_peft_and_merged_again() {
    let folder = Folder::colors();
    write(&folder, "resnet18", None);
    folder
        .run(&format!(
            "train {QUICK} --weights weights.pth --method lora --out out"
        ))
        .ok();
    folder
        .run("export --run out --format peft --out adapter")
        .ok();
    let config = folder.json("adapter/adapter_config.json");
    assert_eq!(
        (&config["peft_type"], &config["modules_to_save"]),
        (&"LORA".into(), &serde_json::json!(["fc"]))
    );
    let targets = config["target_modules"].as_array().unwrap();
    assert!(targets.contains(&"layer4.1.conv2".into()), "{targets:?}");
    folder
        .run(
            "merge --adapter adapter --weights weights.pth --classes green,red --out a.safetensors",
        )
        .ok();
    folder.run("merge --run out --out b.safetensors").ok();
    let open = |file: &str| WeightsFile::open(&folder.path(file)).unwrap();
    let (a, b) = (open("a.safetensors"), open("b.safetensors"));
    assert_eq!(a.shapes(), b.shapes());
    for name in a.shapes().into_keys() {
        let (a, b) = (
            open("a.safetensors").values(&name).unwrap(),
            open("b.safetensors").values(&name).unwrap(),
        );
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= 1e-6, "{name}: {a} and {b}");
        }
    }

    let refused = |arguments: &str, reason: &str| {
        let outcome = folder.run(arguments);
        assert_ne!(outcome.code(), 0);
        let said = outcome.stderr();
        assert!(said.contains(reason), "{said}");
        assert!(!folder.path("c.safetensors").exists());
    };
    refused(
        "merge --adapter out --weights weights.pth --out c.safetensors",
        "`out` is not the folder of a PEFT adapter",
    );
    refused(
        "merge --adapter adapter --weights weights.pth --classes red --out c.safetensors",
        "--classes names 1 classes, but the model has 2",
    );
    let text = std::fs::read_to_string(folder.path("adapter/adapter_config.json")).unwrap();
    let text = text.replace("\"LORA\"", "\"BOFT\"");
    std::fs::write(folder.path("adapter/adapter_config.json"), text).unwrap();
    refused(
        "merge --adapter adapter --weights weights.pth --out c.safetensors",
        "`peft_type` is `BOFT`; supported: LORA",
    );
}

#[test]
fn a_transformer_accepts_another_image_size() {
    let folder = Folder::colors();
    let architecture = Architecture::find("vit_tiny_patch16_224")
        .unwrap()
        .at(48)
        .unwrap();
    let network = architecture.build(10, 3, &Device::flex());
    let tensors = state_dict(&network, &architecture).unwrap();
    write_safetensors(tensors, &BTreeMap::new(), &folder.path("vit.safetensors")).unwrap();
    let trained = folder
        .run(&format!(
            "train {QUICK} --weights vit.safetensors --method linear --out out"
        ))
        .ok();
    let said = trained.stderr();
    assert!(
        said.contains("its position embedding for 3×3 patches is interpolated to 2×2"),
        "{said}"
    );
    let outcome = folder.run(&format!(
        "{} --weights vit.safetensors --out out2",
        format!("train {QUICK}").replace("--image-size 32", "--image-size 50")
    ));
    assert_eq!(outcome.code(), 2, "{}", outcome.stderr());
    assert!(
        outcome
            .stderr()
            .contains("a multiple of 16 pixels on each side, not 50×50")
    );

    // Modules parallel to its blocks are saved and reloaded.
    for method in ["adaptformer", "vpt-deep"] {
        folder
            .run(&format!(
                "train {QUICK} --weights vit.safetensors --method {method} --out {method} --lr 0.01"
            ))
            .ok();
        let report = folder.json(&format!("{method}/report.json"));
        let again = folder.run(&format!("evaluate --run {method} --json")).ok();
        let again: serde_json::Value = serde_json::from_str(&again.stdout()).unwrap();
        assert_eq!(again[0]["accuracy"], report["runs"][0]["accuracy"]);
        let refused = folder.run(&format!("merge --run {method} --out merged.safetensors"));
        assert_eq!(refused.code(), 1, "{}", refused.stderr());
        assert!(
            refused.stderr().contains("cannot be merged"),
            "{}",
            refused.stderr()
        );
        assert!(!folder.path("merged.safetensors").exists());
    }
    let outcome = folder.run("train --data data --method adaptformer --ui none");
    assert_eq!(outcome.code(), 2);
    assert!(
        outcome.stderr().contains(
            "adaptformer needs the blocks of a vision transformer, and `resnet8-64` has none"
        ),
        "{}",
        outcome.stderr()
    );
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let folder = Folder::colors();
    write(&folder, "resnet18", None);
    let fails = |args: &str, code: i32, message: &str| {
        let outcome = folder.run(&format!("train {QUICK} --out out {args}"));
        let said = outcome.stderr();
        assert_eq!(outcome.code(), code, "{said}");
        assert!(said.contains(message), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!folder.exists("out"));
    };
    fails(
        "--weights weights.pth --model resnet50",
        1,
        "it looks like `resnet18` (use --model resnet18); missing: layer1.0.conv3.weight",
    );
    fails(
        "--weights weights.pth --weights-sha256 00",
        1,
        "it is another file or damaged",
    );
    fails(
        "--weights hf:nobody",
        2,
        "write hf:OWNER/NAME[@REVISION][/FILE]",
    );
    let bytes = std::fs::read(folder.path("weights.pth")).unwrap();
    std::fs::write(folder.path("cut.pth"), &bytes[..bytes.len() / 2]).unwrap();
    fails(
        "--weights cut.pth",
        1,
        "`cut.pth` is not a readable weights file: the directory at its end is missing",
    );
    let strange = finetune::model::StateTensor {
        name: "encoder.weight".to_owned(),
        shape: vec![2],
        values: vec![0.0; 2].into(),
    };
    write_pth(&[strange], &folder.path("strange.pth")).unwrap();
    fails(
        "--weights strange.pth",
        1,
        "`strange.pth` does not fit any known model (its first tensor is `encoder.weight`)",
    );
}

#[test]
fn a_model_exported_as_pth_comes_back_as_itself() {
    let folder = Folder::colors();
    folder
        .run("train --data data --model resnet8-64 --method linear --epochs 1 --ui none --out run")
        .ok();
    folder
        .run("export --run run --out mine.pth") // the ending names the format
        .ok();
    let seen = |arguments: &str| -> serde_json::Value {
        let outcome = folder.run(&format!("inspect --json {arguments}")).ok();
        serde_json::from_str(&outcome.stdout()).unwrap()
    };
    let mine = seen("--weights mine.pth");
    assert_eq!(mine["model"], "resnet8-64");
    assert_eq!(mine["weights"]["also_fits"], serde_json::json!(["resnet8"]));
    assert_eq!(mine["weights"]["classes"], 2);
    // What is typed counts more; a description of other weights does not count.
    assert_eq!(
        seen("--weights mine.pth --model resnet8")["model"],
        "resnet8"
    );
    write(&folder, "resnet18", None);
    std::fs::rename(folder.path("weights.pth"), folder.path("mine.pth")).unwrap();
    assert_eq!(seen("--weights mine.pth")["model"], "resnet18");
}

#[test]
fn weights_in_any_wrapping_give_the_same_adapter_and_say_what_is_left_out() {
    let folder = Folder::colors();
    let architecture = Architecture::find("resnet8").unwrap();
    let network = architecture.build(3, 3, &Device::flex());
    let plain = state_dict(&network, architecture).unwrap();
    let wrapped = |prefix: &str| -> Vec<_> {
        let mut tensors = plain.clone();
        for tensor in &mut tensors {
            tensor.name.insert_str(0, prefix);
        }
        tensors
    };
    let average = plain.iter().cloned().map(|mut tensor| {
        tensor.name.insert_str(0, "ema.");
        tensor.values = vec![0.0; tensor.values.len()].into();
        tensor
    });
    let with_average = [wrapped("net.module."), average.collect()].concat();
    write_pth(&plain, &folder.path("plain.pth")).unwrap();
    write_pth(&with_average, &folder.path("average.pth")).unwrap();
    write_safetensors(
        wrapped("module."),
        &BTreeMap::new(),
        &folder.path("module.safetensors"),
    )
    .unwrap();
    let trained = |file: &str| {
        let arguments = format!("train {QUICK} --method linear --weights {file} --out out");
        let outcome = folder.run(&arguments).ok();
        let adapter = std::fs::read(folder.path("out/adapter_linear.safetensors")).unwrap();
        std::fs::remove_dir_all(folder.path("out")).unwrap();
        (adapter, on_one_line(&outcome.stderr()))
    };
    let (wanted, said) = trained("plain.pth");
    assert!(!said.contains("sets of weights"), "{said}");
    assert_eq!(trained("module.safetensors").0, wanted);
    let (adapter, said) = trained("average.pth");
    assert_eq!(adapter, wanted);
    assert!(
        said.contains("those under `net.module.` are used, not those under `ema.`"),
        "{said}"
    );
}

#[test]
fn weights_that_are_not_finite_are_not_trained_from() {
    let folder = Folder::colors();
    let architecture = Architecture::find("resnet8").unwrap();
    let network = architecture.build(3, 3, &Device::flex());
    let mut tensors = state_dict(&network, architecture).unwrap();
    tensors[2].values.to_mut()[0] = f32::NEG_INFINITY;
    write_pth(&tensors, &folder.path("infinite.pth")).unwrap();
    let outcome = folder.run(&format!("train {QUICK} --weights infinite.pth --out out"));
    let said = outcome.stderr();
    assert_eq!(outcome.code(), 1, "{said}");
    assert!(
        said.contains(
            "`infinite.pth` has values that are not finite (NaN or infinite) in 1 of its tensors"
        ),
        "{said}"
    );
    assert!(!said.contains("learning rate"), "{said}");
}
