//! Files written by PyTorch (see `fixtures/make.py`), and files written for PyTorch.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use finetune_model::{
    Architecture, Head, StateTensor, WeightsFile, state_dict, state_dict_of, write_pth,
};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn open(bytes: &[u8]) -> Result<WeightsFile, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    std::fs::write(&path, bytes).unwrap();
    let mut file = WeightsFile::open(&path).map_err(|error| error.to_string())?;
    // A file that can be opened may still lack the bytes of a tensor.
    for name in file.shapes().into_keys() {
        file.values(&name).map_err(|error| error.to_string())?;
    }
    Ok(file)
}

#[test]
fn the_same_tensors_are_read_from_all_kinds_of_files() {
    for (name, prefix) in [
        ("zip.pth", ""),
        ("legacy.pth", ""),
        ("half.pth", ""),
        ("bfloat16.pth", ""),
        ("strided.pth", ""),
        ("state_dict.pth", "state_dict.module."),
        ("model.pth", "model.module."),
        ("model_state_dict.pth", "model_state_dict.module."),
    ] {
        let mut file = WeightsFile::open(&fixture(name)).unwrap();
        let (weight, bias) = (format!("{prefix}a.weight"), format!("{prefix}a.bias"));
        let mut shapes = file.shapes();
        // What an optimiser stores beside the weights is a tensor as well.
        shapes.remove("optimizer.state.0.exp_avg");
        assert_eq!(shapes.len(), 2, "{name}: {shapes:?}");
        assert_eq!(
            (&shapes[&weight][..], &shapes[&bias][..]),
            (&[2, 3][..], &[2][..])
        );
        let weight = file.values(&weight).unwrap();
        assert_eq!(weight, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5], "{name}");
        assert_eq!(file.values(&bias).unwrap(), [-1.0, 1.0], "{name}");
    }
}

#[test]
fn a_file_that_would_run_a_command_is_rejected_and_runs_nothing() {
    let error = WeightsFile::open(&fixture("forbidden.pth"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("system") || error.contains("no tensors"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    assert!(!Path::new("finetune-ran-code-from-a-file").exists());
}

#[test]
fn a_truncated_file_is_an_error_of_one_line() {
    for name in ["zip.pth", "legacy.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for share in [2, 10, 50, 90, 99] {
            let error = open(&whole[..whole.len() * share / 100]).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{name} {share} %: {error}");
        }
    }
    let error = open(b"MZ this is a program").unwrap_err();
    assert!(error.contains("is not a readable weights file"), "{error}");
}

#[test]
fn a_written_network_is_read_back_to_the_bit() {
    let architecture = Architecture::find("resnet8").unwrap();
    let network = architecture.build(3, 1, &Device::flex());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let size = write_pth(&state_dict(&network, architecture).unwrap(), &path).unwrap();
    assert_eq!(size, path.metadata().unwrap().len());
    let bytes = std::fs::read(&path).unwrap();
    write_pth(&state_dict(&network, architecture).unwrap(), &path).unwrap();
    assert_eq!(bytes, std::fs::read(&path).unwrap());
    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.recognize().unwrap().name, "resnet8");
    let loaded = file
        .load(architecture, 3, Head::Stored, &Device::flex())
        .unwrap();
    assert_eq!(
        state_dict(&loaded.network, architecture).unwrap(),
        state_dict(&network, architecture).unwrap()
    );
}

#[test]
fn tensors_have_the_shapes_of_their_library() {
    // As `state_dict` of torchvision's, timm's and transformers' models has them; the authors' are in
    // their repository.
    let tiny = [
        ("torchvision", "features.1.0.layer_scale", vec![96, 1, 1]),
        ("timm", "stages.0.blocks.0.gamma", vec![96]),
        (
            "facebookresearch",
            "stages.0.0.pwconv1.weight",
            vec![384, 96],
        ),
    ];
    let weight = "convnextv2.encoder.stages.0.layers.0.grn.weight";
    let second = [
        ("timm", "stages.0.blocks.0.mlp.grn.weight", vec![160]),
        (
            "timm",
            "stages.0.blocks.0.mlp.fc1.weight",
            vec![160, 40, 1, 1],
        ),
        (
            "facebookresearch",
            "stages.0.0.grn.gamma",
            vec![1, 1, 1, 160],
        ),
        ("transformers", weight, vec![1, 1, 1, 160]),
    ];
    for (model, cases) in [
        ("convnext_tiny", &tiny[..]),
        ("convnextv2_atto", &second[..]),
    ] {
        let architecture = Architecture::find(model).unwrap();
        let network = architecture.build(2, 1, &Device::flex());
        for (library, name, shape) in cases {
            let tensors = state_dict_of(&network, architecture, library).unwrap();
            let tensor = tensors.iter().find(|tensor| tensor.name == *name).unwrap();
            assert_eq!(tensor.shape, *shape);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.pth");
            write_pth(&tensors, &path).unwrap();
            let mut file = WeightsFile::open(&path).unwrap();
            let loaded = file.load(architecture, 2, Head::Stored, &Device::flex());
            let again = state_dict_of(&loaded.unwrap().network, architecture, library).unwrap();
            assert_eq!(again, tensors);
        }
    }
}

#[test]
fn weights_that_are_not_finite_give_a_note() {
    let architecture = Architecture::find("resnet8").unwrap();
    let mut tensors = state_dict(&architecture.build(3, 1, &Device::flex()), architecture).unwrap();
    tensors[0].values.to_mut()[5] = f32::NAN;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    write_pth(&tensors, &path).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    let head = Head::New { seed: 0 };
    let loaded = file.load(architecture, 5, head, &Device::flex()).unwrap();
    assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
    assert_eq!(
        loaded.notes[0],
        "its head for 3 classes is replaced by a new one for 5"
    );
    assert_eq!(
        loaded.notes[1],
        "1 of its tensors have values that are not finite, the first is `conv1.weight`: the model is \
         unusable"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_tensors_are_read_back(
        shapes in prop::collection::vec(prop::collection::vec(1_usize..6, 0..5), 1..6),
        seed in any::<u32>(),
    ) {
        let tensors: Vec<_> = shapes
            .into_iter()
            .enumerate()
            .map(|(index, shape)| {
                let count = shape.iter().product::<usize>();
                #[allow(clippy::cast_possible_truncation)]
                let values = (0..count)
                    .map(|i| f32::from_bits(seed.wrapping_mul(i as u32 + 1) & 0x7f7f_ffff))
                    .collect();
                StateTensor { name: format!("layer.{index}.weight"), shape, values }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pth");
        write_pth(&tensors, &path).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        for tensor in tensors {
            prop_assert_eq!(&file.shapes()[&tensor.name], &tensor.shape);
            prop_assert_eq!(file.values(&tensor.name).unwrap(), tensor.values.into_vec());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(position in 0_usize..1000, byte in any::<u8>(), legacy in any::<bool>()) {
        let name = if legacy { "legacy.pth" } else { "zip.pth" };
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        let _ = open(&bytes);
    }
}
