//! Adapters of HF PEFT.

use serde_json::{Value, json};

use crate::bytes::{damaged, strangers};
use crate::case::{Base, Case};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
const MERGE: &str =
    "merge --adapter adapter --weights {base}/model.safetensors --out out.safetensors";

pub fn cases(base: &Base) -> Vec<Case> {
    let config = base.read(&format!("adapter/{CONFIG}"));
    let tensors = base.read(&format!("adapter/{TENSORS}"));
    let case = |name: &str, config: &[u8], tensors: &[u8]| {
        Case::new(format!("adapter-{name}"), MERGE)
            .file(format!("adapter/{CONFIG}"), config)
            .file(format!("adapter/{TENSORS}"), tensors)
    };
    let mut cases = vec![case("good", &config, &tensors)];
    for (how, bytes) in damaged(&config).into_iter().chain(strangers()) {
        cases.push(case(&format!("config-{how}"), &bytes, &tensors));
    }
    for (how, bytes) in damaged(&tensors).into_iter().chain(strangers()) {
        cases.push(case(&format!("tensors-{how}"), &config, &bytes));
    }
    let known: Value = serde_json::from_slice(&config).unwrap();
    for (key, value) in [
        ("r", json!(-1)),
        ("r", json!(0)),
        ("r", json!(u64::MAX)),
        ("r", json!(1e300)),
        ("r", json!("\u{1b}[31m")),
        ("r", Value::Null),
        ("lora_alpha", json!(1e300)),
        ("lora_alpha", json!("x")),
        ("lora_alpha", json!(-0.0)),
        ("lora_dropout", json!(7)),
        ("target_modules", json!([])),
        ("target_modules", json!("(((((")),
        ("target_modules", json!("(a*)*(b*)*(c*)*$")),
        ("target_modules", json!(".{1000000}")),
        ("target_modules", json!(["\u{1b}[31m"])),
        ("target_modules", json!({"a": 1})),
        ("rank_pattern", json!({"(((": 3})),
        ("rank_pattern", json!({".*": u64::MAX})),
        ("rank_pattern", json!([1])),
        ("alpha_pattern", json!({".*": "x"})),
        ("alpha_pattern", json!({".*": -1e308})),
        ("modules_to_save", json!(["nothing", "\u{7}"])),
        ("peft_type", json!("\u{1b}[31mLORA")),
        ("peft_type", json!(3)),
        ("peft_type", Value::Null),
        ("bias", json!("\u{202e}")),
        ("init_lora_weights", json!({"a": []})),
        ("use_dora", json!("yes")),
        ("a_key_of_tomorrow", json!({"deep": [1, 2, 3]})),
    ] {
        let mut config = known.clone();
        config[key] = value.clone();
        let text = value.to_string();
        let shown: String = text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        cases.push(case(
            &format!("{key}-{shown}"),
            config.to_string().as_bytes(),
            &tensors,
        ));
    }
    let long = "x".repeat(10_000_000);
    let mut config_long = known.clone();
    config_long["target_modules"] = json!(long);
    cases.push(case(
        "long-pattern",
        config_long.to_string().as_bytes(),
        &tensors,
    ));
    cases.push(case(
        "config-deep",
        "[".repeat(1_000_000).as_bytes(),
        &tensors,
    ));
    cases.push(case("config-list", b"[]", &tensors));
    for shape in [
        json!([0, 1_u64 << 40]),
        json!([1_u64 << 40, 0]),
        json!([0]),
        json!([]),
        json!([0, 0, 0]),
    ] {
        let name = "base_model.model.conv1.lora_A.weight";
        let header =
            json!({ name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} }).to_string();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        cases.push(case(&format!("tensor-{shape}"), &config, &bytes));
    }
    cases.push(
        Case::new("adapter-pipe", MERGE)
            .file(format!("adapter/{CONFIG}"), config.clone())
            .pipe(format!("adapter/{TENSORS}")),
    );
    cases.push(
        Case::new("adapter-config-device", MERGE).link(format!("adapter/{CONFIG}"), "/dev/zero"),
    );
    cases.push(Case::new("adapter-none", MERGE).folder("adapter"));
    cases
}
