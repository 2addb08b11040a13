//! Which network weights are of: by the configurations of their publishers, by their names, and by their
//! tensors. The files have the names and shapes of tensors and zeros for values.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::path::{Path, PathBuf};

use finetune::Error;
use finetune::data::{Filter, Normalization};
use finetune::model::{ARCHITECTURES, Architecture, WeightsFile, tensors_of};
use finetune::weights::{Identity, identify};
use serde_json::{Value, json};
use util::{Folder, line};

/// Writes the tensors of an architecture in a library's names, as a file with holes.
fn write(path: &Path, model: &str, library: Option<&str>, metadata: &Value) {
    let architecture = Architecture::find(model).unwrap();
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors_of(architecture, library, 10).unwrap() {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(
            name,
            json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, end] }),
        );
    }
    header.insert("__metadata__".to_owned(), metadata.clone());
    let header = serde_json::to_vec(&header).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    std::fs::write(path, &bytes).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len((bytes.len() + end) as u64).unwrap();
}

fn identity(path: &Path) -> Result<Identity, Error> {
    identify(&WeightsFile::open(path).unwrap(), path, None)
}

struct Source {
    folder: Folder,
    path: PathBuf,
}

impl Source {
    fn of(model: &str, library: Option<&str>) -> Self {
        let folder = Folder::new();
        let path = folder.path("repository/model.safetensors");
        write(&path, model, library, &json!({}));
        Self { folder, path }
    }

    fn with(self, name: &str, document: &Value) -> Self {
        let file = self.folder.path("repository").join(name);
        std::fs::write(file, document.to_string()).unwrap();
        self
    }

    fn identity(&self) -> Identity {
        identity(&self.path).unwrap()
    }

    fn error(&self) -> String {
        let error = identity(&self.path).unwrap_err();
        assert!(matches!(error, Error::UnknownWeights(_)), "{error}");
        error.to_string()
    }
}

/// timm's `config.json`.
fn timm(architecture: &str) -> Value {
    json!({ "architecture": architecture, "num_classes": 1000 })
}

#[test]
fn every_architecture_is_recognised_in_the_names_of_each_library() {
    for architecture in ARCHITECTURES {
        for library in architecture.libraries() {
            let folder = Folder::new();
            let path = folder.path("w.safetensors");
            write(&path, architecture.name, Some(library), &json!({}));
            let found = WeightsFile::open(&path).unwrap().understand();
            let found = found.unwrap_or_else(|| panic!("{} ({library})", architecture.name));
            let name = architecture.name;
            assert!(
                found.architecture.name == name || found.also_fits.contains(&name),
                "{name} ({library}) is recognised as {}",
                found.architecture.name
            );
        }
    }
}

#[test]
fn networks_with_the_same_tensors_are_told_apart_by_the_configuration_of_timm() {
    let cases = [
        (
            "deit_tiny_patch16_224",
            "vit_tiny_patch16_224",
            "vit_tiny_patch16_224.augreg_in21k",
        ),
        (
            "vit_tiny_patch16_224",
            "deit_tiny_patch16_224",
            "deit_tiny_patch16_224.fb_in1k",
        ),
        (
            "vit_small_patch16_224",
            "deit_small_patch16_224",
            "deit_small_patch16_224",
        ),
        (
            "vit_base_patch32_clip_224",
            "vit_base_patch32_clip_quickgelu_224",
            "vit_base_patch32_clip_quickgelu_224.openai",
        ),
        (
            "vit_base_patch32_clip_quickgelu_224",
            "vit_base_patch32_clip_224",
            "vit_base_patch32_clip_224.laion2b_e16",
        ),
        (
            "dinov2_small",
            "dinov2_small",
            "vit_small_patch14_dinov2.lvd142m",
        ),
        (
            "dinov3_small",
            "dinov3_small",
            "vit_small_patch16_dinov3_qkvb",
        ),
    ];
    for (tensors, model, says) in cases {
        let found = Source::of(tensors, Some("timm")).with("config.json", &timm(says));
        let found = found.identity();
        assert_eq!(found.model, model, "{says}");
        let why = format!("`config.json` beside it says `{says}` (timm)");
        assert_eq!(found.notes, [why]);
    }
}

