//! Sizes and work of networks, compared with what PyTorch counts (`tests/parity/figures.py`).

#![allow(clippy::unwrap_used, missing_docs)]

use finetune_model::{Architecture, Figures};
use serde_json::Value;

#[test]
fn sizes_and_work_are_those_that_pytorch_counts() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/figures.json"
    );
    let fixture: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (name, wanted) in fixture.as_object().unwrap() {
        let number = |key: &str| wanted[key].as_u64().unwrap();
        let side = usize::try_from(number("pixels")).unwrap();
        let architecture = Architecture::find(name).unwrap().at(side).unwrap();
        let found = Figures::of(&architecture);
        assert_eq!(found.parameters as u64, number("parameters"), "{name}");
        assert_eq!(
            found.multiply_accumulates,
            number("multiply_accumulates"),
            "{name}"
        );
    }
}

#[test]
fn outputs_are_those_of_all_layers() {
    // Of the first convolution, and of the two of each block: 16, 32 and 64 channels at full, half and
    // quarter side. The shortcuts have no layers.
    let found = Figures::of(Architecture::find("resnet8").unwrap());
    let area = 32 * 32;
    let wanted = 16 * area * 3 + 32 * area / 4 * 2 + 64 * area / 16 * 2;
    assert_eq!(found.outputs, wanted);
    assert_eq!(
        Architecture::find("resnet8").unwrap().family(),
        "cifar_resnet"
    );
}
