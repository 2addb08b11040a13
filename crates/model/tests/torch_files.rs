//! Files of all kinds that PyTorch writes (see `fixtures/make_torch.py`) are read to the bit.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Read;
use std::path::Path;

use finetune_model::WeightsFile;

#[test]
fn every_file_of_pytorch_is_read_to_the_bit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let files = expected.as_object().unwrap();
    assert!(files.len() >= 20);
    let mut compared = 0;
    for (name, tensors) in files {
        let mut file = WeightsFile::open(&folder.join(name)).unwrap();
        let shapes = file.shapes();
        let tensors = tensors.as_object().unwrap();
        assert!(!tensors.is_empty(), "{name}");
        for (tensor, expected) in tensors {
            let numbers = |key: &str| -> Vec<u64> {
                let list = expected[key].as_array().unwrap();
                list.iter().map(|number| number.as_u64().unwrap()).collect()
            };
            let shape = shapes
                .get(tensor)
                .unwrap_or_else(|| panic!("{name} has no {tensor}: {:?}", shapes.keys()));
            let shape: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
            assert_eq!(shape, numbers("shape"), "{name}: {tensor}");
            let values = file.values(tensor).unwrap();
            let bits: Vec<u64> = values.iter().map(|value| value.to_bits().into()).collect();
            assert_eq!(bits, numbers("bits"), "{name}: {tensor}");
            compared += values.len();
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn numbers_that_are_no_floating_point_numbers_are_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    let mut file = WeightsFile::open(&folder.join("types.pth")).unwrap();
    for kind in ["int64", "bool", "complex64", "uint16", "float8_e4m3fn"] {
        let error = file.values(kind).unwrap_err().to_string();
        let wanted = format!("its tensor `{kind}` is of {kind}, not f32, f16, bf16 or f64");
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn buffers_that_are_not_saved_and_attributes_are_no_tensors_of_a_module() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    for name in ["module.pth", "module_legacy.pth"] {
        let shapes = WeightsFile::open(&folder.join(name)).unwrap().shapes();
        assert!(shapes.contains_key("kept"), "{shapes:?}");
        for omitted in ["fleeting", "note"] {
            assert!(!shapes.contains_key(omitted), "{shapes:?}");
        }
    }
}

#[test]
fn the_name_at_saving_does_not_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    let packed = std::fs::File::open(folder.join("stems.zip.gz")).unwrap();
    let mut stems = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(packed);
    reader.read_to_end(&mut stems).unwrap();
    let mut stems = zip::ZipArchive::new(std::io::Cursor::new(stems)).unwrap();
    assert_eq!(stems.len(), 80);
    let folder = tempfile::tempdir().unwrap();
    for index in 0..80 {
        let mut entry = stems.by_index(index).unwrap();
        let path = folder.path().join("a.pth");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let length = index + 1;
        let mut file = WeightsFile::open(&path)
            .unwrap_or_else(|error| panic!("a name of {length} bytes: {error}"));
        #[allow(clippy::cast_precision_loss)]
        let wanted = length as f32;
        assert_eq!(file.values("a").unwrap(), [wanted]);
    }
}