#[test]
fn look_alikes_that_are_not_supported_are_refused_by_name() {
    let cases = [
        ("resnet18", "resnetblur18"),
        ("resnet50", "resnetaa50"),
        ("resnet50", "resnetblur50"),
        ("resnet34d", "resnetaa34d"),
        ("resnet50d", "resnetaa50d"),
        ("resnet101d", "resnetblur101d"),
        ("seresnext101d_32x8d", "seresnextaa101d_32x8d"),
        ("efficientnet_b0", "efficientnet_blur_b0"),
        ("mobilenetv4_conv_medium", "mobilenetv4_conv_blur_medium"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_unheard_of"),
    ];
    for (tensors, says) in cases {
        let error = Source::of(tensors, Some("timm")).with("config.json", &timm(says));
        let error = error.error();
        assert!(
            error.contains(&format!("says `{says}` (timm), which is not supported"))
                && error.contains(&format!("--model {tensors}")),
            "{error}"
        );
    }
    // Arguments with which timm builds the network may change what it computes.
    let arguments = |arguments: Value| json!({ "architecture": "vit_tiny_patch16_224", "model_args": arguments });
    let source = || Source::of("vit_tiny_patch16_224", Some("timm"));
    let error = source()
        .with("config.json", &arguments(json!({ "act_layer": "relu" })))
        .error();
    let wanted =
        "says `vit_tiny_patch16_224 with act_layer=\"relu\"` (timm), which is not supported";
    assert!(error.contains(wanted), "{error}");
    let found = source().with("config.json", &arguments(json!({ "img_size": 96 })));
    assert_eq!(found.identity().model, "vit_tiny_patch16_224");
    // Without a configuration, the name of the file or of its folder says as much.
    for name in [
        "resnetblur18-1234.safetensors",
        "resnetblur18.bt_in1k/model.safetensors",
        "models--timm--resnetblur18.bt_in1k/snapshots/0123/model.safetensors",
    ] {
        let folder = Folder::new();
        let path = folder.path(name);
        write(&path, "resnet18", None, &json!({}));
        let error = identity(&path).unwrap_err().to_string();
        assert!(error.contains("its name says `resnetblur18`"), "{error}");
    }
}

#[test]
fn networks_are_told_apart_by_the_configuration_of_transformers() {
    let clip = |activation: &str| json!({ "model_type": "clip", "vision_config": { "hidden_act": activation } });
    let cases = [
        (
            "vit_tiny_patch16_224",
            json!({ "model_type": "vit" }),
            "vit_tiny_patch16_224",
        ),
        (
            "deit_tiny_patch16_224",
            json!({ "model_type": "deit" }),
            "deit_tiny_patch16_224",
        ),
        (
            "vit_base_patch32_clip_224",
            clip("gelu"),
            "vit_base_patch32_clip_224",
        ),
        (
            "vit_base_patch32_clip_224",
            clip("quick_gelu"),
            "vit_base_patch32_clip_quickgelu_224",
        ),
        (
            "dinov2_small",
            json!({ "model_type": "dinov2" }),
            "dinov2_small",
        ),
        (
            "dinov2_small_reg",
            json!({ "model_type": "dinov2_with_registers" }),
            "dinov2_small_reg",
        ),
        (
            "dinov3_small",
            json!({ "model_type": "dinov3_vit" }),
            "dinov3_small",
        ),
        (
            "siglip_base_patch16_224",
            json!({ "model_type": "siglip" }),
            "siglip_base_patch16_224",
        ),
    ];
    for (tensors, config, model) in cases {
        let source = Source::of(tensors, Some("transformers")).with("config.json", &config);
        assert_eq!(source.identity().model, model, "{config}");
    }
}

#[test]
fn a_configuration_that_contradicts_the_tensors_is_an_error_that_names_both() {
    let error = Source::of("resnet18", None)
        .with("config.json", &timm("resnet34"))
        .error();
    assert!(
        error.contains("says `resnet34` (timm), but its tensors are those of resnet18"),
        "{error}"
    );
    let config = json!({ "model_type": "dinov2" });
    let error = Source::of("vit_tiny_patch16_224", None)
        .with("config.json", &config)
        .error();
    assert!(
        error.contains(
            "says `dinov2` (transformers), but its tensors are those of vit_tiny_patch16_224"
        ),
        "{error}"
    );
    // The same kind of network in another size, or computing something else with the same tensors.
    let cases = [
        (
            "deit_tiny_patch16_224",
            json!({ "model_type": "deit", "hidden_size": 768 }),
            "`hidden_size` 768 instead of 192",
        ),
        (
            "vit_tiny_patch16_224",
            json!({ "model_type": "vit", "num_attention_heads": 12 }),
            "`num_attention_heads` 12 instead of 3",
        ),
        (
            "vit_tiny_patch16_224",
            json!({ "model_type": "vit", "hidden_act": "quick_gelu" }),
            "`hidden_act` \"quick_gelu\" instead of gelu",
        ),
        (
            "siglip_base_patch16_224",
            json!({ "model_type": "siglip", "vision_config": { "hidden_act": "gelu" } }),
            "`hidden_act` \"gelu\" instead of gelu_pytorch_tanh",
        ),
        (
            "convnext_tiny",
            json!({ "model_type": "convnext", "depths": [3, 3, 27, 3] }),
            "`depths` [3,3,27,3] instead of [3,3,9,3]",
        ),
        (
            "resnet18",
            json!({ "model_type": "resnet", "hidden_act": "silu" }),
            "`hidden_act` \"silu\" instead of relu",
        ),
        (
            "resnet50",
            json!({ "model_type": "resnet", "downsample_in_first_stage": true }),
            "`downsample_in_first_stage` true instead of false",
        ),
        (
            "mobilenet_v2_1.0_224",
            json!({ "model_type": "mobilenet_v2", "tf_padding": false }),
            "`tf_padding` false instead of true",
        ),
        (
            "dinov3_small",
            json!({ "model_type": "dinov3_vit", "rope_theta": 10_000.0 }),
            "`rope_theta` 10000.0 instead of 100",
        ),
    ];
    for (tensors, config, difference) in cases {
        let error = Source::of(tensors, Some("transformers"))
            .with("config.json", &config)
            .error();
        let kind = config["model_type"].as_str().unwrap();
        let wanted =
            format!("says `{kind}` (transformers) with {difference}, but its tensors are those of");
        assert!(error.contains(&wanted), "{error}");
        assert!(error.contains(&format!("--model {tensors}")), "{error}");
    }
    // Windows of another size have the same tensors in the second version of Swin.
    let config = |window: u64, trained: u64| {
        json!({
            "model_type": "swinv2", "window_size": window,
            "pretrained_window_sizes": [trained, trained, trained, trained / 2],
        })
    };
    for (window, trained, model) in [
        (8, 0, "swinv2_base_window8_256"),
        (16, 0, "swinv2_base_window16_256"),
        (16, 12, "swinv2_base_window12to16_192to256"),
        (24, 12, "swinv2_base_window12to24_192to384"),
    ] {
        let source = Source::of("swinv2_base_window8_256", Some("transformers"));
        let found = source
            .with("config.json", &config(window, trained))
            .identity();
        assert_eq!(found.model, model);
    }
    let error = Source::of("swinv2_base_window8_256", Some("transformers"))
        .with("config.json", &config(10, 0))
        .error();
    assert!(error.contains("`window_size` 10 instead of 8"), "{error}");
    // A file that has nothing to do with weights says nothing.
    let config = json!({ "name": "my project", "version": 1 });
    let source = Source::of("resnet18", None).with("config.json", &config);
    assert_eq!(source.identity().model, "resnet18");
}

#[test]
fn images_are_prepared_as_the_publisher_says() {
    let pretrained = json!({
        "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.1], "input_size": [3, 192, 192],
        "interpolation": "bicubic", "crop_pct": 0.95,
    });
    let config = json!({ "architecture": "resnet18", "pretrained_cfg": pretrained });
    let found = Source::of("resnet18", None)
        .with("config.json", &config)
        .identity();
    assert_eq!(found.image_size, Some(192));
    let resnet18 = Architecture::find("resnet18").unwrap();
    let prepared = found.preparation.unwrap().applied(resnet18);
    let normalization = Normalization {
        mean: [0.5, 0.4, 0.3],
        std: [0.25, 0.2, 0.1],
    };
    assert_eq!(prepared.normalization, normalization);
    assert_eq!((prepared.filter, prepared.crop), (Filter::Bicubic, 0.95));

    // transformers: the shorter side to 256 pixels, then the 224 in the middle.
    let processor = json!({
        "image_processor_type": "BitImageProcessor", "crop_size": { "height": 224, "width": 224 },
        "do_center_crop": true, "do_normalize": true, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": { "shortest_edge": 256 },
    });
    let source = Source::of("dinov2_small", Some("transformers"))
        .with(
            "config.json",
            &json!({ "model_type": "dinov2", "image_size": 518 }),
        )
        .with("preprocessor_config.json", &processor);
    let found = source.identity();
    assert_eq!(found.image_size, Some(224));
    let preparation = found.preparation.unwrap();
    assert_eq!(preparation.crop, Some(0.875));
    assert_eq!(preparation.normalization, Some(Normalization::IMAGENET));
    // A size that the network does not take is not taken over.
    let processor = json!({ "image_mean": [0.5], "image_std": [0.5], "size": 225 });
    let source = Source::of("vit_tiny_patch16_224", Some("transformers"))
        .with("preprocessor_config.json", &processor);
    assert_eq!(source.identity().image_size, None);
}

#[test]
fn a_configuration_in_the_metadata_of_the_file_counts_first() {
    let folder = Folder::new();
    let path = folder.path("mine/weights.safetensors");
    let config = timm("deit_tiny_patch16_224").to_string();
    write(
        &path,
        "vit_tiny_patch16_224",
        None,
        &json!({ "config.json": config }),
    );
    std::fs::write(
        folder.path("mine/config.json"),
        timm("vit_tiny_patch16_224").to_string(),
    )
    .unwrap();
    let found = identity(&path).unwrap();
    assert_eq!(found.model, "deit_tiny_patch16_224");
    assert_eq!(
        found.notes,
        ["its metadata `config.json` says `deit_tiny_patch16_224` (timm)"]
    );
}

#[test]
fn the_name_of_a_file_decides_if_nothing_else_does() {
    let folder = Folder::new();
    for (name, model) in [
        (
            "deit_tiny_patch16_224-a1311bcf.safetensors",
            "deit_tiny_patch16_224",
        ),
        ("vit_tiny_patch16_224.safetensors", "vit_tiny_patch16_224"),
        // Both are the same network for images that are prepared in different ways.
        ("tiny.safetensors", "vit_tiny_patch16_224"),
    ] {
        let path = folder.path(name);
        write(&path, "vit_tiny_patch16_224", Some("timm"), &json!({}));
        assert_eq!(identity(&path).unwrap().model, model, "{name}");
    }
    // These two compute different things.
    let path = folder.path("clip.safetensors");
    write(&path, "vit_base_patch32_clip_224", Some("timm"), &json!({}));
    let error = identity(&path).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    assert!(
        error.to_string().contains(
            "fits vit_base_patch32_clip_224 and vit_base_patch32_clip_quickgelu_224, which compute \
             different things"
        ),
        "{error}"
    );
}

#[test]
fn the_command_says_what_it_understood_and_why() {
    let pretrained = json!({ "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 1.0 });
    let config = json!({ "architecture": "deit_tiny_patch16_224", "pretrained_cfg": pretrained });
    let source = Source::of("vit_tiny_patch16_224", Some("timm")).with("config.json", &config);
    let call = "inspect --weights repository/model.safetensors";
    let said = source.folder.run(&format!("{call} --json")).ok().json();
    assert_eq!(said["model"], "deit_tiny_patch16_224");
    assert_eq!(said["images"]["mean"], json!([0.5, 0.5, 0.5]));
    assert_eq!(
        said["reasons"],
        json!([
            "`config.json` beside it says `deit_tiny_patch16_224` (timm)",
            "images as `config.json` beside it says, with mean and std and crop of its own"
        ])
    );
    let said = source
        .folder
        .run(&format!("{call} --model vit_tiny_patch16_224 --json"))
        .ok()
        .json();
    assert_eq!(said["model"], "vit_tiny_patch16_224");
    assert_eq!(
        said["reasons"],
        json!([
            "`config.json` beside it says `deit_tiny_patch16_224` (timm), and --model takes it as \
             vit_tiny_patch16_224"
        ])
    );
    let refused = Source::of("resnet18", None).with("config.json", &timm("resnetblur18"));
    let said = line(&refused.folder.run(call), 1);
    assert!(
        said.contains("says `resnetblur18` (timm), which is not supported"),
        "{said}"
    );
}
